import { openEventStore } from 'tidemark'
import { openEventStore as openMemory } from 'tidemark/memory'
import { fakeIndexedDB } from '../support/fake-indexeddb.js'
import { eventStoreContract } from './event-store.js'

fakeIndexedDB()

let count = 0
eventStoreContract('memory', async () => ({ store: await openMemory({ name: 'contract' }) }))
eventStoreContract('fake-indexeddb', async () => {
  const name = `contract-${(count += 1)}`
  return { store: await openEventStore({ name }), another: () => openEventStore({ name }) }
})
