// H17, H52: what it costs to be sure that a given id is not in the log.
import { afterEach, expect, test, vi } from 'vitest'
import { openEventStore, type TidemarkStore } from 'tidemark'
import { fakeIndexedDB } from '../../support/fake-indexeddb.js'

fakeIndexedDB()

afterEach(() => void vi.restoreAllMocks())

const year = 365 * 86_400_000
let count = 0
const open = () => openEventStore({ name: `given-ids-${(count += 1)}` })

/** A time that goes on with each look, and is ahead of the ids that stores make. */
let clock = Date.now() + 60_000
const tick = () => (clock += 1)

let last = 0
/** A new UUIDv7 of a time. */
const idOf = (time: number) => {
  const stamp = time.toString(16).padStart(12, '0')
  return `${stamp.slice(0, 8)}-${stamp.slice(8)}-7000-8000-${(last += 1).toString(16).padStart(12, '0')}`
}
const append = (store: TidemarkStore, ...ids: (string | undefined)[]) =>
  store.append({
    stream: 'a',
    events: ids.map((id) => ({ type: 'A', data: null, ...(id === undefined ? {} : { id }) })),
  })

/** How often the storage is asked for anything while `work` runs. */
async function reads(work: () => Promise<unknown>): Promise<number> {
  const spies = [IDBIndex.prototype, IDBObjectStore.prototype].flatMap((prototype) =>
    (['get', 'getKey', 'getAll', 'getAllKeys', 'count', 'openCursor', 'openKeyCursor'] as const).map((method) =>
      vi.spyOn(prototype, method as 'get'),
    ),
  )
  await work()
  const sum = spies.reduce((sum, { mock }) => sum + mock.calls.length, 0)
  for (const spy of spies) spy.mockRestore()
  return sum
}

/** Appends with an id of now, one after the other. */
async function today(store: TidemarkStore, times: number): Promise<void> {
  for (let at = 0; at < times; at += 1) expect(await append(store, idOf(tick()))).toMatchObject({ duplicate: false })
}

test('ids above all others need no look', async () => {
  await using store = await open()
  await append(store, idOf(tick()))
  expect(await reads(() => today(store, 50))).toBe(0)
})

test('after appends without ids to many new streams, the first given id is looked up, and none after it', async () => {
  await using store = await open()
  for (let stream = 0; stream < 9; stream += 1) {
    const appended = () => store.append(`s${stream}`, { type: 'A', data: null })
    // The head, the version of the stream, and the row of the log.
    expect(await reads(appended)).toBe(3)
  }
  expect(await reads(() => today(store, 1))).toBeGreaterThan(3)
  expect(await reads(() => today(store, 50))).toBe(0)
})

test('an id of an earlier session is found after appends without ids, before and behind the ids of those', async () => {
  const store = await open()
  const [before, behind] = [idOf(Date.now() - year), idOf(Date.now() + year)]
  await append(store, before, behind)
  await store.close()
  await using again = await openEventStore({ name: store.name })
  await append(again, undefined)
  await append(again, undefined)
  const { position } = await append(again, before, behind)
  expect([position, await again.head()]).toEqual([2, 4])
  expect(await append(again, behind)).toMatchObject({ duplicate: true })
})

test('one event from a clock that is a year ahead: the appends after it need no look either', async () => {
  await using store = await open()
  await append(store, idOf(tick()))
  await append(store, idOf(tick() + year))
  expect(await reads(() => today(store, 50))).toBe(0)
})

test('the same, found in the log when it is opened: one look at the index, and then none', async () => {
  const store = await open()
  await append(store, idOf(tick() + year), idOf(tick() + 2 * year), idOf(tick()))
  await store.close()
  await using again = await openEventStore({ name: store.name })
  await today(again, 1)
  expect(await reads(() => today(again, 50))).toBe(0)
})

test('writers whose clocks differ, one after the other: each may be years ahead of the next', async () => {
  await using store = await open()
  const ahead = [0, year, 5 * year]
  for (const time of ahead) await append(store, idOf(tick() + time))
  await today(store, 1)
  expect(
    await reads(async () => {
      for (let at = 1; at <= 30; at += 1)
        for (const time of ahead) expect(await append(store, idOf(tick() + time))).toMatchObject({ duplicate: false })
    }),
  ).toBeLessThan(10)
})

test('events without an id, in a log with one from the future, and then given ones', async () => {
  await using store = await open()
  await append(store, undefined, idOf(tick() + year))
  await append(store, undefined)
  await today(store, 1)
  expect(
    await reads(async () => {
      await append(store, undefined)
      await today(store, 20)
    }),
  ).toBeLessThan(6)
})

test('an id that may be there is looked up: between, at and around those that are', async () => {
  await using store = await open()
  const now = tick()
  const ids = [
    idOf(now),
    idOf(now + year),
    idOf(now + 1),
    idOf(now - 1),
    idOf(now + year - 1),
    idOf(now + year),
    idOf(now + 2 * year),
  ]
  for (const id of ids) expect(await append(store, id)).toMatchObject({ duplicate: false })
  for (const id of [...ids, ...[...ids].reverse()])
    expect(await append(store, id), id).toMatchObject({ duplicate: true, position: ids.indexOf(id) + 1 })
  await using other = await openEventStore({ name: store.name })
  for (const id of ids) expect(await append(other, id), id).toMatchObject({ duplicate: true })
  expect(await store.head()).toBe(ids.length)
})

test('what another instance stored meanwhile is found', async () => {
  vi.stubGlobal('BroadcastChannel', undefined)
  await using store = await open()
  await using other = await openEventStore({ name: store.name })
  vi.unstubAllGlobals()
  const now = tick()
  await append(store, idOf(now), idOf(now + year))
  await append(store, idOf(now + 1))
  const shared = idOf(now + 2)
  await append(other, shared)
  expect(await append(store, shared)).toMatchObject({ duplicate: true })
  expect(await append(store, idOf(now + 3))).toMatchObject({ duplicate: false, position: 5 })
  // A condition sends the writer to look, while it remembers an older head.
  const later = idOf(now + 4)
  await append(other, later)
  expect(
    await store.append(
      { stream: 'a', events: [{ type: 'A', data: null, id: later }] },
      { condition: { failIfEventsMatch: { types: ['Never'] }, after: 0 } },
    ),
  ).toMatchObject({ duplicate: true, position: 6 })
  expect(await store.head()).toBe(6)
})

test.for([
  [0, 1, 2],
  [2, 1, 0],
  [1, 0, 2],
  [1, 2, 0],
])('several of one append, in the order %j, are known to the writer that stored them', async (order) => {
  await using store = await open()
  // Each by itself: whoever found one looks again.
  for (const again of order) {
    for (const ahead of [0, year, -year]) {
      await append(store, idOf(tick()))
      const ids = [0, 1, 2].map(() => idOf(tick() + ahead))
      await append(store, ...order.map((at) => ids[at]))
      expect(await append(store, ids[again])).toMatchObject({ duplicate: true })
    }
  }
})
