// Projections into read models in PostgreSQL and in PGlite, by the contracts of those in IndexedDB.
import { vi } from 'vitest'
import { onPglite, onPostgres, type PostgresBackend } from '../support/postgres/stores.js'
import { plainProjectorContract } from './projection/plain.js'
import { projectionHandleContract } from './projection/handle.js'
import { heldStreamsContract } from './projection/blocked-streams.js'
import { liveContract } from './projection/live.js'
import { readModelContract } from './projection/read-model.js'
import { carriedContract } from './projection/carried.js'
import { replayedContract } from './projection/replayed.js'
import { definitionsContract } from './projection/definitions.js'
import { deleteContract } from './projection/delete.js'
import { packedContract } from './projection/packed.js'
import { readModelVerifyContract } from './projection/verify.js'
import { events, type Backend } from './projection/model.js'

// Each question is a round trip, and the machine may be busy.
vi.setConfig({ testTimeout: 240_000 })

const suite = ({ name, open }: PostgresBackend) => {
  const backend: Backend = {
    name,
    shared: true,
    onDevice: false,
    open: (store, options = {}) => open(store, { events, ...options }),
  }
  plainProjectorContract(backend)
  packedContract(backend)
  readModelContract(backend)
  readModelVerifyContract(backend)
  deleteContract(backend)
  carriedContract(backend)
  replayedContract(backend)
  definitionsContract(backend)
  projectionHandleContract(backend)
  heldStreamsContract(backend)
  liveContract(backend)
}

onPostgres(suite)
onPglite(suite)
