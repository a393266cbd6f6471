import { afterEach, describe, expect, test, vi } from 'vitest'
import { defineEvents, liveProjection, openEventStore, type LiveQuery, type TidemarkStore } from 'tidemark'
import { virtualClock } from 'tidemark/testing'
import { openEventStore as openMemory, openSyncedStore as openSynced } from 'tidemark/memory'
import { fakeIndexedDB } from '../../support/fake-indexeddb.js'

fakeIndexedDB()

type Added = { type: 'Added'; data: number } | { type: 'Skipped'; data: null }
const events = defineEvents<Added>()
const added = (data: number) => ({ type: 'Added' as const, data })
const skipped = { type: 'Skipped' as const, data: null }
let count = 0

/** The value that a live query shows once it is of this position. */
async function shown<V>(query: LiveQuery<V>, position: number): Promise<V> {
  const snapshot = await vi.waitUntil(
    () => {
      const snapshot = query.getSnapshot()
      return snapshot.status === 'error' || (snapshot.status === 'ready' && snapshot.position === position)
        ? snapshot
        : undefined
    },
    { timeout: 20_000 },
  )
  if (snapshot.status === 'error') throw snapshot.error
  return snapshot.data
}

const unhandled = vi.fn()
process.on('unhandledRejection', unhandled)
afterEach(async () => {
  await new Promise((resolve) => setImmediate(resolve))
  expect(unhandled).not.toHaveBeenCalled()
})

describe.each([
  ['memory', openMemory],
  ['fake-indexeddb', openEventStore],
] as const)('%s', (_backend, open) => {
  const opened = () => open({ name: `live-${(count += 1)}`, events })

  test('the initial state belongs to the app: a fold that changes it in place starts from it in each live projection', async () => {
    const store = await opened()
    await store.append({ stream: 's', events: [added(1), added(2)] })
    const initial = { sum: 0, seen: [] as number[] }
    const specification = {
      initial,
      on: {
        Added: (state: typeof initial, event: { data: number }) => (
          state.seen.push(event.data),
          (state.sum += event.data),
          state
        ),
      },
    }
    const both = [liveProjection(store, specification), liveProjection(store, specification)]
    for (const each of both) {
      const stop = each.subscribe(() => {})
      expect(await shown(each, 2)).toEqual({ sum: 3, seen: [1, 2] })
      stop()
    }
    expect(initial).toEqual({ sum: 0, seen: [] })
    await store.close()
  })

  test('a state that is changed in place is shown with each change, and what was shown stays as it was', async () => {
    const store = await opened()
    await store.append({ stream: 's', events: [skipped] })
    const total = liveProjection(store, {
      initial: { sum: 0, by: new Map<string, number>() },
      on: {
        Added: (state, event) => {
          state.sum += event.data
          return state
        },
        Skipped: (state) => state,
      },
    })
    const values: unknown[] = []
    const stop = total.subscribe(() => {
      const snapshot = total.getSnapshot()
      if (snapshot.status === 'ready') values.push(snapshot.data)
    })
    await shown(total, 1)
    for (const position of [2, 3]) {
      await store.append({ stream: 's', events: [added(1)] })
      await shown(total, position)
    }
    const by = new Map()
    expect(values).toEqual([
      { sum: 0, by },
      { sum: 1, by },
      { sum: 2, by },
    ])
    stop()
    await store.close()
  })

  test('folds that return new states show these states, and one that returns the same changes nothing', async () => {
    const store = await opened()
    const states: object[] = []
    const initial = { sum: 0 }
    const total = liveProjection(store, {
      initial,
      on: {
        Added: (state, event) => {
          states.push({ sum: state.sum + event.data })
          return states.at(-1) as typeof initial
        },
        Skipped: (state) => state,
      },
    })
    const listener = vi.fn()
    const stop = total.subscribe(listener)
    expect(await shown(total, 0)).toBe(initial)
    await store.append({ stream: 's', events: [added(1)] })
    expect(await shown(total, 1)).toBe(states[0])
    await store.append({ stream: 's', events: [skipped] })
    await store.append({ stream: 's', events: [added(2)] })
    expect(await shown(total, 3)).toBe(states[1])
    expect(listener).toHaveBeenCalledTimes(3)
    stop()
    await store.close()
  })

  test('what a fold changed in place before it threw counts once, in the first run and in later ones', async () => {
    const store = await opened()
    let broken = true
    const seen: number[] = []
    const total = liveProjection(store, {
      initial: { sum: 0, by: [] as number[] },
      on: {
        Added: (state, event) => {
          seen.push(event.position)
          state.sum += event.data
          state.by.push(event.data)
          if (broken && event.data >= 2) throw new Error('after it')
          return state
        },
      },
    })
    const stop = total.subscribe(() => {})
    for (const [first, last, expected] of [
      [1, 2, { sum: 3, by: [1, 2] }],
      [3, 4, { sum: 10, by: [1, 2, 3, 4] }],
    ] as const) {
      broken = true
      seen.length = 0
      await store.append({ stream: 's', events: [added(first), added(last)] })
      await vi.waitUntil(() => total.getSnapshot().status === 'error', { timeout: 20_000 })
      broken = false
      // A call tries again immediately.
      expect(await total.ready()).toEqual(expected)
    }
    // What was shown before is not folded again.
    expect(Math.min(...seen)).toBe(3)
    stop()
    await store.close()
  })

  test('a state that cannot be copied is not taken back: what was folded before the fold that threw counts once', async () => {
    class Sum {
      value = 0
    }
    const store = await opened()
    let broken = true
    const total = liveProjection(store, {
      initial: { sums: new Sum() },
      on: {
        Added: (state, event) => {
          if (broken && event.data === 3) throw new Error('before it')
          state.sums.value += event.data
          return state
        },
      },
    })
    await store.append({ stream: 's', events: [added(1), added(2), added(3)] })
    await expect(total.ready()).rejects.toThrow('before it')
    broken = false
    expect((await total.ready()).sums.value).toBe(6)
    await store.close()
  })

  test('a fold that throws each time costs a copy of the state, and not all that came before it', async () => {
    const store = await opened()
    const seen: number[] = []
    let broken = true
    const total = liveProjection(store, {
      initial: { sum: 0 },
      on: {
        Added: (state, event) => {
          seen.push(event.data)
          state.sum += event.data
          if (broken && event.data === 4) throw new Error('after it')
          return state
        },
      },
    })
    await store.append({ stream: 's', events: [1, 2, 3, 4, 5].map(added) })
    for (let n = 0; n < 4; n += 1) await expect(total.ready()).rejects.toThrow('after it')
    expect(seen).toEqual([1, 2, 3, 4, 1, 2, 3, 4, 4, 4])
    broken = false
    expect(await total.ready()).toEqual({ sum: 15 })
    await store.close()
  })

  test('an initial state that is a promise is refused', async () => {
    const store = await opened()
    for (const initial of [Promise.resolve(1), Promise.reject(new Error('late'))]) {
      expect(() => liveProjection(store, { initial, on: { Added: (state) => state } })).toThrow(
        expect.objectContaining({
          code: 'invalid-argument',
          message: expect.stringMatching(/^initial must not be a promise/),
        }),
      )
    }
    await store.close()
  })

  test.for([
    async () => 1,
    async () => {
      throw new Error('late')
    },
  ])('a fold that returns a promise is an error that names it, and its state is not taken: %s', async (late) => {
    const store = await opened()
    await store.append({ stream: 's', events: [added(1), added(2)] })
    let broken = true
    const total = liveProjection(store, {
      initial: 0,
      on: { Added: (sum, event) => (broken && event.data === 2 ? (late() as never) : sum + event.data) },
    })
    const stop = total.subscribe(() => {})
    await expect(shown(total, 2)).rejects.toMatchObject({
      code: 'invalid-argument',
      message: expect.stringMatching(/^on\.Added must not return a promise/),
    })
    broken = false
    await store.append({ stream: 's', events: [added(4)] })
    await vi.waitUntil(() => total.getSnapshot().status === 'ready', { timeout: 20_000 })
    expect(await shown(total, 3)).toBe(7)
    stop()
    await store.close()
  })
})

test.each([
  ['memory', openMemory],
  ['fake-indexeddb', openEventStore],
  ['a synced store', openSynced],
] as const)('subscribers are notified when the store is closed, without any time: %s', async (_backend, open) => {
  const store = (await (open as typeof openSynced)({
    name: `live-${(count += 1)}`,
    events,
    ...(open === openSynced && { url: 'http://127.0.0.1:9/' }),
  } as never)) as TidemarkStore<Added>
  await store.append({ stream: 's', events: [added(1)] })
  const total = liveProjection(store, {
    initial: 0,
    clock: virtualClock(),
    on: { Added: (sum, event) => sum + event.data },
  })
  const told = vi.fn()
  const stop = total.subscribe(() => told(total.getSnapshot()))
  await vi.waitUntil(() => total.getSnapshot().data === 1, { timeout: 20_000 })
  await store.close()
  expect(total.getSnapshot()).toMatchObject({ status: 'error', error: { code: 'closed' }, data: 1, stale: true })
  expect(told).toHaveBeenLastCalledWith(total.getSnapshot())
  stop()
})
