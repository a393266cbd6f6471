import { openEventStore } from 'tidemark'
import { openEventStore as openMemory, openSyncedStore as openSyncedInMemory } from 'tidemark/memory'
import { openSyncedStore } from 'tidemark/sync'
import { fakeIndexedDB } from '../support/fake-indexeddb.js'
import { adoptContract } from './adopt.js'

fakeIndexedDB()

adoptContract({
  name: 'memory',
  onDevice: false,
  openLocal: (name) => openMemory({ name }),
  openSynced: openSyncedInMemory,
})
adoptContract({
  name: 'fake-indexeddb',
  onDevice: true,
  openLocal: (name) => openEventStore({ name }),
  openSynced: openSyncedStore,
})
