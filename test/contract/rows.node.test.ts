import { openEventStore } from 'tidemark'
import { openEventStore as openMemory } from 'tidemark/memory'
import { fakeIndexedDB } from '../support/fake-indexeddb.js'
import { awaitedContract } from './projection/awaited.js'
import { copiesContract } from './projection/copies.js'
import { countsContract } from './projection/counts.js'
import { handlerQueriesContract } from './projection/handler-queries.js'
import { keysContract } from './projection/keys.js'
import { events } from './projection/model.js'
import { patchesContract } from './projection/patches.js'
import { declarationsContract, questionsContract } from './projection/questions.js'
import { selectionsContract } from './projection/selections.js'
import { uniqueContract } from './projection/unique.js'

fakeIndexedDB()

for (const backend of [
  { name: 'memory', shared: false, open: (name: string, options = {}) => openMemory({ name, events, ...options }) },
  {
    name: 'fake-indexeddb',
    shared: true,
    open: (name: string, options = {}) => openEventStore({ name, events, durability: 'relaxed', ...options }),
  },
] as const) {
  awaitedContract(backend)
  copiesContract(backend)
  countsContract(backend)
  handlerQueriesContract(backend)
  keysContract(backend)
  patchesContract(backend)
  questionsContract(backend)
  selectionsContract(backend)
  uniqueContract(backend)
}
declarationsContract()
