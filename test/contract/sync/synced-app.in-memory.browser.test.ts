import { openSyncedStore } from 'tidemark/memory'
import { syncedAppContract } from './synced-app.js'

syncedAppContract({ name: 'memory', open: openSyncedStore })
