import { openEventStore } from 'tidemark'
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

const backend = {
  name: 'IndexedDB',
  shared: true,
  open: (name: string, options = {}) => openEventStore({ name, events, durability: 'relaxed' as const, ...options }),
}
plainProjectorContract(backend)
packedContract(backend)
readModelContract(backend)
readModelVerifyContract(backend)
remadeContract(backend)
carriedContract(backend)
replayedContract(backend)
definitionsContract(backend)
deleteContract(backend)
projectionHandleContract(backend)
heldStreamsContract(backend)
liveContract(backend)
