// Live queries between commits, rebuilds and lost hints.
import { beforeEach, expect, test } from 'vitest'
import {
  defineProjection,
  deleteEventStore,
  openEventStore,
  openReadModel,
  runProjection,
  startProjection,
  table,
} from 'tidemark'
import { virtualClock } from '../../../src/testing/virtual-clock.js'
import {
  added,
  events,
  gate,
  lettersOf,
  memoryStore,
  model,
  poison,
  shown,
  storesWithoutHints,
} from '../read-model/support.js'
import { fakeIndexedDB } from '../../support/fake-indexeddb.js'

fakeIndexedDB()

/** How often a view looks by itself, ms. */
const slowPoll = 5_000

// The slow poll comes when a test says so, and otherwise not at all: it would hide that a hint was not heeded.
let clock = virtualClock()
beforeEach(() => void (clock = virtualClock()))

test('a live query sees a commit to a table that it has just begun to read', async () => {
  const store = await memoryStore()
  const definition = defineProjection(events, {
    name: 'two',
    tables: {
      flags: table<{ name: string; on: boolean }>({ key: 'name' }),
      items: table<{ name: string }>({ key: 'name' }),
    },
    on: {
      Added: ({ data: { to } }, { flags, items }) => {
        if (to === 'flag') flags.put({ name: 'x', on: true })
        else items.put({ name: to })
      },
    },
  })
  const view = await openReadModel(store, definition, { clock })
  const [reached, goOn] = [gate(), gate()]
  const live = view.live(async ({ flags, items }) => {
    if ((await flags.get('x'))?.on !== true) return -1
    const rows = await items.getAll()
    reached.open()
    await goOn.passed
    return rows.length
  })
  const unsubscribe = live.subscribe(() => {})
  await shown(live, (snapshot) => snapshot.status === 'ready' && snapshot.data === -1)
  await store.append({ stream: 's', events: [added('flag')] })
  await runProjection(store, definition)
  await reached.passed
  await store.append({ stream: 's', events: [added('item')] })
  await runProjection(store, definition)
  goOn.open()
  await shown(live, (snapshot) => snapshot.status === 'ready' && snapshot.data === 1)
  unsubscribe()
  await view.close()
})

test('a live query shows a replay in another tab within the slow poll, also when its hint is lost (H66)', async () => {
  const [here, there] = await storesWithoutHints()
  await there.append({ stream: 's', events: [added('a'), added('b')] })
  let broken = true
  const definition = model({ onFailure: () => 'park', handler: ({ position }) => broken && position === 1 && poison() })
  await runProjection(there, definition)
  const view = await openReadModel(here, definition, { clock })
  const live = view.live(({ rows }) => rows.count())
  const unsubscribe = live.subscribe(() => {})
  await shown(live, (snapshot) => snapshot.status === 'ready' && snapshot.data === 1)
  broken = false
  const helper = startProjection(there, definition)
  for (const letter of await lettersOf(helper)) await letter.replay()
  await helper.stop()
  expect(live.getSnapshot()).toMatchObject({ data: 1 })
  await clock.advance(slowPoll)
  await shown(live, (snapshot) => snapshot.status === 'ready' && snapshot.data === 2)
  unsubscribe()
  await view.close()
  await here.close()
  await there.close()
})

test('what one run of a live query reads belongs to one commit, also across the end of a rebuild', async () => {
  const store = await memoryStore(1)
  let factor = 1
  let wall: ReturnType<typeof gate> | undefined
  const held = gate()
  const definition = defineProjection(events, {
    name: 'pair',
    tables: {
      left: table<{ name: string; n: number }>({ key: 'name' }),
      right: table<{ name: string; n: number }>({ key: 'name' }),
    },
    on: {
      Added: async ({ data: { to } }, { left, right }) => {
        if (wall !== undefined) held.open()
        await wall?.passed
        left.put({ name: to, n: factor })
        right.put({ name: to, n: factor })
      },
    },
  })
  const helper = startProjection(store, definition)
  await helper.caughtUp(1)
  const view = await openReadModel(store, definition, { clock })
  factor = 2
  wall = gate()
  await helper.rebuild({ wait: false })
  await held.passed
  const values: unknown[] = []
  const live = view.live(async ({ left, right }) => {
    const first = await left.get('a')
    // The rebuild ends between the two reads.
    wall?.open()
    await shown(helper.status, ({ rebuilding }) => rebuilding === undefined)
    values.push(first?.n)
    return [first?.n, (await right.get('a'))?.n]
  })
  const unsubscribe = live.subscribe(() => {})
  expect(await shown(live, ({ status }) => status === 'ready')).toMatchObject({ data: [2, 2] })
  expect(values).toEqual([1, 2])
  unsubscribe()
  await view.close()
  await helper.stop()
})

test('what was read beforehand for the second try goes to the reads that ask for it, whatever their order', async () => {
  const store = await memoryStore(1)
  const definition = defineProjection(events, {
    name: 'order',
    tables: {
      left: table<{ name: string; n: number }>({ key: 'name' }),
      right: table<{ name: string; n: number }>({ key: 'name' }),
    },
    on: {
      Added: ({ position }, { left, right }) => {
        for (const name of ['a', 'b']) {
          left.put({ name, n: position })
          right.put({ name, n: -position })
        }
      },
    },
  })
  await runProjection(store, definition)
  const view = await openReadModel(store, definition, { clock })
  let runs = 0
  const live = view.live(async ({ left, right }) => {
    runs += 1
    const reads = [
      ['left a', async () => (await left.get('a'))?.n],
      ['right a', async () => (await right.get('a'))?.n],
      ['left b', async () => (await left.get('b'))?.n],
      ['left a to a', async () => (await left.getAll({ range: { upper: 'a' } })).length],
      ['left', async () => (await left.getAll()).length],
      ['first', async () => (await left.getAll({ limit: 1 })).length],
      ['right', async () => right.count()],
      ['before b', async () => (await left.getAll({ range: { upper: 'b', upperOpen: true } })).length],
      ['to b', async () => (await left.getAll({ range: { upper: 'b' } })).length],
    ] as const
    const found: Record<string, unknown> = {}
    for (const [what, read] of runs % 2 === 1 ? reads : [...reads].reverse()) {
      found[what] = await read()
      if (runs === 1 && what === 'left a') {
        await store.append({ stream: 's', events: [added('a')] })
        await runProjection(store, definition)
      }
    }
    // Asked by no try before this one.
    if (runs > 1) found['right b'] = (await right.get('b'))?.n
    return found
  })
  const unsubscribe = live.subscribe(() => {})
  expect(await shown(live, ({ status }) => status === 'ready')).toEqual({
    status: 'ready',
    stale: false,
    position: 2,
    data: {
      'left a': 2,
      'right a': -2,
      'left b': 2,
      'left a to a': 1,
      left: 2,
      first: 1,
      right: 2,
      'before b': 1,
      'to b': 2,
      'right b': -2,
    },
  })
  unsubscribe()
  await view.close()
})

test('a live query over a row that contains itself is ready, and stays so', async () => {
  const store = await memoryStore(1)
  const definition = defineProjection(events, {
    name: 'cycle',
    tables: { rows: table<{ name: string; self?: unknown }>({ key: 'name' }) },
    on: {
      Added: ({ data: { to } }, { rows }) => {
        const part: { me?: unknown } = {}
        part.me = part
        rows.put({ name: to, self: part })
      },
    },
  })
  await runProjection(store, definition)
  const view = await openReadModel(store, definition, { clock })
  const begun = [gate(), gate(), gate()]
  let runs = 0
  const live = view.live(({ rows }) => {
    begun[runs]?.open()
    runs += 1
    return rows.getAll()
  })
  const states = new Set<string>()
  const unsubscribe = live.subscribe(() => states.add(live.getSnapshot().status))
  await shown(live, ({ status }) => status !== 'loading')
  // The same row once more; and when that was compared with the first one, another.
  for (const [at, to] of ['a', 'b'].entries()) {
    await store.append({ stream: 's', events: [added(to)] })
    await runProjection(store, definition)
    await begun[at + 1]?.passed
  }
  await shown(live, (snapshot) => snapshot.status === 'ready' && snapshot.data.length === 2)
  expect([...states]).toEqual(['ready'])
  unsubscribe()
  await view.close()
})

test('a live query of a closed view can be subscribed to, and leaves nothing behind', async () => {
  const store = await memoryStore()
  const view = await openReadModel(store, model(), { clock })
  const live = view.live(({ rows }) => rows.getAll())
  await view.close()
  const unsubscribe = live.subscribe(() => {})
  expect(clock.pending).toBe(0)
  unsubscribe()
})

test('a live query over a store that another context deleted says so, and shows its rows no longer as ready', async () => {
  const name = `deleted-${crypto.randomUUID()}`
  const store = await openEventStore({ name, events })
  await store.append({ stream: 's', events: [added('a')] })
  await runProjection(store, model())
  const view = await openReadModel(store, model(), { clock })
  const live = view.live(({ rows }) => rows.getAll())
  const unsubscribe = live.subscribe(() => {})
  await shown(live, (snapshot) => snapshot.status === 'ready' && snapshot.data.length === 1)
  await deleteEventStore(name)
  await clock.advance(slowPoll)
  await shown(live, (snapshot) => snapshot.status === 'error')
  expect(live.getSnapshot()).toMatchObject({ stale: true, error: { code: 'storage-lost' } })
  unsubscribe()
  await view.close()
  await store.close()
})
