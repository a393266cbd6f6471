import { openSyncedStore } from 'tidemark/memory'
import { fakeIndexedDB } from '../../support/fake-indexeddb.js'
import { syncedAppContract } from './synced-app.js'

fakeIndexedDB()

syncedAppContract({ name: 'memory', open: openSyncedStore })
syncedAppContract({ name: 'fake-indexeddb' })
