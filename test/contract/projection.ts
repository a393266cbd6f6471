/** Projections over a real store: the rules of the runner, and the read model's exactly-once commit. */
import { describe, expect, test } from 'vitest'
import {
  defineEvents, defineProjection, destroyEventStore, openEventStore, openReadModel, runProjection, startProjection, table,
  type FailureStrategy, type Projector, type RecordedEvent,
} from 'tidemark'

type Event = { type: 'Added'; data: { to: string; amount: number } } | { type: 'Other'; data: null }
interface Sum { name: string; count: number; total: number }
const events = defineEvents<Event>()
const added = (to: string, amount: number) => ({ type: 'Added' as const, data: { to, amount } })

let count = 0
const open = () => openEventStore<Event>({ name: `projection-${(count += 1)}-${Math.random()}`, events, durability: 'relaxed' })

function sums(options: { version?: number; bad?: (event: RecordedEvent<Event>) => boolean; onError?: (retryCount: number) => FailureStrategy } = {}) {
  return defineProjection(events, {
    name: 'sums',
    version: options.version ?? 1,
    tables: { sums: table<Sum>({ key: 'name', indexes: { byTotal: 'total' } }) },
    on: {
      Added: async (event, { sums }) => {
        const { to, amount } = event.data
        const before = (await sums.get(to)) ?? { name: to, count: 0, total: 0 }
        sums.put({ ...before, count: before.count + 1, total: before.total + amount })
        if (options.bad?.(event) === true) throw new TypeError(`bad ${event.position}`)
      },
    },
    onError: ({ retryCount }) => options.onError?.(retryCount) ?? 'fatal',
  })
}

async function rowsOf(store: Awaited<ReturnType<typeof open>>, definition: ReturnType<typeof sums>): Promise<Sum[]> {
  const view = await openReadModel(store, definition)
  try {
    return await view.sums.getAll()
  } finally {
    await view.close()
  }
}

function fold(list: readonly RecordedEvent<Event>[]): Sum[] {
  const rows = new Map<string, Sum>()
  for (const event of list) {
    if (event.type !== 'Added') continue
    const { to, amount } = event.data
    const row = rows.get(to) ?? { name: to, count: 0, total: 0 }
    rows.set(to, { name: to, count: row.count + 1, total: row.total + amount })
  }
  return [...rows.values()].sort((left, right) => (left.name < right.name ? -1 : 1))
}
const all = async (store: Awaited<ReturnType<typeof open>>) => {
  const list: RecordedEvent<Event>[] = []
  for await (const event of store.read()) list.push(event)
  return list
}

export function projectionContract(): void {
  describe('plain projectors', () => {
    const fill = async (amounts: number) => {
      const store = await open()
      await store.append({ stream: 's', events: Array.from({ length: amounts }, (_, index) => added('a', index + 1)) })
      return store
    }
    const collector = (fails: (amount: number, attempt: number) => boolean = () => false, strategy: (retryCount: number) => FailureStrategy = () => 'fatal') => {
      const seen: number[] = []
      const counts: number[] = []
      let calls = 0
      const projector: Projector<Event> = {
        name: 'collector',
        filter: { types: ['Added'] },
        apply: (event) => {
          calls += 1
          const { amount } = event.data as { amount: number }
          if (fails(amount, calls)) throw new Error(`no ${amount}`)
          seen.push(amount)
        },
        onError: ({ retryCount }) => {
          counts.push(retryCount)
          return strategy(retryCount)
        },
      }
      return { projector, seen, counts, calls: () => calls }
    }
    const quick = { retry: { delay: 1 } }

    test('P1, P11: a batch applies everything once, and a second run nothing', async () => {
      const store = await fill(5)
      const first = collector()
      expect(await runProjection(first.projector, store)).toMatchObject({ applied: 5, position: 5, reason: 'caught-up' })
      expect(first.seen).toEqual([1, 2, 3, 4, 5])
      expect(await runProjection(collector().projector, store)).toMatchObject({ applied: 0, position: 5 })
      await store.close()
    })
    test('P6: a held lock is a leadership error, and nothing is applied', async () => {
      const store = await fill(1)
      const guard = await store.tryAcquire('collector')
      const { projector, seen } = collector()
      await expect(runProjection(projector, store)).rejects.toMatchObject({ code: 'leadership' })
      expect(seen).toEqual([])
      guard?.release()
      await store.close()
    })
    test('P13, N6: fatal keeps what came before and says everything about the event', async () => {
      const store = await fill(5)
      const first = collector((amount) => amount === 3)
      await expect(runProjection(first.projector, store)).rejects.toMatchObject({ code: 'failed', position: 3, stream: 's', eventType: 'Added', attempts: 1, cause: { message: 'no 3' } })
      expect(first.seen).toEqual([1, 2])
      const second = collector((amount) => amount === 3)
      await expect(runProjection(second.projector, store)).rejects.toMatchObject({ position: 3 })
      expect(second.seen).toEqual([])
      await store.close()
    })
    test('P14: skip goes on, for good', async () => {
      const store = await fill(5)
      const { projector, seen } = collector((amount) => amount === 3, () => 'skip')
      expect(await runProjection(projector, store)).toMatchObject({ applied: 4, skipped: 1 })
      expect(seen).toEqual([1, 2, 4, 5])
      await store.close()
    })
    test('P15, P19: retries are counted from 0, and the checkpoint stays before the event', async () => {
      const store = await fill(5)
      const run = collector((amount) => amount === 3, () => 'retry')
      await expect(runProjection(run.projector, store, quick)).rejects.toMatchObject({ attempts: 4 })
      expect(run.counts).toEqual([0, 1, 2, 3])
      expect(run.calls()).toBe(6)
      expect(await store.load('collector')).toBe(2)
      await store.close()
    })
    test('P20: what works at last is a success', async () => {
      const store = await fill(3)
      const { projector, seen } = collector((amount, calls) => amount === 2 && calls <= 3, () => 'retry')
      expect(await runProjection(projector, store, quick)).toMatchObject({ applied: 3 })
      expect(seen).toEqual([1, 2, 3])
      await store.close()
    })
    test('P26: reads that always fail end a batch after 6 of them', async () => {
      const store = await fill(1)
      let reads = 0
      const broken = { ...store, readEvents: () => Promise.reject(new Error(`read ${(reads += 1)}`)) }
      await expect(runProjection(collector().projector, broken, { poll: { failureBackoff: 1 } })).rejects.toMatchObject({ code: 'failed', cause: { message: 'read 6' } })
      expect(reads).toBe(6)
      await store.close()
    })
    test('V19: a configuration outside its range is refused', async () => {
      const store = await fill(1)
      for (const config of [{ retry: { backoffMultiplier: 0.5 } }, { retry: { delay: Number.NaN } }, { poll: { maxConsecutiveFailures: 0 } }]) {
        await expect(runProjection(collector().projector, store, config)).rejects.toMatchObject({ code: 'invalid-argument' })
      }
      await store.close()
    })
  })

  describe('read models', () => {
    test('N1, N10: thousands of events over many pages equal a plain fold, foreign ones move the checkpoint', async () => {
      const store = await open()
      for (let at = 0; at < 25; at += 1) {
        await store.append({ stream: `s${at}`, events: Array.from({ length: 400 }, (_, index) => (index % 4 === 0 ? { type: 'Other', data: null } : added(`k${index % 37}`, index))) })
      }
      await store.append({ stream: 'tail', events: Array.from({ length: 50 }, () => ({ type: 'Other', data: null })) })
      const definition = sums()
      expect(await runProjection(definition, store)).toMatchObject({ position: 10_050, reason: 'caught-up' })
      expect(await rowsOf(store, definition)).toEqual(fold(await all(store)))
      await store.close()
    })
    test('N13: of two runners that both believe to lead, every effect is there once', async () => {
      const store = await open()
      await store.append({ stream: 's', events: Array.from({ length: 300 }, (_, index) => added(`k${index % 5}`, 1)) })
      const definition = sums()
      // A coordinator that grants everything: leadership must not be what correctness rests on.
      const guard = { release() {} }
      store.tryAcquire = async () => guard
      store.acquire = async () => guard
      const runs = await Promise.allSettled([1, 2, 3].map(() => runProjection(definition, store, { batch: { maxEvents: 50 } })))
      for (const run of runs) if (run.status === 'rejected') expect(run.reason).toMatchObject({ code: 'leadership-lost' })
      expect(runs.some((run) => run.status === 'fulfilled')).toBe(true)
      expect(await rowsOf(store, definition)).toEqual(fold(await all(store)))
      await store.close()
    })
    test('N17, N18: a handler that throws leaves nothing behind, park goes on, and N20: a replay applies it once', async () => {
      const store = await open()
      await store.append({ stream: 's', events: Array.from({ length: 100 }, () => added('a', 1)) })
      let broken = true
      const definition = sums({ bad: (event) => broken && event.position === 37, onError: () => 'park' })
      expect(await runProjection(definition, store)).toMatchObject({ applied: 99, parked: 1, position: 100 })
      expect(await rowsOf(store, definition)).toEqual([{ name: 'a', count: 99, total: 99 }])
      const projection = startProjection(definition, store)
      await projection.caughtUp(100, { timeout: 5_000 })
      const letters = []
      for await (const letter of projection.deadLetters()) letters.push(letter)
      expect(letters).toMatchObject([{ position: 37, eventType: 'Added', stream: 's', errorName: 'TypeError', attempts: 1 }])
      await expect(letters[0]?.retry()).rejects.toThrow('bad 37')
      broken = false
      await letters[0]?.retry()
      expect(await rowsOf(store, definition)).toEqual([{ name: 'a', count: 100, total: 100 }])
      await expect(letters[0]?.retry()).rejects.toMatchObject({ code: 'invalid-argument' })
      const { position } = await store.append({ stream: 's', events: [added('a', 1)] })
      await projection.caughtUp(position, { timeout: 5_000 })
      expect(await rowsOf(store, definition)).toEqual([{ name: 'a', count: 101, total: 101 }])
      await projection.stop()
      await store.close()
    })
    test('N24, N26: read your writes, and a live query follows without losing its identity', async () => {
      const store = await open()
      const definition = sums()
      await using projection = startProjection(definition, store)
      const view = await openReadModel(store, definition)
      const live = view.live((tables) => tables.sums.getAll({ index: 'byTotal', direction: 'prev', limit: 2 }))
      let changes = 0
      const unsubscribe = live.subscribe(() => (changes += 1))
      const { position } = await store.append({ stream: 's', events: [added('a', 1), added('b', 5), added('c', 3)] })
      expect(await projection.caughtUp(position, { timeout: 5_000 })).toMatchObject({ position: 3, stale: false })
      await expect.poll(() => live.getSnapshot()).toMatchObject({ state: 'ready', value: [{ name: 'b' }, { name: 'c' }] })
      const before = live.getSnapshot()
      const other = await store.append({ stream: 's', events: [{ type: 'Other', data: null }] })
      await projection.caughtUp(other.position, { timeout: 5_000 })
      expect(live.getSnapshot()).toBe(before)
      expect(changes).toBeGreaterThan(0)
      unsubscribe()
      await view.close()
    })
    test('N27, N40: paused is stored, says so at once, and resume goes on', async () => {
      const store = await open()
      const definition = sums()
      const first = startProjection(definition, store)
      await first.pause()
      await first.stop()
      const second = startProjection(definition, store)
      const { position } = await store.append({ stream: 's', events: [added('a', 1)] })
      await expect.poll(() => second.status.getSnapshot().phase).toBe('paused')
      await expect(second.caughtUp(position)).rejects.toMatchObject({ message: expect.stringContaining('paused') })
      await second.resume()
      await second.caughtUp(position, { timeout: 5_000 })
      expect(await rowsOf(store, definition)).toEqual([{ name: 'a', count: 1, total: 1 }])
      await second.stop()
      await store.close()
    })
    test('N30, N34: a new version is built beside the old one, which stays as it was', async () => {
      const store = await open()
      await store.append({ stream: 's', events: [added('a', 1)] })
      await runProjection(sums(), store)
      await store.append({ stream: 's', events: [added('a', 1)] })
      await runProjection(sums({ version: 2 }), store)
      expect(await rowsOf(store, sums())).toEqual([{ name: 'a', count: 1, total: 1 }])
      expect(await rowsOf(store, sums({ version: 2 }))).toEqual([{ name: 'a', count: 2, total: 2 }])
      await store.close()
    })
    test('N38: a budget ends the run after at least one batch, and the next run goes on', async () => {
      const store = await open()
      await store.append({ stream: 's', events: Array.from({ length: 100 }, () => added('a', 1)) })
      const definition = sums()
      let runs = 0
      for (let reason = ''; reason !== 'caught-up' && runs < 200; runs += 1) ({ reason } = await runProjection(definition, store, { budget: { maxEvents: 30 } }))
      expect(runs).toBe(4)
      expect(await rowsOf(store, definition)).toEqual([{ name: 'a', count: 100, total: 100 }])
      await store.close()
    })
    test('N39: an aborted continuous run settles, and what it committed is consistent', async () => {
      const store = await open()
      await store.append({ stream: 's', events: Array.from({ length: 50 }, () => added('a', 1)) })
      const controller = new AbortController()
      const definition = sums({ bad: (event) => (event.position === 25 && controller.abort(), false) })
      expect(await runProjection(definition, store, { mode: 'continuous', signal: controller.signal })).toMatchObject({ reason: 'aborted' })
      await runProjection(definition, store)
      expect(await rowsOf(store, definition)).toEqual([{ name: 'a', count: 50, total: 50 }])
      await store.close()
    })
    test('destroying a store takes its read models with it, and not those of its neighbours', async () => {
      const names = ['x', 'x:sums@1'].map((name) => `${name}-${(count += 1)}-${Math.random()}`)
      for (const name of names) {
        const store = await openEventStore<Event>({ name, events })
        await store.append({ stream: 's', events: [added('a', 1)] })
        await runProjection(sums(), store)
        await store.close()
      }
      await destroyEventStore(names[0] as string)
      const again = await openEventStore<Event>({ name: names[0] as string, events })
      expect(await again.head()).toBe(0)
      expect(await rowsOf(again, sums())).toEqual([])
      await again.close()
      const neighbour = await openEventStore<Event>({ name: names[1] as string, events })
      expect(await rowsOf(neighbour, sums())).toEqual([{ name: 'a', count: 1, total: 1 }])
      await neighbour.close()
    })
    test('N17: updates of one row side by side all count, a late write is refused, and what cannot be frozen is a copy', async () => {
      const store = await open()
      const refused: unknown[] = []
      const definition = defineProjection(events, {
        name: 'careful',
        tables: { rows: table<{ name: string; n: number; at: Date }>({ key: 'name' }) },
        on: {
          Added: async ({ position }, { rows }) => {
            const more = () => rows.update('a', (row) => ({ name: 'a', n: (row?.n ?? 0) + 1, at: new Date(1000) }))
            await Promise.all([more(), more(), more()])
            const row = await rows.get('a')
            row?.at.setTime(0)
            expect(() => Object.assign(row ?? {}, { n: -1 })).not.toThrow()
            // Not awaited on purpose: it comes back after the handler ended.
            if (position === 1) void new Promise((resolve) => setTimeout(resolve)).then(() => rows.put({ name: 'late', n: 1, at: new Date() })).catch((error: unknown) => refused.push(error))
          },
        },
      })
      await store.append({ stream: 's', events: [added('a', 1), added('a', 1)] })
      await runProjection(definition, store)
      await expect.poll(() => refused).toMatchObject([{ code: 'invalid-argument' }])
      await store.append({ stream: 's', events: [added('a', 1)] })
      await runProjection(definition, store)
      const view = await openReadModel(store, definition)
      expect(await view.rows.getAll()).toEqual([{ name: 'a', n: 9, at: new Date(1000) }])
      await view.close()
      await store.close()
    })
    test('rows without such parts are frozen', async () => {
      const store = await open()
      await store.append({ stream: 's', events: [added('a', 1)] })
      const definition = defineProjection(events, {
        name: 'frozen',
        tables: { rows: table<{ name: string; tags: string[] }>({ key: 'name' }) },
        on: {
          Added: async (_event, { rows }) => {
            rows.put({ name: 'a', tags: [] })
            ;(await rows.get('a'))?.tags.push('x')
          },
        },
      })
      await expect(runProjection(definition, store)).rejects.toMatchObject({ code: 'failed', cause: { name: 'TypeError' } })
      await store.close()
    })
    test('rebuild folds everything again', async () => {
      const store = await open()
      await store.append({ stream: 's', events: [added('a', 1), added('a', 2)] })
      const definition = sums()
      const projection = startProjection(definition, store)
      await projection.caughtUp(2, { timeout: 5_000 })
      await projection.rebuild()
      await expect.poll(() => rowsOf(store, definition), { timeout: 5_000 }).toEqual([{ name: 'a', count: 2, total: 3 }])
      await projection.stop()
      await store.close()
    })
  })
}
