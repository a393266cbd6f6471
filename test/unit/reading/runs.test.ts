// Runs of queries over a read model: hung ones, ones that throw, ones that a change overtakes, and what waits for them.
import { expect, test, vi } from 'vitest'
import { defineEvents, defineProjection, openReadModel, startProjection, table } from 'tidemark'
import { openEventStore } from 'tidemark/memory'
import { virtualClock } from 'tidemark/testing'
import { openView } from '../../../src/reading/open-view.js'
import { gate } from '../read-model/support.js'

type Event = { type: 'Put'; data: { id: string } } | { type: 'Noted'; data: { id: string } }
const events = defineEvents<Event>()
/** `current` names the one row that there is. */
const model = defineProjection(events, {
  name: 'runs',
  tables: {
    current: table<{ key: 'it'; id: string }>({ key: 'key' }),
    rows: table<{ id: string }>({ key: 'id' }),
    notes: table<{ id: string }>({ key: 'id' }),
  },
  on: {
    Put: async ({ data: { id } }, { current, rows }) => {
      const before = await current.get('it')
      if (before !== undefined) rows.delete(before.id)
      current.put({ key: 'it', id })
      rows.put({ id })
    },
    Noted: ({ data }, { notes }) => notes.put(data),
  },
})
const nothing = () => {}
const never = () => new Promise<never>(nothing)

async function opened() {
  const clock = virtualClock()
  const store = await openEventStore({ name: 'runs', events })
  const projection = startProjection(store, model, { clock })
  const view = await openReadModel(store, model, { clock })
  const watch = await openView(store, model, clock)
  /** Appends, and commits that; nothing looks by the clock. Returns the position. */
  const commit = async (event: Parameters<typeof store.append>[1]) => {
    const { position } = await store.append('s', event)
    await projection.caughtUp(position)
    return position
  }
  return {
    clock,
    view,
    commit,
    put: (id: string) => commit(events.Put({ id })),
    note: (id: string) => commit(events.Noted({ id })),
    published: (position: number) => watch.published(position),
    async close() {
      watch.close()
      await view.close()
      await projection.stop()
      await store.close()
    },
  }
}

test('after a run that was given up, a change runs the query at once, whatever it changed', async () => {
  for (const change of ['put', 'note'] as const) {
    const { clock, view, close, ...all } = await opened()
    await all.put('a')
    const runs: number[] = []
    const live = view.live(async ({ rows }) => {
      runs.push(clock.monotonic())
      const count = await rows.count()
      return runs.length === 1 ? never() : count
    })
    const stop = live.subscribe(nothing)
    await clock.advance(30_000)
    expect(live.getSnapshot()).toMatchObject({ error: { code: 'query-timeout' } })
    await all[change]('b')
    await clock.advance(0)
    expect([live.getSnapshot().data, runs]).toEqual([1, [0, 30_000]])
    stop()
    await close()
  }
})

test('a change that comes while a run hangs runs the query as soon as that is given up, and once', async () => {
  const { clock, view, put, close } = await opened()
  const runs: number[] = []
  const live = view.live(async ({ rows }) => {
    runs.push(clock.monotonic())
    const found = await rows.getAll()
    return runs.length === 1 ? never() : found
  })
  const stop = live.subscribe(nothing)
  await clock.advance(10_000)
  await put('a')
  await clock.advance(20_000)
  expect([live.getSnapshot().data, runs]).toEqual([[{ id: 'a' }], [0, 30_000]])
  await clock.advance(60_000)
  expect(runs).toHaveLength(2)
  stop()
  await close()
})

test('after a hung run was given up, a promise does not wait for a run that nothing began', async () => {
  const { clock, view, put, close } = await opened()
  let runs = 0
  const live = view.live(async ({ rows }) => {
    const found = await rows.getAll()
    return (runs += 1) === 1 ? never() : found
  })
  const stop = live.subscribe(nothing)
  await clock.advance(10_000)
  await put('a')
  await clock.advance(20_000)
  expect(await live.ready()).toEqual([{ id: 'a' }])
  expect(await live.ready()).toEqual([{ id: 'a' }])
  stop()
  await close()
})

test('what a run throws over reads of two commits is no error: it is tried again with reads of one', async () => {
  const { clock, view, put, close } = await opened()
  await put('a')
  let tries = 0
  const live = view.live(async ({ current, rows }) => {
    const { id } = (await current.get('it'))!
    if ((tries += 1) === 1) await put('b')
    return (await rows.get(id))!.id.toUpperCase()
  })
  const shown = vi.fn<(status: string, data: unknown) => void>()
  const stop = live.subscribe(() => shown(live.getSnapshot().status, live.getSnapshot().data))
  await clock.advance(0)
  expect(shown.mock.calls).toEqual([['ready', 'B']])
  stop()
  await close()
})

test('a run that throws over reads of two commits each time keeps its answer, as a stale one, and is made again', async () => {
  const { clock, view, put, close } = await opened()
  await put('0')
  let at = 3
  const live = view.live(async ({ current, rows }) => {
    const { id } = (await current.get('it'))!
    // What the try before asked is read in one transaction: this asks something else each time.
    if (at < 3) {
      await put(`${(at += 1)}`)
      await rows.get(`other ${at}`)
    }
    return (await rows.get(id))!.id
  })
  const shown: unknown[] = []
  const stop = live.subscribe(() => {
    const { status, data, stale } = live.getSnapshot()
    shown.push([status, data, stale])
  })
  await clock.advance(0)
  at = 0
  await put('a')
  for (let turn = 0; turn < 10; turn += 1) await clock.advance(0)
  expect(shown).toEqual([
    ['ready', '0', false],
    ['ready', '0', true],
    ['ready', '3', false],
  ])
  stop()
  await close()
})

test('what a run throws over reads of one commit is an error, which a change runs again', async () => {
  const { clock, view, put, close } = await opened()
  const live = view.live(async ({ current, rows }) => {
    const row = await current.get('it')
    await rows.count()
    return row!.id
  })
  const stop = live.subscribe(nothing)
  await clock.advance(0)
  expect(live.getSnapshot()).toMatchObject({ status: 'error', error: expect.any(TypeError) })
  await put('a')
  await clock.advance(0)
  expect(live.getSnapshot()).toMatchObject({ status: 'ready', data: 'a' })
  stop()
  await close()
})

/** Whether something was done once all that needs no time was done. */
async function isDone(clock: ReturnType<typeof virtualClock>, work: Promise<unknown>): Promise<boolean> {
  let done = false
  void work.then(() => (done = true))
  for (let turn = 0; turn < 10; turn += 1) await clock.advance(0)
  return done
}

test('a write waits for no query that it does not touch, also if that one hangs', async () => {
  const { clock, view, put, note, published, close } = await opened()
  await put('a')
  const hanging = [view.live(never), view.live(async ({ current }) => [await current.get('it'), await never()])]
  const stops = hanging.map((live) => live.subscribe(nothing))
  await clock.advance(0)
  expect(await isDone(clock, published(await note('b')))).toBe(true)
  expect(await isDone(clock, published(await note('c')))).toBe(true)
  for (const stop of stops) stop()
  await close()
})

test('a write waits for a query that it touches: for one that is shown, and one whose first run read before it', async () => {
  const { clock, view, put, published, close } = await opened()
  await put('a')
  // Shown, and hangs when it runs again.
  const again = gate()
  let runs = 0
  const shown = view.live(async ({ rows }) => {
    const count = await rows.count()
    if ((runs += 1) > 1) await again.passed
    return count
  })
  const first = gate()
  const loading = view.live(async ({ current }) => {
    const row = await current.get('it')
    await first.passed
    return row?.id
  })
  for (const [live, opens] of [
    [shown, again],
    [loading, first],
  ] as const) {
    const stop = live.subscribe(nothing)
    await clock.advance(0)
    const visible = published(await put('b'))
    expect(await isDone(clock, visible)).toBe(false)
    opens.open()
    await visible
    expect(live.getSnapshot()).toMatchObject({ status: 'ready', stale: false })
    stop()
  }
  expect(loading.getSnapshot().data).toBe('b')
  await close()
})

test('a promise after a change does not resolve with the answer of a run that read before it', async () => {
  for (const isSubscribed of [true, false]) {
    const { clock, view, put, close } = await opened()
    await put('a')
    const reading = gate()
    let runs = 0
    const live = view.live(async ({ current }) => {
      const row = await current.get('it')
      if ((runs += 1) === 1) await reading.passed
      return row?.id
    })
    const stop = isSubscribed ? live.subscribe(nothing) : nothing
    const before = live.ready()
    await clock.advance(0)
    await put('b')
    const after = live.ready()
    reading.open()
    expect([await before, await after]).toEqual(['a', 'b'])
    stop()
    await close()
  }
})

test('without a subscriber a query follows changes for 30 s after its last promise, and no longer', async () => {
  const { clock, view, put, close } = await opened()
  await put('a')
  let runs = 0
  const live = view.live(async ({ current }) => {
    runs += 1
    return (await current.get('it'))?.id
  })
  const first = live.ready()
  expect(await first).toBe('a')
  await clock.advance(29_900)
  expect(live.ready()).toBe(first)
  await clock.advance(29_900)
  expect([live.getSnapshot().stale, live.ready() === first, runs]).toEqual([false, true, 1])
  await clock.advance(30_100)
  expect(live.getSnapshot().stale).toBe(true)
  expect(live.ready()).not.toBe(first)
  await clock.advance(0)
  expect(runs).toBe(2)
  await close()
})
