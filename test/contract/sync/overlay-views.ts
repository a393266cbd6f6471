/** What an app sees of views over its outbox. */
import {
  defineEvents,
  defineProjection,
  liveProjection,
  table,
  tidemark,
  type LiveQuery,
  type TidemarkStore,
} from 'tidemark'
import { verifyReadModel } from 'tidemark'
import { describe, expect, test } from 'vitest'
import { openReadModel } from '../../../src/sync/synced-read-model.js'
import { nextTask } from '../../../src/platform/tasks.js'
import { seededRandom } from '../../../src/testing/random.js'
import { virtualClock } from '../../../src/testing/virtual-clock.js'
import { heldClock } from '../../support/held-clock.js'
import { Tab, type TestEvent } from './overlay-device.js'
import type { OverlayBackend } from './overlay-model.js'

type Event = { type: 'Added'; data: { key: string; by: number } } | { type: 'Removed'; data: { key: string } }

const events = defineEvents<Event>()

/** Handlers of pending events wait for it. */
let gate: Promise<void> | undefined
const model = defineProjection(events, {
  name: 'sums',
  tables: {
    sums: table<{ key: string; sum: number; version: number; pending: boolean }>()({
      key: 'key',
      indexes: { bySum: 'sum' },
    }),
    other: table<{ key: string }>({ key: 'key' }),
  },
  on: {
    async Added(event, { sums }) {
      const { key, by } = event.data
      if (by < 0) throw new Error('less than nothing')
      if (event.pending === true) await gate
      const row = await sums.get(key)
      sums.put({ key, sum: (row?.sum ?? 0) + by, version: event.version, pending: event.pending === true })
    },
    Removed({ data: { key } }, { sums }) {
      sums.delete(key)
    },
  },
  onFailure: () => 'skip',
})

let serial = 0
const added = (key: string, by = 1, stream = key): TestEvent => ({
  id: `event-${(serial += 1)}`,
  type: 'Added',
  stream,
  data: { key, by },
})
const removed = (key: string): TestEvent => ({ ...added(key), type: 'Removed', data: { key } })

/** Calls back with how often a live query was told something. */
function followed(query: LiveQuery<unknown>): () => number {
  let calls = 0
  query.subscribe(() => {
    calls += 1
  })
  return () => calls
}

export function overlayViews(backend: OverlayBackend): void {
  const opened = async () => {
    const name = `views-${crypto.randomUUID()}`
    const open = async () =>
      new Tab(await backend.open({ name, url: 'https://example.com/log', durability: 'relaxed', events }))
    const tab = await open()
    const clock = virtualClock()
    const view = await openReadModel(tab.synced as never, model, { clock })
    return { tab, view, clock, open }
  }

  describe(`what an app sees of its outbox, ${backend.name}`, () => {
    test('N71: rows and lists say what is pending, and that ends when its event is in the rows', async () => {
      const { tab, view } = await opened()
      const foreign = [added('a', 1), added('b', 2)]
      await tab.pull([foreign], [])
      await tab.run(model as never)
      const [a, b, list, count] = [
        view.sums.liveRow('a'),
        view.sums.liveRow('b'),
        view.sums.live({ index: 'bySum', limit: 5 }),
        view.sums.liveCount(),
      ]
      for (const each of [a, b, list, count]) followed(each)
      await Promise.all([a.ready(), b.ready(), list.ready(), count.ready()])
      const pending = () => [a, b, list, count].map((each) => (each.getSnapshot() as { pending?: true }).pending)
      expect(pending()).toEqual([undefined, undefined, undefined, undefined])
      const mine = added('a', 10)
      await tab.append([mine])
      expect(await a.ready()).toMatchObject({ key: 'a', sum: 11, version: 2, pending: true })
      await Promise.all([b.ready(), list.ready(), count.ready()])
      expect(pending()).toEqual([true, undefined, true, true])
      expect(await view.sums.pendingKeys()).toEqual(['a'])
      expect(await view.other.pendingKeys()).toEqual([])
      expect(await view.confirmed.sums.get('a')).toMatchObject({ sum: 1 })
      expect(await view.confirmed.sums.getAll({ index: 'bySum' })).toMatchObject([{ sum: 1 }, { sum: 2 }])
      await tab.pull([[mine]], foreign)
      expect(await view.sums.get('a')).toMatchObject({ sum: 11 })
      await tab.run(model as never)
      await expect.poll(pending, { interval: 1 }).toEqual([undefined, undefined, undefined, undefined])
      expect(await a.ready()).toMatchObject({ sum: 11, version: 2, pending: false })
      expect(await view.sums.pendingKeys()).toEqual([])
      await view.close()
      await tab.store.close()
    })

    test('N71: a list that lacks a row because of a pending event says so, until that is settled', async () => {
      const { tab, view } = await opened()
      const foreign = [added('a'), added('b')]
      await tab.pull([foreign], [])
      await tab.run(model as never)
      const list = view.sums.live({ index: 'bySum' })
      followed(list)
      await list.ready()
      const mine = removed('a')
      await tab.append([mine])
      expect(await list.ready()).toMatchObject([{ key: 'b' }])
      expect(list.getSnapshot()).toMatchObject({ pending: true })
      await tab.pull([[mine]], foreign)
      await tab.run(model as never)
      await expect.poll(() => 'pending' in list.getSnapshot(), { interval: 1 }).toBe(false)
      await view.close()
      await tab.store.close()
    })

    test('N72: of many queries those run again that an append touches, by the time it resolves', async () => {
      const { tab, view } = await opened()
      const foreign = Array.from({ length: 100 }, (_, at) => added(`k${at}`))
      await tab.pull([foreign], [])
      await tab.run(model as never)
      const runs = new Map<string, number>()
      const queries = foreign.map((_, at) =>
        view.live([at], async ({ sums }) => {
          runs.set(`k${at}`, (runs.get(`k${at}`) ?? 0) + 1)
          return sums.get(`k${at}`)
        }),
      )
      queries.forEach(followed)
      await Promise.all(queries.map((query) => query.ready()))
      runs.clear()
      const mine = added('k7', 5)
      await tab.append([mine])
      await Promise.all(queries.map((query) => query.ready()))
      expect([...runs]).toEqual([['k7', 1]])
      expect(await queries[7]?.ready()).toMatchObject({ sum: 6 })
      runs.clear()
      const theirs = added('k8', 5)
      await tab.pull([[theirs], [mine]], foreign)
      await tab.run(model as never)
      await expect.poll(() => queries[8]?.ready(), { interval: 1 }).toMatchObject({ sum: 6 })
      await expect
        .poll(() => 'pending' in (queries[7] as LiveQuery<unknown>).getSnapshot(), { interval: 1 })
        .toBe(false)
      expect([...runs.keys()].sort()).toEqual(['k7', 'k8'])
      await view.close()
      await tab.store.close()
    })

    test('N70: rows that move while own events are laid over them are in no result together with those before', async () => {
      const { tab, view } = await opened()
      const foreign = [added('a', 1), added('b', 1)]
      await tab.pull([foreign], [])
      await tab.run(model as never)
      await tab.append([added('a', 10)])
      let open = () => {}
      gate = new Promise((resolve) => {
        open = resolve
      })
      const asked = view.sums.getAll()
      // The own event waits in its handler, over rows that were read already.
      for (let turn = 0; turn < 20; turn += 1) await nextTask()
      await tab.pull([[added('a', 2), added('b', 2)]], foreign)
      await tab.run(model as never)
      open()
      gate = undefined
      const sums = ((await asked) as { sum: number }[]).map(({ sum }) => sum)
      expect([
        [11, 1],
        [13, 3],
      ]).toContainEqual(sums)
      await view.close()
      await tab.store.close()
    })

    test('N70: rows that move once they were read do not make a reader begin again', async () => {
      const tab = new Tab(
        await backend.open({ name: `views-${crypto.randomUUID()}`, url: 'https://example.com/log', events }),
      )
      let folded = 0
      let open = () => {}
      const opened = new Promise<void>((resolve) => (open = resolve))
      const gated = defineProjection(events, {
        name: 'gated',
        tables: { sums: table<{ key: string; sum: number }>({ key: 'key' }) },
        fold: {
          sums: {
            key: ({ type, data }) => (type === 'Added' ? data.key : undefined),
            evolve: (row, { type, data, pending }) => {
              if (pending === true) folded += 1
              return { key: data.key, sum: (row?.sum ?? 0) + (type === 'Added' ? data.by : 0) }
            },
          },
        },
        on: { Added: async ({ pending }) => (pending === true ? opened : undefined) },
      })
      const view = await openReadModel(tab.synced as never, gated, { clock: virtualClock() })
      const foreign = [added('a', 1)]
      await tab.pull([foreign], [])
      await tab.run(gated as never)
      await tab.append([added('a', 10), added('a', 100)])
      const asked = view.sums.getAll()
      for (let turn = 0; turn < 20; turn += 1) await nextTask()
      await tab.pull([[added('a', 1000)]], foreign)
      await tab.run(gated as never)
      open()
      expect(await asked).toMatchObject([{ key: 'a', sum: 111 }])
      expect(folded).toBe(2)
      await view.close()
      await tab.store.close()
    })

    test('N73: an event whose handler throws is left out, and its commit says why; nothing else stops', async () => {
      const { tab, view } = await opened()
      const commit = await tab.append([added('a', 1), added('b', -1), added('c', 1)])
      expect(await view.sums.getAll()).toMatchObject([{ key: 'a' }, { key: 'c' }])
      expect(await tab.synced.ownCommit(commit.id)).toMatchObject({
        status: 'pending',
        unshown: new Error('less than nothing'),
      })
      await view.close()
      await tab.store.close()
    })

    test('N73: what is verified, folded for good and read again are confirmed events only', async () => {
      const { tab, view } = await opened()
      const foreign = [added('a')]
      await tab.pull([foreign], [])
      await tab.append([added('a'), added('b')])
      await tab.run(model as never)
      expect(await view.confirmed.sums.getAll()).toMatchObject([{ key: 'a', sum: 1 }])
      expect(await view.sums.getAll()).toMatchObject([
        { key: 'a', sum: 2 },
        { key: 'b', sum: 1 },
      ])
      const report = await verifyReadModel(tab.store as TidemarkStore<Event>, model)
      expect(report).toMatchObject({ ok: true })
      expect(await view.position()).toBe(1)
      await view.close()
      await tab.store.close()
    })

    test('N74: a value that is folded in memory holds pending events once, and confirmed ones for good', async () => {
      const { tab, view, clock } = await opened()
      const total = liveProjection(tab.store as TidemarkStore<Event>, {
        initial: { sum: 0, seen: [] as string[] },
        on: {
          Added: (state, { id, data }) => ({ sum: state.sum + data.by, seen: [...state.seen, id] }),
        },
        clock,
      })
      followed(total)
      expect(await total.ready()).toEqual({ sum: 0, seen: [] })
      const mine = [added('a', 2), added('b', 3)]
      await tab.append(mine)
      const ids = mine.map(({ id }) => id)
      await expect.poll(() => total.ready(), { interval: 1 }).toEqual({ sum: 5, seen: ids })
      expect(total.getSnapshot()).toMatchObject({ pending: true })
      const foreign = [added('c', 10)]
      await tab.pull([foreign], [])
      const theirs = foreign.map(({ id }) => id)
      await expect.poll(() => total.ready(), { interval: 1 }).toEqual({ sum: 15, seen: [...theirs, ...ids] })
      await tab.pull([mine], foreign)
      await expect.poll(() => 'pending' in total.getSnapshot(), { interval: 1 }).toBe(false)
      expect(await total.ready()).toEqual({ sum: 15, seen: [...theirs, ...ids] })
      await view.close()
      await tab.store.close()
    })

    test('N74: what a fold changed in place before it threw counts once', async () => {
      const { tab, view, clock } = await opened()
      let broken = true
      const total = liveProjection(tab.store as TidemarkStore<Event>, {
        initial: { sum: 0 },
        on: {
          Added: (state, { data }) => {
            state.sum += data.by
            if (broken) throw new Error('after it')
            return state
          },
        },
        clock,
      })
      followed(total)
      await tab.pull([[added('c', 10)]], [])
      await expect.poll(() => total.getSnapshot().status, { interval: 1 }).toBe('error')
      broken = false
      expect(await total.ready()).toEqual({ sum: 10 })
      await view.close()
      await tab.store.close()
    })

    test('N74: what a fold changed in place for a pending event before it threw is not shown', async () => {
      const { tab, view, clock } = await opened()
      const total = liveProjection(tab.store as TidemarkStore<Event>, {
        initial: { sum: 0, most: 100 },
        on: {
          Added(state, { data }) {
            state.sum += data.by
            // It depends on the state as well, so that one that is left out by mistake is noticed.
            if (data.by < 0 || state.sum > state.most) throw new Error('after it')
            return state
          },
        },
        clock,
      })
      followed(total)
      await tab.pull([[added('c', 10)]], [])
      await tab.append([added('a', 1), added('b', 95), added('c', 2), added('d', -5), added('e', 3)])
      await expect.poll(() => total.ready(), { interval: 1 }).toMatchObject({ sum: 16 })
      await tab.append([added('f', 84)])
      await expect.poll(() => total.ready(), { interval: 1 }).toMatchObject({ sum: 100 })
      await view.close()
      await tab.store.close()
    })

    test('N74: of pending events a value folds those that were appended since, and each of them once', async () => {
      const { tab, view, clock } = await opened()
      const calls: string[] = []
      const total = liveProjection(tab.store as TidemarkStore<Event>, {
        initial: { seen: [] as string[] },
        on: {
          Added(state, { id }) {
            calls.push(id)
            state.seen.push(id)
            return state
          },
        },
        clock,
      })
      followed(total)
      await tab.pull([[added('c', 10)]], [])
      await expect.poll(() => calls.length, { interval: 1 }).toBe(1)
      const shown: unknown[] = []
      for (let at = 0; at < 20; at += 1) {
        const mine = added('a', at)
        await tab.append([mine])
        await expect.poll(async () => (await total.ready()).seen.at(-1), { interval: 1 }).toBe(mine.id)
        shown.push(total.getSnapshot().data)
      }
      expect(calls).toHaveLength(21)
      expect(new Set(calls).size).toBe(21)
      // What was shown is not changed in place by what is folded later.
      expect(shown.map((data) => (data as { seen: unknown[] }).seen.length)).toEqual(shown.map((_, at) => at + 2))
      await view.close()
      await tab.store.close()
    })

    test.for([1, 2, 3, 4])(
      'N74: a value is as if it were folded from nothing, whatever comes, seed %i',
      async (seed) => {
        const random = seededRandom(seed)
        const { tab, view, clock } = await opened()
        const fold = () =>
          liveProjection(tab.store as TidemarkStore<Event>, {
            initial: { sum: 0, seen: [] as string[] },
            on: {
              Added(state, { id, data, version, position }) {
                state.sum += data.by
                state.seen.push(`${id} ${version} ${position} ${state.sum}`)
                // It depends on the state, so that one that is left out by mistake is noticed.
                if (state.sum % 5 === 0) throw new Error('after it')
                return state
              },
            },
            clock,
          })
        const total = fold()
        followed(total)
        const log: TestEvent[] = []
        for (let step = 0; step < 40; step += 1) {
          if (random() < 0.7) {
            const more = Array.from({ length: 1 + Math.floor(random() * 3) }, () =>
              added(`k${step % 3}`, 1 + Math.floor(random() * 6)),
            )
            await tab.append(more)
          } else {
            // The fold of the log itself must not throw: the sum of the confirmed ones is never a multiple of five.
            const sum = log.reduce((all, { data }) => all + (data as { by: number }).by, 0)
            const theirs = [added(`k${step % 3}`, sum % 5 === 4 ? 2 : 1)]
            await tab.pull([theirs], log)
            log.push(...theirs)
          }
          const scratch = fold()
          const wanted = await scratch.ready()
          await expect.poll(() => total.ready(), { interval: 1, message: `step ${step}` }).toEqual(wanted)
        }
        await view.close()
        await tab.store.close()
      },
    )

    test('N74: a write is visible at once, whatever the projection does', async () => {
      const { tab, view } = await opened()
      // No time passes, so that no wait ends because it took too long.
      const clock = heldClock()
      const app = tidemark({
        name: tab.store.name,
        events,
        models: { sums: model },
        open: async () => tab.store as never,
        run: false,
        clock,
      })
      const row = app.sums.sums.liveRow('a')
      followed(row)
      expect(await row.ready()).toBeUndefined()
      const { visible } = await app.append('a', events.Added({ key: 'a', by: 4 }), { until: 'visible', timeout: 10 })
      expect(visible).toBe(true)
      expect(row.getSnapshot()).toMatchObject({ data: { sum: 4 }, pending: true })
      clock.release()
      await app.close()
      await view.close()
    })

    test('N75: rows of a log whose end was taken back show each own event once, and are made again behind readers', async () => {
      const { tab, view } = await opened()
      const seen = async () =>
        ((await view.sums.getAll()) as { key: string; sum: number }[]).map(({ key, sum }) => [key, sum])
      const [f1, f2, g1] = [added('f', 1), added('f', 2), added('g', 12)]
      const [o1, o2] = [added('o', 16), added('p', 32)]
      await tab.append([o1])
      await tab.append([o2])
      await tab.pull([[f1], [o1], [f2], [o2]], [])
      await tab.run(model as never)
      const before = await seen()
      expect(before).toEqual([
        ['f', 3],
        ['o', 16],
        ['p', 32],
      ])
      await tab.takeBack(1, `again-${crypto.randomUUID()}`)
      expect((await tab.snapshot()).outbox.map(({ events: [first] }) => first?.id)).toEqual([o1.id, o2.id])
      expect(await seen()).toEqual(before)
      // Shorter than it was.
      await tab.pull([[g1], [o1]], [f1])
      expect(await seen()).toEqual(before)
      await tab.run(model as never, 1)
      expect(await seen()).toEqual(before)
      await tab.run(model as never)
      expect(await seen()).toEqual([
        ['f', 1],
        ['g', 12],
        ['o', 16],
        ['p', 32],
      ])
      expect(await view.sums.pendingKeys()).toEqual(['p'])
      // Nothing of what is in the rows was taken back this time.
      await tab.pull([[added('g', 1)]], [f1, g1, o1])
      await tab.takeBack(3, `again-${crypto.randomUUID()}`)
      await tab.run(model as never)
      expect(await view.confirmed.sums.getAll()).toHaveLength(3)
      await view.close()
      await tab.store.close()
    })

    if (backend.shared)
      test('N72: another tab shows it once it was notified', async () => {
        const { tab, view, open } = await opened()
        const other = await open()
        const there = await openReadModel(other.synced as never, model)
        const row = there.sums.liveRow('a')
        followed(row)
        expect(await row.ready()).toBeUndefined()
        await tab.append([added('a', 3)])
        expect(await there.sums.get('a')).toMatchObject({ sum: 3 })
        await expect.poll(() => row.ready(), { interval: 1 }).toMatchObject({ sum: 3 })
        await there.close()
        await view.close()
        await other.store.close()
        await tab.store.close()
      })
  })
}
