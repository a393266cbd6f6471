// A server that boots together with its database waits for it, and for nothing that waiting does not help.
import pg from 'pg'
import { migratePostgres, openPostgresStore, waitForPostgres, type SqlPool } from 'tidemark/postgres'
import { virtualClock } from 'tidemark/testing'
import { describe, expect, onTestFinished, test } from 'vitest'
import { Cluster } from '../../support/postgres/cluster.js'
import { hasBinaries } from '../../support/postgres/server.js'

/** A pool to a database that is there after some tries, or never. */
function startingPool(fails: number, error: object) {
  let tries = 0
  const client = { query: async () => ({ rows: [] }), release() {}, on() {}, removeListener() {} }
  const pool: SqlPool = {
    async connect() {
      tries += 1
      if (tries <= fails) throw Object.assign(new Error('not there'), error)
      return client
    },
    query: client.query,
  }
  return { pool, tries: () => tries }
}

const refusedConnection = { code: 'ECONNREFUSED' }

test.each([
  ['no server listens', refusedConnection],
  ['its name is not known yet', { code: 'ENOTFOUND' }],
  ['it is starting', { code: '57P03', severity: 'FATAL' }],
  ['it has no connection left', { code: '53300', severity: 'FATAL' }],
])('it is tried again while %s, after pauses that grow', async (_, error) => {
  const clock = virtualClock()
  const { pool, tries } = startingPool(8, error)
  await clock.runUntil(waitForPostgres(pool, { clock }))
  expect(tries()).toBe(9)
  // 0.1, 0.2, 0.4 … s
  expect(clock.monotonic()).toBeGreaterThan(12_000)
  expect(clock.monotonic()).toBeLessThan(30_000)
  expect(clock.pending).toBe(0)
})

test('it is given up after a minute, or as long as is asked for, with the error of the last try', async () => {
  for (const [within, options] of [
    [60_000, {}],
    [2_500, { within: 2_500 }],
    [0, { within: 0 }],
  ] as const) {
    const clock = virtualClock()
    const { pool, tries } = startingPool(Infinity, refusedConnection)
    await expect(clock.runUntil(waitForPostgres(pool, { ...options, clock }))).rejects.toMatchObject({
      code: 'storage-failed',
      outcome: 'not-written',
      cause: refusedConnection,
    })
    expect(clock.monotonic()).toBe(within)
    expect(tries()).toBeGreaterThanOrEqual(1)
  }
})

test('a signal ends it also while a try hangs', async () => {
  const controller = new AbortController()
  const { pool } = startingPool(0, {})
  const waiting = waitForPostgres(
    { ...pool, connect: () => new Promise(() => {}), query: () => new Promise(() => {}) },
    { signal: controller.signal },
  )
  await Promise.resolve()
  controller.abort(new Error('stopping'))
  await expect(waiting).rejects.toThrow('stopping')
}, 5_000)

test.each(['28P01', '3D000'])('what waiting does not help is thrown immediately (%s)', async (code) => {
  const clock = virtualClock()
  const { pool, tries } = startingPool(Infinity, { code, severity: 'FATAL' })
  await expect(waitForPostgres(pool, { clock })).rejects.toMatchObject({ code: 'database-refused' })
  expect([tries(), clock.pending]).toEqual([1, 0])
})

test('a signal ends it, and bad options are refused before anything is asked', async () => {
  const clock = virtualClock()
  const { pool, tries } = startingPool(Infinity, refusedConnection)
  const end = new AbortController()
  const waiting = waitForPostgres(pool, { clock, signal: end.signal })
  await clock.advance(1_000)
  end.abort(new Error('stop'))
  await expect(waiting).rejects.toThrow('stop')
  expect(clock.pending).toBe(0)
  const before = tries()
  await expect(waitForPostgres(pool, { within: -1 })).rejects.toMatchObject({ code: 'invalid-argument' })
  await expect(waitForPostgres(pool, { for: 1 } as object)).rejects.toMatchObject({ code: 'invalid-argument' })
  expect(tries()).toBe(before)
})

describe.skipIf(!hasBinaries())('a server of PostgreSQL that is started later', { timeout: 120_000 }, () => {
  test('stores cannot be opened until then, which leaves nothing; what waits continues', async () => {
    const cluster = await Cluster.create({ name: `late-${process.pid}` })
    onTestFinished(() => cluster.dispose())
    await cluster.stop('fast')
    const pool = new pg.Pool({ connectionString: cluster.url })
    pool.on('error', () => {})
    onTestFinished(() => pool.end())
    const refused = { code: 'storage-failed', outcome: 'not-written', cause: { code: 'ECONNREFUSED' } }
    await expect(migratePostgres(pool)).rejects.toMatchObject(refused)
    await expect(openPostgresStore({ pool, name: 'shop' })).rejects.toMatchObject(refused)
    const waiting = waitForPostgres(pool)
    await cluster.start()
    await waiting
    await migratePostgres(pool)
    const store = await openPostgresStore({ pool, name: 'shop' })
    expect(await store.head()).toBe(0)
    await store.close()
  })
})
