import { openEventStore } from 'tidemark'
import { openEventStore as openMemory } from 'tidemark/memory'
import { fakeIndexedDB } from '../support/fake-indexeddb.js'
import { stressContract, type AccountEvent } from './stress.js'

fakeIndexedDB()

let count = 0
stressContract('memory', async (instances) => {
  const store = await openMemory<AccountEvent>({ name: 'stress' })
  return Array.from({ length: instances }, () => store)
})
stressContract('fake-indexeddb', async (instances) => {
  const name = `stress-${(count += 1)}`
  return Promise.all(Array.from({ length: instances }, () => openEventStore<AccountEvent>({ name })))
})
