/** Event stores in PostgreSQL for the contract suites: a schema for each file, and a pool for each store of a test. */
import { PGlite } from '@electric-sql/pglite'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import type { EventShape } from 'tidemark'
import {
  migratePostgres,
  openPostgresStore,
  type PostgresStore,
  type PostgresStoreOptions,
  type SqlPool,
} from 'tidemark/postgres'
import { postgresUrl, TestSchema } from './server.js'

type Options<E extends EventShape> = Omit<PostgresStoreOptions<E>, 'pool' | 'name' | 'schema'>

export interface PostgresBackend {
  readonly name: string
  /** Of one name: several processes on one log, as far as one process can show that. */
  open<E extends EventShape = EventShape>(name: string, options?: Options<E>): Promise<PostgresStore<E>>
  /** For what a test asks the database itself. */
  pool(): SqlPool
  schema(): string
}

const url = await postgresUrl()

/** Calls back with each backend that this machine has. */
export function onPostgres(suite: (backend: PostgresBackend) => void): void {
  // A machine without PostgreSQL shows that as skipped, and the search for one has said what to do.
  if (url === undefined) test.skip('what every backend must do, on PostgreSQL', () => {})
  else suite(onServer(url))
}

function onServer(at: string): PostgresBackend {
  let place: TestSchema
  /** Used again in the next test: a connection costs more than most of what is asked over it. */
  const pools: SqlPool[] = []
  let opened = 0
  beforeAll(async () => {
    place = new TestSchema(at)
    await migratePostgres(place.pool, { schema: place.schema })
  }, 120_000)
  afterEach(async () => {
    opened = 0
    await expect
      .poll(() => place.inUse(), { timeout: 10_000 })
      .toEqual([])
      .catch(async (error: unknown) => {
        pools.length = 0
        await place.endAll()
        throw error
      })
  }, 20_000)
  afterAll(() => place.dispose(), 120_000)
  return {
    name: 'PostgreSQL',
    open: (name, options) => {
      const pool = (pools[opened] ??= place.anotherPool({ max: 4 }))
      opened += 1
      return openPostgresStore({ ...options, pool, name, schema: place.schema })
    },
    pool: () => place.pool,
    schema: () => place.schema,
  }
}

/** PGlite: within this process, and one connection for all. */
export function onPglite(suite: (backend: PostgresBackend) => void): void {
  let pool: PGlite
  beforeAll(async () => {
    pool = new PGlite()
    await migratePostgres(pool)
  }, 120_000)
  afterAll(() => pool.close(), 120_000)
  suite({
    name: 'PGlite',
    open: (name, options) => openPostgresStore({ ...options, pool, name }),
    pool: () => pool,
    schema: () => 'tidemark',
  })
}
