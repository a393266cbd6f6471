// Whoever reads page after page gets records in their turn: read before it, and not decoded before it.
import { afterEach, expect, test, vi } from 'vitest'
import { openEventStore, type EventFilter, type TidemarkStore } from 'tidemark'
import type { ReadPage } from '../../../src/log/pages.js'
import { RecordsAhead } from '../../../src/log/records-ahead.js'
import { Slices } from '../../../src/platform/slices.js'
import { fakeIndexedDB } from '../../support/fake-indexeddb.js'
import { inject, type Injection } from './inject-faults.js'

fakeIndexedDB()

let count = 0
let injection: Injection | undefined
afterEach(() => {
  injection?.stop()
  vi.restoreAllMocks()
  vi.unstubAllGlobals()
})

/** So large that the clock is asked after each record. */
const text = 'x'.repeat(2000)

/** A store that remembers nothing, with so many commits of five events. */
async function logOf(commits: number) {
  const name = `ahead-${(count += 1)}`
  const writer = await openEventStore({ name })
  for (let n = 0; n < commits; n += 1)
    await writer.append({
      stream: 's',
      events: Array.from({ length: 5 }, (_, of) => ({ type: of === 4 ? 'Last' : 'A', data: text })),
    })
  return { store: await openEventStore({ name }), writer }
}

/** A reader on whose clock so much time passes with every look. */
function readerOf(store: TidemarkStore, passing: number) {
  let now = 0
  const ahead = new RecordsAhead(new Slices(() => (now += passing)))
  const read: ReadPage = store.readPage
  return {
    ahead,
    async page(after: number, limit = 1000, filter: EventFilter = {}) {
      const spies = (['getAll', 'openCursor', 'openKeyCursor'] as const).map((method) =>
        vi.spyOn(IDBObjectStore.prototype, method),
      )
      const { events, scannedTo, head } = await read({ filter, after, limit }, { ahead, unreadable: 'collect' })
      const requests = spies.map((spy) => spy.mock.calls.length)
      for (const spy of spies) spy.mockRestore()
      return {
        positions: events.map(({ position }) => position),
        scannedTo,
        head,
        requests: requests.reduce((sum, each) => sum + each, 0),
      }
    },
  }
}

test('a page ends with the record at which half a slice is over, and the next one goes on with what is there', async () => {
  const { store, writer } = await logOf(3)
  const { page } = readerOf(store, 3)
  expect(await page(0)).toEqual({ positions: [1, 2, 3, 4, 5], scannedTo: 5, head: 15, requests: 2 })
  expect(await page(5)).toEqual({ positions: [6, 7, 8, 9, 10], scannedTo: 10, head: 15, requests: 0 })
  // The one that reaches the head asks whether it still is the head.
  expect(await page(10)).toEqual({ positions: [11, 12, 13, 14, 15], scannedTo: 15, head: 15, requests: 1 })
  expect(await page(15)).toMatchObject({ positions: [], scannedTo: 15, head: 15 })
  await Promise.all([store.close(), writer.close()])
})

test('while no time passes, a page holds what is there', async () => {
  const { store, writer } = await logOf(3)
  expect(await readerOf(store, 0).page(0)).toMatchObject({ positions: { length: 15 }, scannedTo: 15, head: 15 })
  await Promise.all([store.close(), writer.close()])
})

test('what others append meanwhile is seen at the end, and read', async () => {
  // Nobody tells anybody.
  vi.stubGlobal('BroadcastChannel', undefined)
  const { store, writer } = await logOf(2)
  const { page } = readerOf(store, 3)
  expect(await page(0)).toMatchObject({ scannedTo: 5, head: 10 })
  await writer.append({
    stream: 's',
    events: [
      { type: 'A', data: 1 },
      { type: 'A', data: 2 },
    ],
  })
  expect(await page(5)).toMatchObject({ positions: [6, 7, 8, 9, 10], scannedTo: 10, head: 12 })
  expect(await page(10)).toMatchObject({ positions: [11, 12], scannedTo: 12, head: 12 })
  await Promise.all([store.close(), writer.close()])
})

test('a page that is full in the middle of a record goes on in the middle of it, and does not wait for more while it has something', async () => {
  const { store, writer } = await logOf(3)
  const { page } = readerOf(store, 0)
  // How many events a record holds is known from here on.
  await store.readPage({ limit: 5 })
  expect(await page(0, 7)).toMatchObject({ positions: [1, 2, 3, 4, 5, 6, 7], scannedTo: 7 })
  expect(await page(7, 7)).toMatchObject({ positions: [8, 9, 10], scannedTo: 10, head: 15, requests: 1 })
  expect(await page(10, 7)).toMatchObject({ positions: [11, 12, 13, 14, 15], scannedTo: 15, head: 15, requests: 1 })
  await Promise.all([store.close(), writer.close()])
})

test('whoever goes on elsewhere is given what is there, decoded anew', async () => {
  const { store, writer } = await logOf(3)
  const { page } = readerOf(store, 3)
  await page(0)
  expect(await page(2)).toMatchObject({ positions: [3, 4, 5], scannedTo: 5 })
  expect(await page(0)).toMatchObject({ positions: [1, 2, 3, 4, 5], scannedTo: 5 })
  expect(await page(12)).toMatchObject({ positions: [13, 14, 15], scannedTo: 15 })
  await Promise.all([store.close(), writer.close()])
})

test('with a filter every event is looked at once, and what matches is found', async () => {
  const { store, writer } = await logOf(40)
  const { page } = readerOf(store, 3)
  const found: number[] = []
  let at = { scannedTo: 0, head: 1 }
  for (let pages = 0; at.scannedTo < at.head && pages < 200; pages += 1) {
    const next = await page(at.scannedTo, 3, { types: ['Last'] })
    expect(next.scannedTo).toBeGreaterThan(at.scannedTo)
    found.push(...next.positions)
    at = next
  }
  expect(found).toEqual(Array.from({ length: 40 }, (_, n) => 5 * (n + 1)))
  await Promise.all([store.close(), writer.close()])
})

test('a failure of what was asked for ahead is told to the page that needs it, and the next try reads on', async () => {
  const { store, writer } = await logOf(40)
  const { page } = readerOf(store, 3)
  // The first request holds fewer records than there are.
  const first = await page(0, 20)
  injection = inject([{ kind: 'request fails', at: 1, error: 'QuotaExceededError' }])
  const positions = [...first.positions]
  let failures = 0
  for (let { scannedTo, head } = first; scannedTo < head;) {
    try {
      const next = await page(scannedTo, 20)
      positions.push(...next.positions)
      ;({ scannedTo, head } = next)
    } catch (error) {
      expect(error).toMatchObject({ code: 'storage-full' })
      failures += 1
    }
  }
  expect([failures, positions]).toEqual([1, Array.from({ length: 200 }, (_, n) => n + 1)])
  await Promise.all([store.close(), writer.close()])
})

test('fewer records are asked for where they take long to arrive, and more where they do not', async () => {
  const { store, writer } = await logOf(100)
  let step = 0
  let now = 0
  vi.spyOn(performance, 'now').mockImplementation(() => (now += step))
  const asked = vi.spyOn(IDBObjectStore.prototype, 'getAll')
  const last = () => asked.mock.lastCall?.[1] as number
  const read = (limit: number) => store.readPage({ limit })
  // How many events a record holds is known from here on.
  await read(5)
  for (let n = 0; n < 10; n += 1) await read(500)
  const quick = asked.mock.calls.findLast(([, most]) => (most as number) > 16)?.[1]
  expect(quick).toBe(100)
  step = 500
  for (let n = 0; n < 5; n += 1) await read(10)
  asked.mockClear()
  await read(10)
  expect(last()).toBe(1)
  await Promise.all([store.close(), writer.close()])
})

test('a page of many records lets the page of the app have its turn, and `for await` as well', async () => {
  const { store, writer } = await logOf(40)
  let turns = 0
  vi.stubGlobal('scheduler', {
    yield: async () => {
      turns += 1
    },
  })
  let now = 0
  vi.spyOn(performance, 'now').mockImplementation(() => (now += 1))
  expect((await store.readPage({ limit: 200 })).events).toHaveLength(200)
  expect(turns).toBeGreaterThan(5)
  turns = 0
  const positions: number[] = []
  for await (const { position } of store.read()) positions.push(position)
  expect(positions).toEqual(Array.from({ length: 200 }, (_, n) => n + 1))
  expect(turns).toBeGreaterThan(5)
  await Promise.all([store.close(), writer.close()])
})
