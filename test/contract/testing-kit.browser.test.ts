// The contract suites that `tidemark/testing` offers, against the IndexedDB of the engine.
import { test } from 'vitest'
import { checkpointStoreContract, coordinatorContract, eventStoreContract } from 'tidemark/testing'
import { indexedDbSubject, portOf } from './indexeddb-subject.js'

const cases = [
  ...eventStoreContract(indexedDbSubject),
  ...checkpointStoreContract(portOf(indexedDbSubject, 'checkpoints')),
  ...coordinatorContract(portOf(indexedDbSubject, 'coordinator')),
]
for (const { name, run } of cases) test(name, run)
