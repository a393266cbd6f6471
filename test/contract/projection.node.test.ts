import { openEventStore } from 'tidemark'
import { openEventStore as openMemory } from 'tidemark/memory'
import { fakeIndexedDB } from '../support/fake-indexeddb.js'
import { events } from './projection/model.js'
import { packedContract } from './projection/packed.js'
import { plainProjectorContract } from './projection/plain.js'
import { projectionHandleContract } from './projection/handle.js'
import { heldStreamsContract } from './projection/blocked-streams.js'
import { liveContract } from './projection/live.js'
import { readModelContract } from './projection/read-model.js'
import { carriedContract } from './projection/carried.js'
import { replayedContract } from './projection/replayed.js'
import { definitionsContract } from './projection/definitions.js'
import { deleteContract } from './projection/delete.js'
import { remadeContract } from './projection/remade.js'
import { readModelVerifyContract } from './projection/verify.js'

fakeIndexedDB()

for (const backend of [
  { name: 'memory', shared: false, open: (name: string, options = {}) => openMemory({ name, events, ...options }) },
  {
    name: 'fake-indexeddb',
    shared: true,
    open: (name: string, options = {}) => openEventStore({ name, events, durability: 'relaxed', ...options }),
  },
] as const) {
  plainProjectorContract(backend)
  packedContract(backend)
  readModelContract(backend)
  readModelVerifyContract(backend)
  if (backend.shared) remadeContract(backend)
  deleteContract(backend)
  carriedContract(backend)
  replayedContract(backend)
  definitionsContract(backend)
  projectionHandleContract(backend)
  heldStreamsContract(backend)
  liveContract(backend)
}
