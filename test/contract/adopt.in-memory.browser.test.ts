import { openEventStore, openSyncedStore } from 'tidemark/memory'
import { adoptContract } from './adopt.js'

adoptContract({
  name: 'memory',
  onDevice: false,
  openLocal: (name) => openEventStore({ name }),
  openSynced: openSyncedStore,
})
