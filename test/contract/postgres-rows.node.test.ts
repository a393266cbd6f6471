// The rows of read models in PostgreSQL and in PGlite, by the contracts of those in IndexedDB.
import { vi } from 'vitest'
import { onPglite, onPostgres, type PostgresBackend } from '../support/postgres/stores.js'
import { fakeIndexedDB } from '../support/fake-indexeddb.js'
import { awaitedContract } from './projection/awaited.js'
import { copiesContract } from './projection/copies.js'
import { countsContract } from './projection/counts.js'
import { handlerQueriesContract } from './projection/handler-queries.js'
import { keysContract } from './projection/keys.js'
import { liveSurfaceContract } from './projection/live-surface.js'
import { events, type Backend } from './projection/model.js'
import { patchesContract } from './projection/patches.js'
import { questionsContract } from './projection/questions.js'
import { selectionsContract } from './projection/selections.js'
import { uniqueContract } from './projection/unique.js'
import { readingContract } from './reading.js'

fakeIndexedDB()

// Each question is a round trip, and the machine may be busy.
vi.setConfig({ testTimeout: 240_000 })

const suite = ({ name, open }: PostgresBackend) => {
  const backend: Backend = {
    name,
    shared: true,
    onDevice: false,
    open: (store, options = {}) => open(store, { events, ...options }),
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
  liveSurfaceContract(backend)
  readingContract({ name, shared: true, onDevice: false, open: (store, options) => open(store, options) })
}

onPostgres(suite)
onPglite(suite)
