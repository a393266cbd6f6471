import { openSyncedStore } from '../../src/sync/index.js'
import { syncContract } from './sync.js'

syncContract({ name: 'IndexedDB', onDevice: true, open: openSyncedStore })
