/** What live queries show once a projection has caught up: the same in a local store as in one that syncs. */
import { defineEvents, defineProjection, openReadModel, startProjection, table, type TidemarkStore } from 'tidemark'
import type { SyncedStore } from 'tidemark/sync'
import { describe, expect, test } from 'vitest'
import { Tab } from './sync/overlay-device.js'

type Added = { type: 'Added'; data: { key: string } }

const events = defineEvents<Added>()
const items = defineProjection(events, {
  name: 'items',
  tables: {
    items: table<{ key: string; times: number }>({ key: 'key' }),
    totals: table<{ id: string; times: number }>({ key: 'id' }),
  },
  on: {
    async Added({ data: { key } }, { items, totals }) {
      const [item, total] = await Promise.all([items.get(key), totals.get('all')])
      items.put({ key, times: (item?.times ?? 0) + 1 })
      totals.put({ id: 'all', times: (total?.times ?? 0) + 1 })
    },
  },
})

/** One store, open in one or more contexts. */
export interface CaughtUpSubject {
  readonly contexts: readonly TidemarkStore[]
  /** Stores an event of another device, or of another context. */
  elsewhere(key: string): Promise<unknown>
  /** Stores an event that stays pending, where there is such a thing. */
  pending?(key: string): Promise<unknown>
}

let serial = 0

/** A store that syncs. */
export function syncedSubject(opened: readonly SyncedStore[]): CaughtUpSubject {
  const tabs = opened.map((store) => new Tab(store))
  const [tab] = tabs as [Tab, ...Tab[]]
  const event = (key: string) => ({ id: `event-${(serial += 1)}`, type: 'Added', stream: key, data: { key } })
  const pulled: ReturnType<typeof event>[] = []
  return {
    contexts: tabs.map(({ store }) => store),
    async elsewhere(key) {
      const made = event(key)
      await tab.pull([[made]], pulled)
      pulled.push(made)
    },
    pending: (key) => tab.append([event(key)]),
  }
}

export const localSubject = (contexts: readonly TidemarkStore[]): CaughtUpSubject => ({
  contexts,
  elsewhere: (key) => (contexts[0] as TidemarkStore).append(key, [{ type: 'Added', data: { key } }]),
})

/** @param count of contexts that one store may be open in */
export function caughtUpContract(name: string, open: () => Promise<CaughtUpSubject>, count: 1 | 2): void {
  /** A context with its projection and the queries that an app shows. */
  const shown = async (store: TidemarkStore) => {
    const handle = startProjection(store, items as never)
    const view = await openReadModel(store, items as never as typeof items)
    const runs = { other: 0 }
    const queries = {
      list: view.items.live(),
      count: view.items.liveCount(),
      total: view.totals.liveRow('all'),
      both: view.live(async ({ items, totals }) => [await items.count(), (await totals.get('all'))?.times ?? 0]),
    }
    const other = view.live(async ({ items }) => {
      runs.other += 1
      return items.get('never')
    })
    for (const query of [...Object.values(queries), other]) query.subscribe(() => {})
    await Promise.all([...Object.values(queries), other].map((query) => query.ready()))
    return { handle, view, queries, other, runs, store }
  }
  type Shown = Awaited<ReturnType<typeof shown>>
  const ready = async ({ list, count, total, both }: Shown['queries']) => {
    const answers = [list.ready(), count.ready(), total.ready(), both.ready()] as const
    const [rows, n, sum, pair] = await Promise.all(answers)
    return { keys: rows.map(({ key }) => key), n, times: sum?.times, pair }
  }
  const end = async (all: readonly Shown[]) => {
    for (const { handle, view } of all) {
      await handle.stop()
      await view.close()
    }
    for (const { store } of all) await store.close()
  }

  describe(`live queries after caughtUp, ${name}`, () => {
    for (const at of count === 1 ? [0] : [0, 1])
      for (const withOwn of [false, true])
        test(`N102: ready() has what the rows have, ${at === 0 ? 'in the context that leads' : 'in one that follows'}${withOwn ? ', with events that are pending' : ''}`, async () => {
          const subject = await open()
          const all: Shown[] = []
          for (const store of subject.contexts) all.push(await shown(store))
          const { handle, queries, store, view } = all[at] as Shown
          const keys: string[] = []
          let times = 0
          for (let round = 0; round < 8; round += 1) {
            const key = `key ${round}`
            await subject.elsewhere(key)
            keys.push(key)
            times += 1
            if (withOwn && round % 3 === 1 && subject.pending !== undefined) {
              await subject.pending(key)
              times += 1
            }
            await handle.caughtUp(await store.head())
            expect(await ready(queries)).toEqual({ keys, n: keys.length, times, pair: [keys.length, times] })
            expect(await view.items.count()).toBe(keys.length)
          }
          await end(all)
        })

    test('N102: ready() runs no query again that is known to be true', async () => {
      const subject = await open()
      const [store] = subject.contexts as [TidemarkStore, ...TidemarkStore[]]
      const one = await shown(store)
      const { handle, other, runs, queries, view } = one
      await subject.elsewhere('first')
      await handle.caughtUp(await store.head())
      await Promise.all([other.ready(), ready(queries)])
      // Queries that run again because of the first commit have done so.
      await expect.poll(() => queries.count.getSnapshot().data).toBe(1)
      await other.ready()
      const before = runs.other
      for (const key of ['second', 'third']) {
        await subject.elsewhere(key)
        await handle.caughtUp(await store.head())
        await ready(queries)
        expect(await view.items.count()).toBe(queries.count.getSnapshot().data)
        expect(other.ready()).toBe(other.ready())
        await other.ready()
      }
      expect(runs.other).toBe(before)
      await end([one, ...(await Promise.all(subject.contexts.slice(1).map(shown)))])
    })

    test('N102: the first query to read the rows of a view runs once, however many ask for its answer', async () => {
      const subject = await open()
      const [store] = subject.contexts as [TidemarkStore, ...TidemarkStore[]]
      await subject.elsewhere('first')
      const handle = startProjection(store, items as never)
      await handle.caughtUp(await store.head())
      await handle.stop()
      for (const how of ['together', 'one after the other']) {
        const view = await openReadModel(store, items as never as typeof items)
        let runs = 0
        const query = view.live(({ items }) => {
          runs += 1
          return items.count()
        })
        query.subscribe(() => {})
        if (how !== 'together') await query.ready()
        query.subscribe(() => {})
        expect([await query.ready(), await query.ready(), runs], how).toEqual([1, 1, 1])
        await view.close()
      }
      for (const each of subject.contexts) await each.close()
    })

    test('N102: ready() of a view that is closed meanwhile rejects', async () => {
      const subject = await open()
      const [store] = subject.contexts as [TidemarkStore, ...TidemarkStore[]]
      const one = await shown(store)
      await subject.elsewhere('first')
      await one.handle.caughtUp(await store.head())
      const answers = Object.values(one.queries).map((query) => query.ready())
      const outcomes = Promise.allSettled(answers)
      await one.view.close()
      for (const outcome of await outcomes)
        expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'closed' } })
      await end([one, ...(await Promise.all(subject.contexts.slice(1).map(shown)))])
    })
  })
}
