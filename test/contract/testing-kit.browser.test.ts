// The contract suites that `tidemark/testing` offers, against the IndexedDB of the engine.
import { test } from 'vitest'
import { checkpointStoreContract, coordinatorContract, eventStoreContract } from 'tidemark/testing'
import { indexedDbSubject } from './indexeddb-subject.js'

for (const contract of [eventStoreContract, checkpointStoreContract, coordinatorContract]) {
  for (const { name, run } of contract(indexedDbSubject)) test(name, run)
}
