import { openEventStore } from 'tidemark'
import { eventStoreContract } from './event-store.js'

let count = 0
eventStoreContract('IndexedDB', async () => {
  const name = `contract-${(count += 1)}-${Math.random()}`
  return { store: await openEventStore({ name }), another: () => openEventStore({ name }) }
})
