// A projection that follows its own page's appends need not read them back.
import { afterEach, expect, test, vi } from 'vitest'
import { openEventStore, type TidemarkStore } from 'tidemark'
import type { PageOptions, ReadPage } from '../../../src/log/pages.js'
import { fakeIndexedDB } from '../../support/fake-indexeddb.js'

fakeIndexedDB()

const event = { type: 'A', data: { n: 1 } }
let count = 0
const open = (name = `own-${(count += 1)}`) => openEventStore({ name })

/** Reads a page, and tells how many requests that took. */
async function page(store: TidemarkStore, after: number, options: PageOptions = { own: true }, limit = 100) {
  const spies = (['get', 'getAll', 'openCursor', 'openKeyCursor'] as const).map((method) =>
    vi.spyOn(IDBObjectStore.prototype, method),
  )
  const read: ReadPage = store.readPage
  const { events, scannedTo, head } = await read({ after, limit }, options)
  const requests = spies.reduce((sum, spy) => sum + spy.mock.calls.length, 0)
  for (const spy of spies) spy.mockRestore()
  return { positions: events.map(({ position }) => position), scannedTo, head, requests }
}

afterEach(() => vi.unstubAllGlobals())

test('what was appended here last is read without asking the storage, by those who allow that', async () => {
  const store = await open()
  for (let n = 0; n < 3; n += 1) await store.append({ stream: 's', events: [event, event] })
  expect(await page(store, 4)).toEqual({ positions: [5, 6], scannedTo: 6, head: 6, requests: 0 })
  // Also from within a commit, and less than all.
  expect(await page(store, 1, { own: true }, 2)).toEqual({ positions: [2, 3], scannedTo: 3, head: 6, requests: 0 })
  expect((await page(store, 4, {})).requests).toBeGreaterThan(0)
  // At the head only the storage knows.
  expect((await page(store, 6)).requests).toBeGreaterThan(0)
  await store.close()
})

test('events of others are never left out: what stands between own ones is read', async () => {
  // Nobody tells anybody.
  vi.stubGlobal('BroadcastChannel', undefined)
  const store = await open()
  const other = await open(store.name)
  await store.append({ stream: 's', events: [event] })
  await other.append({ stream: 's', events: [event] })
  await store.append({ stream: 's', events: [event] })
  expect((await page(store, 0)).positions).toEqual([1, 2, 3])
  expect(await page(store, 2)).toMatchObject({ positions: [3], requests: 0 })
  await store.close()
  await other.close()
})

test('each reader gets events of its own to keep or change', async () => {
  const store = await open()
  await store.append({ stream: 's', events: [event] })
  const read = () => (store.readPage as ReadPage)({ after: 0, limit: 1 }, { own: true })
  const [first] = (await read()).events
  ;(first as { data: { n: number } }).data.n = 2
  expect((await read()).events[0]?.data).toEqual({ n: 1 })
  await store.close()
})

test('a writer remembers 64 records and 256 Ki characters at most', async () => {
  const store = await open()
  for (let n = 0; n < 70; n += 1) await store.append({ stream: 's', events: [event] })
  expect((await page(store, 6)).requests).toBe(0)
  expect((await page(store, 5)).requests).toBeGreaterThan(0)
  await store.append({ stream: 's', events: [{ type: 'A', data: 'x'.repeat(300_000) }] })
  expect((await page(store, 70)).requests).toBeGreaterThan(0)
  await store.close()
})
