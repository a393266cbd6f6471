// A connection that died silently, as where a router forgot it: only a question without a reply shows that.
import { openPostgresLogStore } from 'tidemark/postgres'
import { serverLog } from 'tidemark/server'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { AdvisoryLocks } from '../../../src/postgres/advisory-coordinator.js'
import { Hub } from '../../../src/postgres/hub.js'
import { Database } from '../../../src/postgres/sql-database.js'
import { systemClock } from '../../../src/platform/clock.js'
import { inSchema, throughProxy } from '../../support/postgres/in-schema.js'

inSchema('a connection that a router forgot', 60_000, (subject) => {
  const through = throughProxy(subject)
  const databaseThroughProxy = () =>
    new Database(through.pool({ max: 4, idleTimeoutMillis: 1 }), { every: 100, within: 3_000 })

  test('one that listens is opened again, and what came meanwhile is told', async () => {
    const { schema } = subject
    const hub = new Hub(databaseThroughProxy(), schema)
    const writer = serverLog(openPostgresLogStore({ pool: subject.pool, schema, log: 'heard' }))
    const push = (id: string) =>
      writer.push({ commits: [{ events: [{ stream: id, type: 'A', id, time: 1, data: null }] }] }, { author: 'anna' })
    const heads: number[] = []
    const stop = hub.subscribe('heard', (head) => void heads.push(head))
    await push('one')
    await expect.poll(() => heads.at(-1)).toBe(1)
    const listening = `select pid from pg_stat_activity where query in ('select 1', 'listen "tidemark_${schema}"') and state = 'idle'`
    const pids = async () => (await subject.pool.query<{ pid: number }>(listening)).rows.map(({ pid }) => pid)
    await expect.poll(async () => (await pids()).length).toBe(1)
    const [before] = await pids()
    through.proxy.forget()
    await push('two')
    // The server does not know that it is dead.
    await expect.poll(async () => (await pids()).filter((pid) => pid !== before).length, { timeout: 20_000 }).toBe(1)
    await expect.poll(() => heads.at(-1)).toBe(2)
    const count = heads.length
    await push('three')
    await expect.poll(() => heads.slice(count)).toContain(3)
    stop()
    await hub.settled('heard')
  })

  test('one that holds locks says that they are lost, and they are taken again over another one', async () => {
    const locks = new AdvisoryLocks(databaseThroughProxy(), systemClock).of(`${subject.schema}/`)
    const held = await locks.acquire('mine')
    const other = await locks.tryAcquire('other')
    expect([held.lost?.aborted, other?.lost?.aborted]).toEqual([false, false])
    // Asked again and again, and nothing is lost by that.
    const asked = `select query from pg_stat_activity where query = 'select 1' and pid in (select pid from pg_locks where locktype = 'advisory')`
    await expect.poll(async () => (await subject.pool.query(asked)).rows.length).toBe(1)
    expect(held.lost?.aborted).toBe(false)
    through.proxy.forget()
    await expect.poll(() => [held.lost?.aborted, other?.lost?.aborted], { timeout: 20_000 }).toEqual([true, true])
    held.release()
    other?.release()
    // The server keeps the lock until it notices by itself.
    expect(await locks.tryAcquire('mine')).toBeUndefined()
    await subject.pool.query(`select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and pid in
      (select pid from pg_stat_activity where query = 'select 1')`)
    const again = await locks.acquire('mine')
    expect(again.lost?.aborted).toBe(false)
    again.release()
    await locks.close()
  })

  test('the server is told to look for itself: within half a minute, not after two hours', async () => {
    const session = await databaseThroughProxy().session()
    const [row] = await session.query(
      `select current_setting('tcp_keepalives_idle') as idle, current_setting('tcp_keepalives_interval') as interval,
        current_setting('tcp_keepalives_count') as count`,
    )
    const { idle, interval, count } = row as Record<string, unknown>
    expect(Number(idle) + Number(interval) * Number(count)).toBeLessThanOrEqual(30)
    session.end()
  })
})

describe('a session', () => {
  beforeEach(() => void vi.useFakeTimers())
  afterEach(() => void vi.useRealTimers())

  /** A connection whose statements return after a while, or never. */
  function connection(delay: () => number) {
    const sent: string[] = []
    let isReleased = false
    const client = {
      query: (text: string) =>
        new Promise<{ rows: [] }>((resolve) => {
          sent.push(text)
          const ms = delay()
          if (ms === 0) resolve({ rows: [] })
          else if (ms < Infinity) setTimeout(() => resolve({ rows: [] }), ms)
        }),
      release: () => void (isReleased = true),
      on() {},
      removeListener() {},
    }
    return { pool: { connect: async () => client, query: client.query }, sent, isReleased: () => isReleased }
  }

  test('asks every 15 s, and is lost 15 s after it has no reply', async () => {
    let delay = 0
    const { pool, sent, isReleased } = connection(() => delay)
    const session = await new Database(pool).session()
    const lost = vi.fn<() => void>()
    session.onLost(lost)
    sent.splice(0)
    await vi.advanceTimersByTimeAsync(150_000)
    expect(sent).toEqual(Array.from({ length: 10 }, () => 'select 1'))
    // Slow, and there.
    delay = 14_000
    await vi.advanceTimersByTimeAsync(150_000)
    expect(lost).not.toHaveBeenCalled()
    delay = Infinity
    await vi.advanceTimersByTimeAsync(60_000)
    expect(lost).toHaveBeenCalledTimes(1)
    expect(isReleased()).toBe(true)
    expect(vi.getTimerCount()).toBe(0)
  })

  test('that waits for a statement asks nothing in between, and nothing once it has ended', async () => {
    for (const end of ['end', 'giveBack'] as const) {
      let delay = 0
      const { pool, sent } = connection(() => delay)
      const session = await new Database(pool).session()
      const lost = vi.fn<() => void>()
      session.onLost(lost)
      delay = 40_000
      const long = session.query('select pg_sleep(40)')
      await vi.advanceTimersByTimeAsync(0)
      delay = 0
      sent.splice(0)
      await vi.advanceTimersByTimeAsync(39_000)
      expect(sent).toEqual([])
      await vi.advanceTimersByTimeAsync(1_000)
      await long
      session[end]()
      await vi.advanceTimersByTimeAsync(100_000)
      expect(lost).not.toHaveBeenCalled()
      expect(vi.getTimerCount()).toBe(0)
    }
  })

  test('of a process that was held up is not lost because of that', async () => {
    let reply: (() => void) | undefined
    const { pool } = connection(() => 0)
    const client = await pool.connect()
    client.query = (text) =>
      new Promise((resolve) => {
        if (text === 'select 1') reply = () => resolve({ rows: [] })
        else resolve({ rows: [] })
      })
    const session = await new Database(pool).session()
    const lost = vi.fn<() => void>()
    session.onLost(lost)
    await vi.advanceTimersByTimeAsync(15_000)
    expect(reply).toBeDefined()
    // All timers that are due come before the reply, which has been there for long.
    vi.advanceTimersToNextTimer()
    reply?.()
    await vi.advanceTimersByTimeAsync(1_000)
    expect(lost).not.toHaveBeenCalled()
    session.end()
    expect(vi.getTimerCount()).toBe(0)
  })
})
