// A store that was closed leaves no connection, no lock and no transaction, whatever was under way, and the pool ends.
import pg from 'pg'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { openReadModel, runProjection, startProjection } from 'tidemark'
import {
  migratePostgres,
  openPostgresLogStore,
  openPostgresStore,
  sqlProjector,
  type PostgresStore,
} from 'tidemark/postgres'
import { gate } from '../support/gate.js'
import { postgresUrl, TestSchema } from '../support/postgres/server.js'
import { added, events, sums, type Event } from './projection/model.js'

const url = await postgresUrl()

const soon = { timeout: 20_000 }

/** A place in which work waits, and which says when it is there. */
function station() {
  const [arrival, departure] = [gate(), gate()]
  return {
    reached: arrival.opened,
    reach() {
      arrival.open()
      return departure.opened
    },
    open: () => departure.open(),
  }
}

describe.skipIf(url === undefined)('a store that was closed', { timeout: 60_000 }, () => {
  let place: TestSchema
  let count = 0
  beforeAll(async () => {
    place = new TestSchema(url as string)
    await migratePostgres(place.pool, { schema: place.schema })
    await place.pool.query(`create table ${place.schema}.own (position bigint)`)
  })
  // What the server frees it frees when it notices that a connection was closed.
  afterEach(() => expect.poll(() => place.inUse(), { timeout: 10_000 }).toEqual([]))
  afterAll(() => place.dispose())

  const newName = () => `left-${(count += 1)}`
  const open = (pool: pg.Pool, name: string) => openPostgresStore<Event>({ pool, name, schema: place.schema, events })
  const opened = async () => {
    const pool = place.anotherPool({ max: 6 })
    return { pool, store: await open(pool, newName()) }
  }
  const fill = (store: PostgresStore<Event>, length: number) =>
    store.append({ stream: 's', events: Array.from({ length }, (_, at) => added(`row-${at % 50}`, 1)) })
  const own = (store: PostgresStore<Event>, apply: () => Promise<unknown> = async () => {}) =>
    sqlProjector(store, {
      name: 'own',
      apply: async ({ position }, sql) => {
        await sql.query(`insert into ${place.schema}.own values ($1)`, [position])
        await apply()
      },
    })
  /** Ends what runs, and says how. */
  const ended = (running: readonly Promise<unknown>[]) => Promise.allSettled(running)

  test('at rest: its pool ends immediately, without a wait of its own', async () => {
    const { pool, store } = await opened()
    await fill(store, 3)
    await runProjection(store, sums())
    await store.close()
    await pool.end()
  })

  test('that was just opened, while its connection for notifications is on its way', async () => {
    const { pool, store } = await opened()
    await store.close()
    await pool.end()
  })

  test('in the middle of appends, reads, projections, live queries, and waits for a lock', async () => {
    const { pool, store } = await opened()
    const other = await open(place.anotherPool({ max: 4 }), store.name)
    await fill(store, 500)
    const held = await other.coordinator.acquire('held')
    const view = await openReadModel(store, sums())
    const stop = view.live((tables) => tables.sums.getAll()).subscribe(() => {})
    const handle = startProjection(store, sums())
    const inOwn = station()
    const running = [
      store.coordinator.acquire('held'),
      runProjection(
        store,
        own(store, async () => inOwn.reach()),
        { mode: 'continuous' },
      ),
      ...Array.from({ length: 20 }, () => store.append('s', [added('a', 1)])),
      ...Array.from({ length: 5 }, () => store.readPage({ after: 0, limit: 1000 })),
    ]
    await inOwn.reached
    const closing = store.close()
    inOwn.open()
    await Promise.all([closing, ended(running)])
    stop()
    await handle.stop()
    await view.close()
    await pool.end()
    held.release()
    await other.close()
  })

  test('after what was under way was aborted', async () => {
    const { pool, store } = await opened()
    const other = await open(place.anotherPool({ max: 4 }), store.name)
    await fill(store, 2000)
    const held = await other.coordinator.acquire('held')
    const inOwn = station()
    const stopping = new AbortController()
    const { signal } = stopping
    const running = [
      store.coordinator.acquire('held', { signal }),
      runProjection(
        store,
        own(store, async () => inOwn.reach()),
        { mode: 'continuous', signal },
      ),
      runProjection(store, sums(), { mode: 'continuous', signal }),
      store.append('s', [added('a', 1)], { signal }),
      store.readPage({ after: 0, limit: 2000, signal }),
    ]
    await inOwn.reached
    stopping.abort(new Error('enough'))
    inOwn.open()
    await ended(running)
    // Not only what is left when the store is closed: the connection that holds locks goes as well, and one listens.
    await expect.poll(() => pool.totalCount - pool.idleCount, soon).toBe(1)
    await store.close()
    await pool.end()
    held.release()
    await other.close()
  })

  test('whose connections were lost while it worked', async () => {
    const { pool, store } = await opened()
    await fill(store, 500)
    const handle = startProjection(store, sums())
    const inOwn = station()
    const stopping = new AbortController()
    const running = runProjection(
      store,
      own(store, async () => inOwn.reach()),
      {
        mode: 'continuous',
        signal: stopping.signal,
      },
    )
    await inOwn.reached
    await place.pool.query(
      `select pg_terminate_backend(pid) from pg_stat_activity where application_name = $1 and pid <> pg_backend_pid()`,
      [place.schema],
    )
    inOwn.open()
    // It works again before it is closed. A connection that rests in the pool may be found to be lost by its next user.
    const again = async () => (await fill(store, 1).catch(() => undefined))?.position
    await expect.poll(again, soon).toBeGreaterThan(500)
    await handle.caughtUp(await store.head(), soon)
    stopping.abort()
    await ended([running])
    await handle.stop()
    await store.close()
    await pool.end()
  })

  test('of many: all of a pool have one connection for notifications and one for locks', async () => {
    const pool = place.anotherPool({ max: 3 })
    const stores = await Promise.all(Array.from({ length: 8 }, () => open(pool, newName())))
    const handles = stores.map((store) => startProjection(store, sums()))
    for (const [at, store] of stores.entries()) {
      const { position } = await fill(store, 2)
      await handles[at]?.caughtUp(position, soon)
    }
    await expect.poll(() => pool.totalCount - pool.idleCount, soon).toBe(2)
    // One store gives up its own locks only.
    await stores[0]?.close()
    const { position } = await fill(stores[1] as PostgresStore<Event>, 1)
    await handles[1]?.caughtUp(position, soon)
    await Promise.all(handles.map((handle) => handle.stop()))
    await Promise.all(stores.map((store) => store.close()))
    await pool.end()
  })

  test('of a log that listens, decides and is read', async () => {
    const pool = place.anotherPool({ max: 4 })
    const log = openPostgresLogStore({ pool, log: newName(), schema: place.schema })
    log.subscribe(() => {})
    const inDecision = station()
    const running = [log.decide(() => inDecision.reach()), log.read(0, 100), log.head()]
    await inDecision.reached
    const closing = log.close()
    inDecision.open()
    await closing
    await ended(running)
    await pool.end()
  })
})
