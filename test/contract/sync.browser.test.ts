import { openSyncedStore as openInMemory } from 'tidemark/memory'
import { openSyncedStore } from '../../src/sync/index.js'
import { syncContract } from './sync.js'

syncContract({ name: 'memory', onDevice: false, open: openInMemory })
syncContract({ name: 'IndexedDB', onDevice: true, open: openSyncedStore })
