import { openEventStore } from 'tidemark'
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

const backend = {
  name: 'IndexedDB',
  shared: true,
  open: (name: string, options = {}) => openEventStore({ name, events, durability: 'relaxed' as const, ...options }),
}
awaitedContract(backend)
copiesContract(backend)
countsContract(backend)
handlerQueriesContract(backend)
keysContract(backend)
patchesContract(backend)
questionsContract(backend)
selectionsContract(backend)
uniqueContract(backend)
declarationsContract()
