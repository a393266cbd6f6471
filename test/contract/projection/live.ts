/** Live queries and live projections: failures, hung runs, torn reads, and the end. */
import { describe, expect, test } from 'vitest'
import { liveProjection, openReadModel, runProjection, type LiveQuery } from 'tidemark'
import { virtualClock, type VirtualClock } from 'tidemark/testing'
import { added, folded, newName, sums, type Backend, type Store } from './model.js'

const soon = { timeout: 25_000 }

/** Lets time pass, a second at a time and with the storage given its time, until the snapshot matches. */
async function until(clock: VirtualClock, live: LiveQuery<unknown>, snapshot: object): Promise<void> {
  await expect
    .poll(
      async () => {
        await clock.advance(1_000)
        return live.getSnapshot()
      },
      { ...soon, interval: 5 },
    )
    .toMatchObject(snapshot)
}
const add = async (store: Store, to: string, amount: number) => {
  await store.append({ stream: 's', events: [added(to, amount)] })
  await runProjection(store, sums())
}

export function liveContract({ name, open }: Backend): void {
  describe(`live queries: ${name}`, () => {
    test('a query that failed once recovers by itself, with no commit and no subscriber after that', async () => {
      const { store } = await folded(open)
      const clock = virtualClock()
      const view = await openReadModel(store, sums(), { clock })
      let failing = false
      const live = view.live(async ({ sums }) => {
        const count = await sums.count()
        if (failing) throw new Error('the disk is asleep')
        return count
      })
      const stop = live.subscribe(() => {})
      await expect.poll(() => live.getSnapshot(), soon).toMatchObject({ status: 'ready', data: 2 })
      failing = true
      await add(store, 'c', 1)
      await expect
        .poll(() => live.getSnapshot(), soon)
        .toMatchObject({ status: 'error', error: { message: 'the disk is asleep' }, data: 2 })
      failing = false
      await until(clock, live, { status: 'ready', data: 3 })
      stop()
      expect(clock.pending).toBe(0)
      await view.close()
      await store.close()
    })

    test('a query that failed runs at once for a new subscriber, and after a commit', async () => {
      const { store } = await folded(open)
      const clock = virtualClock()
      const view = await openReadModel(store, sums(), { clock })
      let failing = true
      const live = view.live(async ({ sums }) => {
        const rows = await sums.getAll()
        if (failing) throw new Error('no')
        return rows.length
      })
      const stops = [live.subscribe(() => {})]
      await expect.poll(() => live.getSnapshot(), soon).toMatchObject({ status: 'error' })
      failing = false
      stops.push(live.subscribe(() => {}))
      await expect.poll(() => live.getSnapshot(), soon).toMatchObject({ status: 'ready', data: 2 })
      failing = true
      await add(store, 'c', 1)
      await expect.poll(() => live.getSnapshot(), soon).toMatchObject({ status: 'error', data: 2 })
      failing = false
      await add(store, 'd', 1)
      await expect.poll(() => live.getSnapshot(), soon).toMatchObject({ status: 'ready', data: 4 })
      for (const stop of stops) stop()
      await view.close()
      await store.close()
    })

    test('a query whose function never ends is given up after 30 s, and the next run shows', async () => {
      const { store } = await folded(open)
      const clock = virtualClock()
      const view = await openReadModel(store, sums(), { clock })
      let comeBack = (_value: number) => {}
      let runs = 0
      const live = view.live(async ({ sums }) => {
        runs += 1
        const count = await sums.count()
        return runs === 1 ? new Promise<number>((resolve) => (comeBack = resolve)) : count
      })
      const stop = live.subscribe(() => {})
      await expect.poll(() => runs, soon).toBe(1)
      await until(clock, live, { status: 'error', error: { code: 'query-timeout' } })
      comeBack(-1)
      await add(store, 'c', 1)
      await expect.poll(() => live.getSnapshot(), soon).toMatchObject({ status: 'ready', data: 3 })
      // What the late one had read does not decide what the next one hears of.
      await add(store, 'd', 1)
      await expect.poll(() => live.getSnapshot(), soon).toMatchObject({ status: 'ready', data: 4 })
      stop()
      await view.close()
      await store.close()
    })

    test('a view that was closed says so in its live queries, those at rest included, with what they showed last', async () => {
      const { store } = await folded(open)
      const clock = virtualClock()
      const view = await openReadModel(store, sums(), { clock })
      const watched = view.live(({ sums }) => sums.count())
      const resting = view.live(({ sums }) => sums.get('a'))
      const fresh = view.live(({ sums }) => sums.getAll())
      const heard: unknown[] = []
      watched.subscribe(() => heard.push(watched.getSnapshot()))
      const rest = resting.subscribe(() => {})
      for (const live of [watched, resting])
        await expect.poll(() => live.getSnapshot(), soon).toMatchObject({ status: 'ready' })
      rest()
      await view.close()
      const error = { code: 'closed', message: expect.stringContaining("'sums@1'") }
      expect(watched.getSnapshot()).toMatchObject({ status: 'error', error, data: 2 })
      expect(heard.at(-1)).toBe(watched.getSnapshot())
      expect(resting.getSnapshot()).toMatchObject({ status: 'error', error, data: { name: 'a', total: 4 } })
      expect(resting.getSnapshot()).toBe(resting.getSnapshot())
      expect(fresh.getSnapshot()).toMatchObject({ status: 'error', error })
      expect(fresh.getSnapshot()).toMatchObject({ data: undefined, stale: false })
      expect(clock.pending).toBe(0)
      const stop = fresh.subscribe(() => expect.fail('there is nothing to tell'))
      expect([clock.pending, fresh.getServerSnapshot()]).toEqual([0, { status: 'loading', stale: false }])
      stop()
      await add(store, 'c', 1)
      await clock.advance(120_000)
      expect(watched.getSnapshot()).toBe(heard.at(-1))
      await store.close()
    })

    test('what a run reads belongs to one moment, also if a commit comes between its reads in every run', async () => {
      const { store } = await folded(open)
      const view = await openReadModel(store, sums())
      const torn: unknown[] = []
      let commits = 0
      const both = view.live(async ({ sums }) => {
        const range = { lower: 'a', upper: 'a' }
        const [one, all] = [await sums.get('a'), await sums.getAll({ index: 'byTotal', direction: 'prev', limit: 5 })]
        if (commits < 20) {
          commits += 1
          await add(store, 'a', 1)
        }
        const [again, some] = [await sums.get('a'), await sums.getAll({ range })]
        return [one, all.find(({ name }) => name === 'a'), again, some[0]].map((row) => row?.total)
      })
      const whileCommitting = new Set<unknown>()
      const look = () => {
        const snapshot = both.getSnapshot()
        if (snapshot.status !== 'ready') return
        if (new Set(snapshot.data).size > 1) torn.push(snapshot.data)
        if (commits < 20) whileCommitting.add(snapshot.data[0])
      }
      const stop = both.subscribe(look)
      await expect
        .poll(() => both.getSnapshot(), soon)
        .toMatchObject({ status: 'ready', data: [24, 24, 24, 24], position: 23 })
      expect(torn).toEqual([])
      // The second try of every run, which reads at one moment what the first one asked, is whole.
      expect(whileCommitting.size).toBeGreaterThan(5)
      stop()
      await view.close()
      await store.close()
    })

    test('an answer that is torn in every try is not shown, and shows once it is whole', async () => {
      const { store } = await folded(open)
      const view = await openReadModel(store, sums())
      let tearing = true
      let runs = 0
      const live = view.live(async ({ sums }) => {
        runs += 1
        const first = await sums.get('a')
        // Asks something else in each run, which so cannot be read beforehand.
        if (tearing) await add(store, 'a', 1)
        const others = await sums.getAll({ range: { lower: 'a', upper: `a${runs}` } })
        return [first?.total, others[0]?.total]
      })
      const shown: unknown[] = []
      const stop = live.subscribe(() => shown.push(live.getSnapshot()))
      await expect.poll(() => runs, soon).toBeGreaterThan(6)
      expect([live.getSnapshot(), shown]).toEqual([{ status: 'loading', stale: false }, []])
      tearing = false
      await expect.poll(() => live.getSnapshot(), soon).toMatchObject({ status: 'ready' })
      const { data: value } = live.getSnapshot() as { data: readonly number[] }
      expect(value[0]).toBe(value[1])
      stop()
      await view.close()
      await store.close()
    })

    test('live queries that have answers keep them while reads are torn, as stale ones', async () => {
      const { store } = await folded(open)
      const view = await openReadModel(store, sums())
      let tearing = 0
      let runs = 0
      const live = view.live(async ({ sums }) => {
        runs += 1
        const first = await sums.get('a')
        if (tearing > 0) {
          tearing -= 1
          await add(store, 'a', 1)
        }
        const others = await sums.getAll({ range: { lower: 'a', upper: `a${runs}` } })
        return [first?.total, others[0]?.total]
      })
      const shown: unknown[] = []
      const stop = live.subscribe(() => {
        const snapshot = live.getSnapshot()
        shown.push(snapshot.status === 'ready' ? [...snapshot.data, snapshot.stale] : snapshot.status)
      })
      await expect.poll(() => shown, soon).toEqual([[4, 4, false]])
      tearing = 3
      await add(store, 'a', 1)
      await expect
        .poll(() => shown, soon)
        .toEqual([
          [4, 4, false],
          [4, 4, true],
          [8, 8, false],
        ])
      stop()
      await view.close()
      await store.close()
    })

    test('a live projection that failed once recovers by itself', async () => {
      const store = await open(newName())
      await store.append({ stream: 's', events: [added('a', 1), added('a', 2)] })
      const clock = virtualClock()
      let failing = true
      const readPage: Store['readPage'] = (...given) =>
        failing ? Promise.reject(new Error('the disk is asleep')) : store.readPage(...given)
      const total = liveProjection(
        { ...store, readPage },
        { initial: 0, clock, on: { Added: (sum, event) => sum + event.data.amount } },
      )
      const stop = total.subscribe(() => {})
      await expect
        .poll(() => total.getSnapshot(), soon)
        .toMatchObject({ status: 'error', error: { message: 'the disk is asleep' } })
      failing = false
      await until(clock, total, { status: 'ready', data: 3 })
      stop()
      expect(clock.pending).toBe(0)
      await store.close()
    })

    test('a live projection whose read never ends is given up, and what comes late is not folded twice', async () => {
      const store = await open(newName())
      await store.append({ stream: 's', events: Array.from({ length: 50 }, () => added('a', 1)) })
      const clock = virtualClock()
      let release = () => {}
      const held = new Promise<void>((resolve) => (release = resolve))
      let reads = 0
      const readPage = (async (...given: Parameters<Store['readPage']>) => {
        reads += 1
        const page = await store.readPage(...given)
        if (reads === 1) await held
        return page
      }) as Store['readPage']
      const total = liveProjection(
        { ...store, readPage },
        { initial: 0, clock, on: { Added: (sum, event) => sum + event.data.amount } },
      )
      const shown: unknown[] = []
      const stop = total.subscribe(() => shown.push(total.getSnapshot()))
      await expect.poll(() => reads, soon).toBe(1)
      await until(clock, total, { status: 'ready', data: 50, position: 50 })
      expect(shown).toMatchObject([{ status: 'error', error: { code: 'query-timeout' } }, { status: 'ready' }])
      release()
      await store.append({ stream: 's', events: [added('a', 1)] })
      await expect.poll(() => total.getSnapshot(), soon).toMatchObject({ status: 'ready', data: 51, position: 51 })
      stop()
      await store.close()
    })

    test('a live projection of a store that was closed says so, also at rest and to a new subscriber, and frees everything', async () => {
      const store = await open(newName())
      await store.append({ stream: 's', events: [added('a', 1)] })
      const clock = virtualClock()
      const make = () =>
        liveProjection(store, { initial: 0, clock, on: { Added: (sum, event) => sum + event.data.amount } })
      const [watched, resting, fresh] = [make(), make(), make()]
      const stop = watched.subscribe(() => {})
      const rest = resting.subscribe(() => {})
      for (const live of [watched, resting])
        await expect.poll(() => live.getSnapshot(), soon).toMatchObject({ status: 'ready', data: 1 })
      rest()
      await store.close()
      expect(resting.getSnapshot()).toMatchObject({ status: 'error', error: { code: 'closed' }, data: 1 })
      fresh.subscribe(() => {})
      expect(fresh.getSnapshot()).toMatchObject({ status: 'error', error: { code: 'closed' } })
      await until(clock, watched, { status: 'error', error: { code: 'closed' }, data: 1 })
      expect(clock.pending).toBe(0)
      stop()
    })
  })
}
