// Live queries take the rows of this context's own commit from memory: which ones, and when not.
import { afterEach, expect, test, vi } from 'vitest'
import { defineEvents, defineProjection, openEventStore, openReadModel, startProjection, table } from 'tidemark'
import { virtualClock } from '../../../src/testing/virtual-clock.js'
import { openView } from '../../../src/reading/open-view.js'
import { fakeIndexedDB } from '../../support/fake-indexeddb.js'

fakeIndexedDB()

afterEach(() => void vi.restoreAllMocks())

type Event =
  | { type: 'Put'; data: { id: number; tags: string[] } }
  | { type: 'Many'; data: { upTo: number } }
  | { type: 'Gone'; data: { id: number } }
const events = defineEvents<Event>()
const things = defineProjection(events, {
  name: 'things',
  tables: { rows: table<{ id: number; tags: string[] }>({ key: 'id' }) },
  on: {
    Put: ({ data }, { rows }) => rows.put(data),
    Many({ data }, { rows }) {
      for (let id = 1; id <= data.upTo; id += 1) rows.put({ id, tags: ['many'] })
    },
    Gone: ({ data }, { rows }) => rows.delete(data.id),
  },
})

async function opened() {
  const clock = virtualClock()
  const name = `things-${crypto.randomUUID()}`
  const store = await openEventStore({ name, events })
  const projection = startProjection(store, things, { clock })
  const view = await openReadModel(store, things, { clock })
  const watch = await openView(store, things, clock)
  const live = view.rows.liveRow(1)
  const stop = live.subscribe(() => {})
  await live.ready()
  const first = await store.append('s', events.Put({ id: 99, tags: [] }))
  await clock.runUntil(projection.caughtUp(first.position))
  await watch.published(first.position)
  const transactions = vi.spyOn(IDBDatabase.prototype, 'transaction')
  const append = async (...made: Parameters<typeof store.append>[1][]) => {
    const { position } = await store.append('s', made.flat() as never)
    await projection.caughtUp(position)
    await watch.published(position)
    const count = transactions.mock.calls.length
    transactions.mockClear()
    return count
  }
  const close = async () => {
    stop()
    watch.close()
    await view.close()
    await projection.stop()
    await store.close()
  }
  return { store, view, live, append, close, projection, clock }
}

test('a row that was put or deleted is not read again, and is a copy', async () => {
  const { live, append, view, close } = await opened()
  expect(await append(events.Put({ id: 1, tags: ['a'] }))).toBe(2)
  const first = live.getSnapshot().data as { tags: string[] }
  expect(first).toEqual({ id: 1, tags: ['a'] })
  const again = (await view.rows.get(1)) as { tags: string[] }
  again.tags.push('mine')
  expect(await append(events.Put({ id: 1, tags: ['b'] }))).toBeLessThanOrEqual(3)
  expect(live.getSnapshot()).toMatchObject({ status: 'ready', stale: false, data: { id: 1, tags: ['b'] } })
  expect(first).toEqual({ id: 1, tags: ['a'] })
  expect(await append(events.Gone({ id: 1 }))).toBe(2)
  expect(live.getSnapshot()).toMatchObject({ status: 'ready', stale: false, data: undefined })
  await close()
})

test('a commit of more than 16 rows is read', async () => {
  const { live, append, close } = await opened()
  expect(await append(events.Many({ upTo: 16 }))).toBe(2)
  expect(live.getSnapshot()).toMatchObject({ data: { tags: ['many'] } })
  expect(await append(events.Many({ upTo: 17 }))).toBe(3)
  expect(live.getSnapshot()).toMatchObject({ data: { tags: ['many'] } })
  await close()
})

test('what is asked once is always read', async () => {
  const { append, view, close } = await opened()
  await append(events.Put({ id: 1, tags: ['a'] }))
  const transactions = vi.spyOn(IDBDatabase.prototype, 'transaction')
  expect(await view.rows.get(1)).toEqual({ id: 1, tags: ['a'] })
  expect(transactions).toHaveBeenCalledTimes(1)
  await close()
})

test('a query that begins later reads what is stored', async () => {
  const { append, view, close } = await opened()
  await append(events.Put({ id: 1, tags: ['a'] }))
  await new Promise((resolve) => setTimeout(resolve))
  const transactions = vi.spyOn(IDBDatabase.prototype, 'transaction')
  expect(await view.live(({ rows }) => rows.get(1)).ready()).toEqual({ id: 1, tags: ['a'] })
  expect(transactions).toHaveBeenCalledTimes(1)
  await close()
})

test('what a rebuild stores behind the rows is not shown before it is complete', async () => {
  const { live, append, projection, clock, close } = await opened()
  await append(events.Put({ id: 1, tags: ['a'] }))
  await clock.runUntil(projection.rebuild())
  expect(live.getSnapshot()).toMatchObject({ status: 'ready', data: { id: 1, tags: ['a'] } })
  expect(await append(events.Put({ id: 1, tags: ['b'] }))).toBeGreaterThanOrEqual(2)
  expect(live.getSnapshot()).toMatchObject({ status: 'ready', data: { id: 1, tags: ['b'] } })
  await close()
})
