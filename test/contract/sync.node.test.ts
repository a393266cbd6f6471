import { openSyncedStore as openInMemory } from 'tidemark/memory'
import { openSyncedStore } from '../../src/sync/index.js'
import { fakeIndexedDB } from '../support/fake-indexeddb.js'
import { syncContract } from './sync.js'

fakeIndexedDB()

syncContract({ name: 'memory', onDevice: false, open: openInMemory })
syncContract({ name: 'fake-indexeddb', onDevice: true, open: openSyncedStore })
