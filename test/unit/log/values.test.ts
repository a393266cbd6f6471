// Rules about a type that this API has no name for: what they mean for a number, a page or a stream.
import { describe, expect, test, vi } from 'vitest'
import { defineEvents, openEventStore, type EventCatalogue, type RecordedEvent, type TidemarkStore } from 'tidemark'
import { openEventStore as openMemoryEventStore } from 'tidemark/memory'
import { fakeIndexedDB } from '../../support/fake-indexeddb.js'

fakeIndexedDB()

let count = 0
const backends = [
  ['memory', openMemoryEventStore],
  ['fake-indexeddb', openEventStore],
] as const

const events = (many: number, type = 'A') =>
  Array.from({ length: many }, (_, index) => ({ type, data: { n: index + 1 } }))
const ns = (page: readonly RecordedEvent[]) => page.map(({ data }) => (data as { n: number }).n)

/** What came before the iteration ended, and the error if it ended with one. */
async function walk(stream: AsyncIterable<RecordedEvent>): Promise<{ seen: number[]; error?: unknown }> {
  const seen: RecordedEvent[] = []
  try {
    for await (const event of stream) seen.push(event)
    return { seen: ns(seen) }
  } catch (error) {
    return { seen: ns(seen), error }
  }
}

describe.each(backends)('%s', (_backend, open) => {
  const opened = async () => (await open({ name: `values-${(count += 1)}` })) as TidemarkStore

  test('V15: after version 5 comes version 6', async () => {
    const store = await opened()
    await store.append({ stream: 's', events: events(5) })
    const { versions } = await store.append({ stream: 's', events: events(1), expectedVersion: 5 })
    expect({ ...versions }).toEqual({ s: 6 })
    await store.close()
  })

  test('V16: a page without `after` is the first one; the next has the same limit and begins after what was scanned', async () => {
    const store = await opened()
    await store.append({ stream: 's', events: events(250) })
    const first = await store.readPage({ limit: 100 })
    expect([ns(first.events)[0], first.events.length, first.scannedTo]).toEqual([1, 100, 100])
    const next = await store.readPage({ after: first.scannedTo, limit: 100 })
    expect([ns(next.events)[0], next.events.length, next.scannedTo]).toEqual([101, 100, 200])
    const elsewhere = await store.readPage({ after: 7, limit: 50 })
    expect([ns(elsewhere.events)[0], elsewhere.events.length]).toEqual([8, 50])
    await store.close()
  })

  test('V17: a page that ends at p goes on after p; one that reached the head has no next page', async () => {
    const store = await opened()
    await store.append({ stream: 's', events: events(5) })
    const pages: number[][] = []
    for (let after = 0, head = 1; after < head;) {
      const page = await store.readPage({ after, limit: 2 })
      pages.push(ns(page.events))
      ;({ scannedTo: after, head } = page)
    }
    expect(pages).toEqual([[1, 2], [3, 4], [5]])
    expect(await store.readPage({ after: 5, limit: 2 })).toEqual({ events: [], scannedTo: 5, head: 5 })
    await store.close()
  })

  test('S15: what a reader gets is its own; changing it changes nothing in the log', async () => {
    const store = await opened()
    await store.append({ stream: 's', events: events(1) })
    const [event] = (await store.readPage({ limit: 1 })).events
    Object.assign(event ?? {}, { type: 'Z', position: 9 })
    Object.assign(event?.data ?? {}, { n: -1 })
    expect((await store.readPage({ limit: 1 })).events).toMatchObject([{ type: 'A', position: 1, data: { n: 1 } }])
    expect((await walk(store.readStream('s'))).seen).toEqual([1])
    await store.close()
  })

  // This build reads every event but the one of 2.
  const second = defineEvents({
    A: {
      version: 2,
      upcast: {
        1: (data: unknown) => {
          if ((data as { n: number }).n === 2) throw new TypeError('no way to read it')
          return data
        },
      },
    },
  })
  const reader = async (writer: TidemarkStore) => {
    if (open === openEventStore)
      return await openEventStore({ name: writer.name, events: second as unknown as EventCatalogue })
    // Memory is not shared, so the same events are written where they cannot be read.
    const store = await openMemoryEventStore({
      name: writer.name,
      codec: {
        encode: (data) => data,
        decode: (data) => {
          if ((data as { n: number }).n === 2) throw new TypeError('no way to read it')
          return data
        },
      },
    })
    for (const stream of ['good', 'bad']) {
      for await (const { type, data } of writer.readStream(stream))
        await store.append({ stream, events: [{ type, data }] })
    }
    return store
  }

  test('V18: a stream is read in order; an empty one ends at once; a bad event ends it with its error, and nothing after it', async () => {
    const store = await opened()
    await store.append({ stream: 'good', events: [1, 3, 4].map((n) => ({ type: 'A', data: { n } })) })
    await store.append({ stream: 'bad', events: events(3) })
    expect(await walk(store.readStream('good'))).toEqual({ seen: [1, 3, 4] })
    expect(await walk(store.readStream('nobody'))).toEqual({ seen: [] })
    const other = await reader(store)
    expect(await walk(other.readStream('good'))).toEqual({ seen: [1, 3, 4] })
    expect(await walk(other.readStream('bad'))).toMatchObject({
      seen: [1],
      error: { code: 'event-unreadable', position: 5 },
    })
    expect(await walk(other.read({ after: 3 }))).toMatchObject({
      seen: [1],
      error: { code: 'event-unreadable', position: 5 },
    })
    await other.close()
    await store.close()
  })
})

test('S8: events of a form that this build cannot read are an error at the first of them, never an empty stream and never data of another form', async () => {
  const name = `values-${(count += 1)}`
  const newer = await openEventStore({
    name,
    events: defineEvents({ A: { version: 2, upcast: { 1: (data: unknown) => data } } }),
  })
  await newer.append({ stream: 's', events: [{ type: 'A', data: { renamed: 1 } }] })
  const older = await openEventStore({ name, events: defineEvents({ A: {} }) })
  expect(await walk(older.readStream('s'))).toMatchObject({
    seen: [],
    error: { code: 'event-unreadable', position: 1 },
  })
  await expect(older.readPage({ limit: 10 })).rejects.toMatchObject({ code: 'event-unreadable', position: 1 })
  // Another type is no other reading of the same event.
  expect((await older.readPage({ filter: { types: ['B' as 'A'] }, limit: 10 })).events).toEqual([])
  await newer.close()
  await older.close()
})

test('K5: checkpoints are kept over the connection that the log has open already', async () => {
  const store = await openEventStore({ name: `values-${(count += 1)}` })
  await store.append({ stream: 's', events: events(3) })
  const open = vi.spyOn(IDBFactory.prototype, 'open')
  await store.checkpoints.save('p', 3)
  expect(await store.checkpoints.load('p')).toBe(3)
  expect(open).not.toHaveBeenCalled()
  open.mockRestore()
  await store.close()
})
