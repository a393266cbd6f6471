import { openSyncedStore } from 'tidemark/memory'
import { syncContract } from './sync.js'

syncContract({ name: 'memory', onDevice: false, open: openSyncedStore })
