// The contract suites that `tidemark/testing` offers, against our own backends.
import { describe, test } from 'vitest'
import { openEventStore as openMemory } from 'tidemark/memory'
import { checkpointStoreContract, coordinatorContract, eventStoreContract } from 'tidemark/testing'
import { fakeIndexedDB } from '../support/fake-indexeddb.js'
import { indexedDbSubject, portOf } from './indexeddb-subject.js'

fakeIndexedDB()

const memory = async () => {
  const store = await openMemory({ name: 'kit' })
  return { store, dispose: () => store.close() }
}

for (const [name, open] of [
  ['memory', memory],
  ['fake-indexeddb', indexedDbSubject],
] as const) {
  describe(`testing kit: ${name}`, () => {
    for (const { name, run } of eventStoreContract(open)) test(name, run)
    for (const { name, run } of checkpointStoreContract(portOf(open, 'checkpoints'))) test(name, run)
    for (const { name, run } of coordinatorContract(portOf(open, 'coordinator'))) test(name, run)
  })
}
