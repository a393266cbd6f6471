// A database that is down for a while: who waits for a lock of it tries again, and leads once it is back.
import { randomUUID } from 'node:crypto'
import { EventEmitter } from 'node:events'
import pg from 'pg'
import { defineEvents, defineProjection, openReadModel, startProjection, table } from 'tidemark'
import { migratePostgres, openPostgresStore } from 'tidemark/postgres'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { AdvisoryLocks } from '../../../src/postgres/advisory-coordinator.js'
import { Database } from '../../../src/postgres/sql-database.js'
import { virtualClock } from '../../../src/testing/virtual-clock.js'
import { Cluster, findBinaries } from '../../support/postgres/cluster.js'

const failed = (code: string, severity?: string) =>
  Object.assign(new Error(code), { code, ...(severity && { severity }) })

/** Locks of a pool that fails with an error as long as there is one. */
function lockedBy(error: Error) {
  const clock = virtualClock()
  const state = { error: error as Error | undefined, tries: [] as number[], connections: 0, ending: false }
  const pool = {
    get ending() {
      return state.ending
    },
    query: async () => ({ rows: [] }),
    async connect() {
      state.tries.push(clock.monotonic())
      if (state.error !== undefined) throw state.error
      state.connections += 1
      return Object.assign(new EventEmitter(), {
        query: async (text: string) => ({ rows: text.includes('pg_try_advisory_lock') ? [{ got: 1 }] : [] }),
        release: () => (state.connections -= 1),
      })
    },
  }
  const coordinator = new AdvisoryLocks(new Database(pool), clock).of('test ')
  return { clock, state, coordinator }
}

describe('locks of a database that cannot be reached', () => {
  test.for([failed('ECONNREFUSED'), failed('57P03', 'FATAL'), failed('53300', 'FATAL'), failed('57P01', 'FATAL')])(
    'are waited for, with pauses that grow to 5 s: %s',
    async (error) => {
      const { clock, state, coordinator } = lockedBy(error)
      const waiting = coordinator.acquire('p')
      await clock.advance(60_000)
      const pauses = state.tries.slice(1).map((at, nth) => at - (state.tries[nth] as number))
      expect(pauses.length).toBeGreaterThan(10)
      expect(pauses.length).toBeLessThan(40)
      expect(Math.max(...pauses)).toBeLessThanOrEqual(5_000)
      expect(Math.min(...pauses)).toBeGreaterThanOrEqual(50)
      state.error = undefined
      const guard = await clock.runUntil(waiting)
      expect(state.connections).toBe(1)
      guard.release()
      await coordinator.close()
      await clock.advance(0)
      expect([state.connections, clock.pending]).toEqual([0, 0])
    },
  )

  test('are not waited for after an abort, nor after the store is closed', async () => {
    for (const how of ['abort', 'close'] as const) {
      const { clock, state, coordinator } = lockedBy(failed('ECONNREFUSED'))
      const controller = new AbortController()
      const waiting = coordinator.acquire('p', { signal: controller.signal })
      const why = waiting.catch((error: unknown) => error)
      await clock.advance(10_000)
      if (how === 'abort') controller.abort(new Error('no more'))
      else await coordinator.close()
      expect(await why).toMatchObject(how === 'abort' ? { message: 'no more' } : { code: 'closed' })
      const { length } = state.tries
      await clock.advance(60_000)
      expect([state.tries.length, clock.pending]).toEqual([length, 0])
    }
  })

  test('are refused where another try is useless: no right, no such function, a pool that was ended', async () => {
    for (const error of [failed('28P01', 'FATAL'), failed('42501', 'ERROR'), failed('0A000', 'ERROR')]) {
      const { coordinator } = lockedBy(error)
      await expect(coordinator.acquire('p')).rejects.toMatchObject({ cause: error })
    }
    const { state, coordinator } = lockedBy(failed('ECONNREFUSED'))
    state.ending = true
    await expect(coordinator.acquire('p')).rejects.toMatchObject({ code: 'storage-failed' })
  })
})

const events = defineEvents<{ type: 'Added'; data: number }>()
const counts = defineProjection(events, {
  name: 'counts',
  tables: { n: table<{ id: string; n: number }>({ key: 'id' }) },
  on: { Added: ({ stream }, { n }) => n.update(stream, (row) => ({ id: stream, n: (row?.n ?? 0) + 1 })) },
})
const patient = { timeout: 60_000, interval: 50 }

describe.skipIf(findBinaries() === undefined)(
  'a server that is stopped and started again',
  { timeout: 120_000 },
  () => {
    test.for(['immediate', 'fast'] as const)(
      'has its projections back, those that lead and those on standby, by themselves (stop -m %s)',
      async (how) => {
        const cluster = await Cluster.create({ name: `down-${randomUUID()}` })
        onTestFinished(() => cluster.dispose())
        const open = async () => {
          const pool = new pg.Pool({ connectionString: cluster.url })
          pool.on('error', () => {})
          onTestFinished(() => pool.end())
          if (opened.length === 0) await migratePostgres(pool)
          const store = await openPostgresStore({ pool, name: 'shop', events })
          onTestFinished(() => store.close())
          const phases: string[] = []
          const running = startProjection(store, counts)
          running.status.subscribe(() => phases.push(running.status.getSnapshot().phase))
          opened.push(running)
          return { store, running, phases }
        }
        const opened: object[] = []
        const first = await open()
        await vi.waitFor(() => expect(first.running.status.getSnapshot().leader).toBe(true), patient)
        const second = await open()
        await first.store.append('a', { type: 'Added', data: 1 })
        await first.running.caughtUp(1)
        await vi.waitFor(() => expect(second.running.status.getSnapshot().phase).toBe('standby'), patient)
        await cluster.stop(how)
        await vi.waitFor(() => expect(first.running.status.getSnapshot().lastError).toBeDefined(), patient)
        await cluster.start()
        await vi.waitFor(() => first.store.append('a', { type: 'Added', data: 2 }), patient)
        await vi.waitFor(() => {
          const [one, two] = [first, second].map(({ running }) => running.status.getSnapshot())
          expect([one?.position, two?.position]).toEqual([2, 2])
          expect([one?.leader, two?.leader].sort()).toEqual([false, true])
        }, patient)
        expect([...first.phases, ...second.phases]).not.toContain('faulted')
        const view = await openReadModel(second.store, counts)
        expect(await view.n.getAll()).toEqual([{ id: 'a', n: 2 }])
        await view.close()
      },
    )
  },
)
