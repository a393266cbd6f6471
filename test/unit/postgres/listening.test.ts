// The connection that listens: one, however it is lost, and given back in the end.
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { Hub } from '../../../src/postgres/hub.js'
import { Database } from '../../../src/postgres/sql-database.js'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

/** A pool whose connections break while they begin to listen, that many of them, as those of `pg` do: event, then rejection. */
function poolThatBreaks(times: number) {
  let left = times
  const listening = new Set<object>()
  let out = 0
  const connect = async () => {
    out += 1
    const errors = new Set<(error: unknown) => void>()
    const client = {
      async query(text: string) {
        if (!text.startsWith('listen')) return { rows: [] }
        listening.add(client)
        if ((left -= 1) >= 0) {
          const error = Object.assign(new Error('reset'), { code: 'ECONNRESET' })
          for (const each of errors) each(error)
          throw error
        }
        return { rows: [] }
      },
      release() {
        out -= 1
        listening.delete(client)
      },
      on: (event: string, listener: (error: unknown) => void) => void (event === 'error' && errors.add(listener)),
      removeListener: (_event: string, listener: (error: unknown) => void) => void errors.delete(listener),
    }
    return client
  }
  const pool = { connect, query: async () => ({ rows: [] }) }
  return { pool, listening: () => listening.size, out: () => out }
}

test('a database that hangs is asked for heads once, and not every 5 s by one more connection', async () => {
  let asked = 0
  const pool = {
    async connect() {
      return {
        query: (text: string) => {
          if (text.startsWith('select name, head')) {
            asked += 1
            return new Promise<never>(() => {})
          }
          return Promise.resolve({ rows: [] })
        },
        release() {},
        on() {},
        removeListener() {},
      }
    },
    query: async () => ({ rows: [] }),
  }
  const hub = new Hub(new Database(pool), 'tidemark')
  const stop = hub.subscribe('log', () => {})
  await vi.advanceTimersByTimeAsync(40_000)
  expect(asked).toBe(1)
  await vi.advanceTimersByTimeAsync(40_000)
  expect(asked).toBe(2)
  stop()
  await vi.advanceTimersByTimeAsync(60_000)
  expect(vi.getTimerCount()).toBe(0)
})

test.for([0, 1, 3])(
  'one connection listens after %i were lost while they began to, and none is kept',
  async (times) => {
    const { pool, listening, out } = poolThatBreaks(times)
    const hub = new Hub(new Database(pool), 'tidemark')
    const stop = hub.subscribe('log', () => {})
    await vi.advanceTimersByTimeAsync(30_000)
    expect(listening()).toBe(1)
    stop()
    await hub.settled('log')
    expect([listening(), out()]).toEqual([0, 0])
    expect(vi.getTimerCount()).toBe(0)
  },
)
