import 'fake-indexeddb/auto'
import { openEventStore } from 'tidemark'
import { openEventStore as openMemory } from 'tidemark/memory'
import { eventStoreContract } from './event-store.js'

let count = 0
eventStoreContract('memory', async () => ({ store: await openMemory({ name: 'contract' }) }))
eventStoreContract('fake-indexeddb', async () => {
  const name = `contract-${(count += 1)}`
  return { store: await openEventStore({ name }), another: () => openEventStore({ name }) }
})
