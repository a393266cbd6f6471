// What hundreds of live queries cost, counted: transactions of log and read model, runs of queries, and snapshots.
import { afterEach, expect, test, vi } from 'vitest'
import {
  defineEvents,
  defineProjection,
  openEventStore,
  openReadModel,
  runProjection,
  startProjection,
  table,
  type LiveQuery,
} from 'tidemark'
import { virtualClock } from '../../../src/testing/virtual-clock.js'
import { storeInternals } from '../../../src/log/open.js'
import { openView } from '../../../src/reading/open-view.js'
import { fakeIndexedDB } from '../../support/fake-indexeddb.js'

fakeIndexedDB()

afterEach(() => void vi.restoreAllMocks())

type Event = { type: 'Put'; data: { id: number; rank: number } }
const events = defineEvents<Event>()
const ranks = defineProjection(events, {
  name: 'ranks',
  tables: {
    rows: table<{ id: number; rank: number }>()({ key: 'id', indexes: { byRank: 'rank' } }),
    others: table<{ id: number }>({ key: 'id' }),
  },
  on: { Put: ({ data }, { rows }) => rows.put(data) },
})

/** A store, its projection and a view with so many rows of rank 0, and transactions counted. */
async function opened(rows: number) {
  const clock = virtualClock()
  const store = await openEventStore({ name: `ranks-${crypto.randomUUID()}`, events })
  const projection = startProjection(store, ranks, { clock })
  const view = await openReadModel(store, ranks, { clock })
  const watch = await openView(store, ranks, clock)
  const put = async (id: number, rank: number) => {
    const { position } = await store.append('s', events.Put({ id, rank }))
    // No time passes, and so nothing looks by the clock.
    await projection.caughtUp(position)
    await watch.published(position)
  }
  const { position } = await store.append(
    's',
    Array.from({ length: rows }, (_, id) => events.Put({ id, rank: 0 })),
  )
  await clock.runUntil(projection.caughtUp(position))
  const transactions = vi.spyOn(IDBDatabase.prototype, 'transaction')
  const opening = vi.spyOn(indexedDB, 'open')
  const told: number[] = []
  const show = async (queries: LiveQuery<unknown>[]) => {
    for (const [at, live] of queries.entries()) live.subscribe(() => void told.push(at))
    await Promise.all(queries.map((live) => live.ready()))
    // Lets go of the timers of these promises.
    told.length = 0
    transactions.mockClear()
  }
  const close = async () => {
    expect(opening).not.toHaveBeenCalled()
    watch.close()
    await view.close()
    await projection.stop()
    await store.close()
  }
  const published = (until: number) => watch.published(until)
  return { clock, store, projection, view, put, show, told, transactions, published, close }
}

test('of 500 rows on screen one changes: an append and a commit that says what it stored, and one snapshot', async () => {
  const { view, put, show, told, transactions, close } = await opened(500)
  const queries = Array.from({ length: 500 }, (_, id) => view.rows.liveRow(id))
  await show(queries)
  const before = queries.map((live) => live.getSnapshot())
  await put(250, 7)
  expect(transactions).toHaveBeenCalledTimes(2)
  expect(told).toEqual([250])
  expect(queries[250]?.getSnapshot()).toMatchObject({ data: { id: 250, rank: 7 }, stale: false })
  expect(queries.filter((live, id) => live.getSnapshot() !== before[id])).toHaveLength(1)
  await close()
})

test('a handler that updates rows waits for each until the run has rested: then the small table is in memory', async () => {
  const name = `ranks-${crypto.randomUUID()}`
  const updating = defineProjection(events, {
    name: 'updated',
    tables: { rows: table<{ id: number; rank: number }>()({ key: 'id', indexes: { byRank: 'rank' } }) },
    on: {
      Put: ({ data }, { rows }) => rows.update(data.id, (row) => ({ id: data.id, rank: (row?.rank ?? 0) + data.rank })),
    },
  })
  const filling = await openEventStore({ name, events })
  await filling.append(
    's',
    Array.from({ length: 500 }, (_, id) => events.Put({ id, rank: id })),
  )
  await runProjection(filling, updating)
  await filling.close()
  const clock = virtualClock()
  const store = await openEventStore({ name, events })
  const projection = startProjection(store, updating, { clock })
  const view = await openReadModel(store, updating, { clock })
  await clock.runUntil(projection.caughtUp(500))
  const shown: number[] = []
  for (let id = 0; id < 500; id += 1) {
    const live = view.rows.liveRow(id)
    live.subscribe(() => void shown.push(live.getSnapshot().data?.rank ?? -1))
    await live.ready()
  }
  const transactions = vi.spyOn(IDBDatabase.prototype, 'transaction')
  const change = async (id: number) => {
    shown.length = 0
    transactions.mockClear()
    const { position } = await store.append('s', events.Put({ id, rank: 1_000 }))
    await projection.caughtUp(position)
    await vi.waitFor(() => expect(shown).toEqual([id + 1_000]))
    return transactions.mock.calls.map(([, mode]) => mode)
  }
  expect(await change(3)).toEqual(['readwrite', 'readonly', 'readwrite'])
  // Right after it, nothing is read ahead: events that follow would wait for that.
  expect(await change(4)).toEqual(['readwrite', 'readonly', 'readwrite'])
  transactions.mockClear()
  await clock.advance(60)
  await vi.waitFor(() => expect(transactions.mock.calls.length).toBeGreaterThan(2))
  await clock.advance(0)
  expect(await change(5)).toEqual(['readwrite', 'readwrite'])
  expect(await change(499)).toEqual(['readwrite', 'readwrite'])
  await view.close()
  await projection.stop()
  await store.close()
})

test('500 rows are read in one transaction when they are first shown, and when nothing is known of what changed', async () => {
  const { clock, store, projection, view, show, told, transactions, close } = await opened(500)
  const queries = Array.from({ length: 500 }, (_, id) => view.rows.liveRow(id))
  for (const live of queries) live.subscribe(() => {})
  await Promise.all(queries.map((live) => live.ready()))
  expect(transactions).toHaveBeenCalledTimes(1)
  await show(queries)
  // Another tab commits, and its hint is lost.
  const { signals } = storeInternals(store)
  vi.spyOn(signals, 'post').mockImplementation(() => {})
  const { position } = await store.append('s', events.Put({ id: 3, rank: 1 }))
  await clock.runUntil(projection.caughtUp(position))
  await clock.advance(5_000)
  // The look has begun; the storage is real, and takes its own time.
  await vi.waitFor(() => expect(told).toEqual([3]))
  expect(queries[3]?.getSnapshot()).toMatchObject({ data: { rank: 1 } })
  await close()
})

test('500 windows over one index do not run for a row outside of all, and those that it enters do', async () => {
  const { view, put, show, told, transactions, close } = await opened(20)
  let runs = 0
  const windows = Array.from({ length: 500 }, (_, from) =>
    view.live([from], ({ rows }) => {
      runs += 1
      return rows.getAll({ index: 'byRank', range: { lower: -from / 1000 }, limit: 10 })
    }),
  )
  await show(windows)
  runs = 0
  // Behind the last row by its key: the key in the index is the same.
  await put(50, 0)
  expect([runs, told, transactions.mock.calls.length]).toEqual([0, [], 2])
  transactions.mockClear()
  await put(51, -0.45)
  expect([runs, told.length, transactions.mock.calls.length]).toEqual([50, 50, 3])
  await close()
})

test('200 queries and ten appends one after the other: 30 transactions', async () => {
  const { view, put, show, told, transactions, close } = await opened(200)
  await show([
    ...Array.from({ length: 199 }, (_, id) => view.rows.live({ range: { lower: id }, limit: 5 })),
    view.rows.liveCount(),
  ])
  for (let each = 1; each <= 10; each += 1) await put(each * 10, each)
  expect(transactions).toHaveBeenCalledTimes(30)
  expect(told.length).toBeGreaterThan(0)
  await close()
})

test('1,000 queries at rest: five looks in ten seconds, three of them of the run, and without queries as many', async () => {
  const { clock, view, show, told, transactions, close } = await opened(1000)
  const rest = async () => {
    // The pauses of the run have grown to five seconds by then.
    await clock.advance(30_000)
    transactions.mockClear()
    await clock.advance(10_000)
    return transactions.mock.calls.length
  }
  const without = await rest()
  await show(Array.from({ length: 1000 }, (_, id) => view.rows.liveRow(id)))
  expect([without, await rest()]).toEqual([5, 5])
  expect(told).toEqual([])
  await close()
})

test('a commit that touches no key of a query runs none', async () => {
  const { view, put, show, told, transactions, close } = await opened(10)
  let runs = 0
  await show([
    view.rows.liveRow(3),
    view.others.liveCount(),
    view.rows.live({ range: { upper: 5 } }),
    view.live(async ({ rows }) => {
      runs += 1
      return Promise.all([rows.get(1), rows.getMany([2, 100])])
    }),
  ])
  runs = 0
  await put(8, 1)
  await put(77, 1)
  expect([told, runs, transactions.mock.calls.length]).toEqual([[], 0, 4])
  await put(100, 1)
  expect([told, runs, transactions.mock.calls.length]).toEqual([[3], 1, 7])
  await close()
})

test('two views and many queries share looks, and what they ask in one turn is one transaction', async () => {
  const { clock, store, view, show, transactions, close } = await opened(10)
  const other = await openReadModel(store, ranks, { clock })
  await show([view.rows.liveRow(3), other.rows.liveRow(4)])
  await Promise.all([view.rows.get(1), other.rows.getAll(), view.rows.count(), other.rows.getMany([1])])
  expect(transactions).toHaveBeenCalledTimes(1)
  transactions.mockClear()
  await clock.advance(30_000)
  transactions.mockClear()
  await clock.advance(5_000)
  // One look at the read model for all, and two of the run: at the log, and every other time at its state.
  expect(transactions).toHaveBeenCalledTimes(3)
  await other.close()
  await close()
})

test('a change during a run is held against what that run read, not against the answer before it', async () => {
  const { store, view, projection, show, close } = await opened(0)
  const put = async (id: number, rank: number) => {
    const { position } = await store.append('s', events.Put({ id, rank }))
    await projection.caughtUp(position)
  }
  for (const id of [0, 1, 2]) await put(id, id)
  let held: Promise<void> | undefined
  let runs = 0
  const live = view.live(['held'], async ({ rows }) => {
    const found = await rows.getAll({ index: 'byRank', limit: 2 })
    runs += 1
    await held
    return found.map(({ id, rank }) => [id, rank])
  })
  await show([live])
  expect(live.getSnapshot()).toMatchObject({
    data: [
      [0, 0],
      [1, 1],
    ],
  })
  let release = () => {}
  held = new Promise((resolve) => (release = resolve))
  runs = 0
  // The second row goes, so that the run finds the third.
  await put(1, 9)
  await vi.waitFor(() => expect(runs).toBe(1))
  // Behind the last row of the answer before.
  await put(2, 5)
  release()
  expect(await live.ready()).toEqual([
    [0, 0],
    [2, 5],
  ])
  await close()
})

/** A follower with 1,000 queries at rest. The leader hears nothing of it, and its clock does not move: it is frozen. */
async function following() {
  const name = `ranks-${crypto.randomUUID()}`
  const [led, followed] = [virtualClock(), virtualClock()]
  vi.stubGlobal('BroadcastChannel', undefined)
  const leading = await openEventStore({ name, events })
  vi.unstubAllGlobals()
  const store = await openEventStore({ name, events })
  const leader = startProjection(leading, ranks, { clock: led })
  const { position } = await leading.append('s', events.Put({ id: 1, rank: 0 }))
  await led.runUntil(leader.caughtUp(position))
  const follower = startProjection(store, ranks, { clock: followed })
  await followed.runUntil(follower.caughtUp(position))
  const view = await openReadModel(store, ranks, { clock: followed })
  for (let id = 0; id < 1_000; id += 1) view.rows.liveRow(id).subscribe(() => {})
  await followed.advance(30_000)
  expect(follower.status.getSnapshot()).toMatchObject({ phase: 'standby', leader: false })
  const isLeading = () => follower.status.getSnapshot().leader
  const close = async () => {
    await view.close()
    for (const each of [follower, leader]) await each.stop()
    for (const each of [store, leading]) await each.close()
  }
  return { leading, store, followed, isLeading, close }
}

test('a follower with 1,000 queries at rest: four reads in ten seconds, of the state and of the head', async () => {
  const { followed, close } = await following()
  const transactions = vi.spyOn(IDBDatabase.prototype, 'transaction')
  await followed.advance(10_000)
  expect(transactions).toHaveBeenCalledTimes(4)
  await close()
})

test.for([
  ['six seconds after an append that it hears of', true, 6_000],
  ['as long after the next look, if no hint arrives', false, 5_000 + 6_000],
] as const)('a follower at rest works for a leader that is frozen, %s', async ([, isHeard, within]) => {
  const { leading, store, followed, isLeading, close } = await following()
  // What the leader appends wakes it up.
  if (!isHeard) vi.spyOn(storeInternals(leading).signals, 'post').mockReturnValue()
  await (isHeard ? store : leading).append('s', events.Put({ id: 1, rank: 7 }))
  await followed.advance(within)
  expect(isLeading()).toBe(true)
  await close()
})

test('a flood of made-up hints makes one look a second, and hides no commit for longer than that', async () => {
  const { clock, store, projection, view, show, transactions, close } = await opened(10)
  const live = view.rows.liveRow(3)
  await show([live])
  const { signals } = storeInternals(store)
  const post = signals.post.bind(signals)
  const hint = () =>
    post({ kind: 'committed', projection: 'ranks@1', position: 9, revision: 9, from: '', to: '', changes: 'unknown' })
  for (let hints = 0; hints < 50; hints += 1) {
    hint()
    await clock.advance(0)
  }
  await vi.waitFor(() => expect(transactions).toHaveBeenCalledTimes(1))
  hint()
  for (let turn = 0; turn < 50; turn += 1) await clock.advance(0)
  expect(transactions).toHaveBeenCalledTimes(1)
  // A commit of which only a hint without contents arrives, as of one by an older build.
  vi.spyOn(signals, 'post').mockImplementation((each) => each.kind === 'head' && post(each))
  const { position } = await store.append('s', events.Put({ id: 3, rank: 1 }))
  await projection.caughtUp(position)
  hint()
  await clock.advance(0)
  expect(live.getSnapshot()).toMatchObject({ data: { rank: 0 } })
  await clock.advance(1_000)
  expect(live.getSnapshot()).toMatchObject({ data: { rank: 1 } })
  await close()
})

test('what cannot be read whether it is published is an error, not a yes', async () => {
  const { store, projection, view, show, published, close } = await opened(10)
  await show([view.rows.liveRow(3)])
  const { signals } = storeInternals(store)
  const post = signals.post.bind(signals)
  vi.spyOn(signals, 'post').mockImplementation((each) => each.kind === 'head' && post(each))
  const { position } = await store.append('s', events.Put({ id: 3, rank: 1 }))
  await projection.caughtUp(position)
  const get = vi.spyOn(IDBObjectStore.prototype, 'get').mockImplementation(() => {
    throw new DOMException('no', 'DataError')
  })
  await expect(published(position)).rejects.toMatchObject({ code: 'storage-failed' })
  get.mockRestore()
  await published(position)
  await close()
})
