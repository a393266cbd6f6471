import { openEventStore } from 'tidemark'
import { openSyncedStore } from 'tidemark/sync'
import { adoptContract } from './adopt.js'

adoptContract({
  name: 'IndexedDB',
  onDevice: true,
  openLocal: (name) => openEventStore({ name }),
  openSynced: openSyncedStore,
})
