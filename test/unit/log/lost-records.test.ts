// H16: large values lie in files of their own, and get lost alone.
import { afterEach, describe, expect, test } from 'vitest'
import {
  exportEvents,
  importEvents,
  openEventStore,
  runProjection,
  verifyEventStore,
  type RecordedEvent,
} from 'tidemark'
import type { ReadPage } from '../../../src/log/pages.js'
import { editRecord } from '../../support/raw-database.js'
import { fakeIndexedDB } from '../../support/fake-indexeddb.js'
import { inject, type Injection } from './inject-faults.js'

fakeIndexedDB()

let count = 0
let injection: Injection | undefined
afterEach(() => injection?.stop())

const added = (value: number) => ({ type: 'Added', data: value })
const positions = (events: readonly RecordedEvent[]) => events.map(({ position }) => position)

/** Positions 1–3 to `a`, 4–5 to `b`, 6 to `a`; the record of one of them lost. */
async function lose(at: number, error = 'NotReadableError') {
  const store = await openEventStore({ name: `lost-${(count += 1)}` })
  await store.append({ stream: 'a', events: [added(1), added(2), added(3)] })
  await store.append({ stream: 'b', events: [added(4), added(5)] })
  await store.append({ stream: 'a', events: [added(6)] })
  await store.close()
  const again = await openEventStore({ name: store.name })
  injection = inject([{ kind: 'value lost', at, error }])
  return again
}

async function until(events: AsyncIterable<RecordedEvent>): Promise<{ read: number[]; error: unknown }> {
  const read: number[] = []
  try {
    for await (const { position } of events) read.push(position)
    return { read, error: undefined }
  } catch (error) {
    return { read, error }
  }
}

describe.each(['NotReadableError', 'NotFoundError', 'DataError', 'UnknownError'])(
  'H16: a record lost with a %s',
  (error) => {
    test('is named by its position; what stands before and after it is read', async () => {
      await using store = await lose(4, error)
      expect(positions((await store.readPage({ limit: 10 })).events)).toEqual([1, 2, 3])
      await expect(store.readPage({ after: 3, limit: 10 })).rejects.toMatchObject({
        code: 'event-unreadable',
        position: 4,
        message: expect.stringContaining('the browser lost its record'),
      })
      await expect(store.readPage({ after: 4, limit: 10 })).rejects.toMatchObject({
        code: 'event-unreadable',
        position: 5,
      })
      expect(positions((await store.readPage({ after: 5, limit: 10 })).events)).toEqual([6])
      expect(await until(store.read())).toMatchObject({
        read: [1, 2, 3],
        error: { code: 'event-unreadable', position: 4 },
      })
      // Whoever asks to see everything sees both of its events, as unreadable.
      const page = await (store.readPage as ReadPage)({ limit: 10 }, { unreadable: 'collect' })
      expect(positions(page.events)).toEqual([1, 2, 3, 4, 5, 6])
      expect(page.unreadable?.map(({ position }) => position)).toEqual([4, 5])
    })

    test('leaves other streams whole', async () => {
      await using store = await lose(4, error)
      expect(await until(store.readStream('a'))).toEqual({ read: [1, 2, 3, 6], error: undefined })
      expect(await until(store.readStream('b'))).toMatchObject({
        read: [],
        error: { code: 'event-unreadable', position: 4 },
      })
      expect([await store.head(), await store.streamVersion('b')]).toEqual([6, 2])
      expect(await store.append({ stream: 'b', events: [added(7)], expectedVersion: 2 })).toMatchObject({
        position: 7,
        versions: { b: 3 },
      })
    })

    test('is named backwards as well, behind what comes first', async () => {
      await using store = await lose(4, error)
      const back = { direction: 'backwards' } as const
      const unreadable = { code: 'event-unreadable', position: 5 }
      expect(await until(store.read(back))).toMatchObject({ read: [6], error: unreadable })
      expect(await until(store.read({ ...back, before: 6 }))).toMatchObject({ read: [], error: unreadable })
      expect(await until(store.read({ ...back, before: 4 }))).toEqual({ read: [3, 2, 1], error: undefined })
      expect(await until(store.readStream('a', back))).toEqual({ read: [6, 3, 2, 1], error: undefined })
      for (const before of [{}, { before: 2 }, { before: 9 }])
        expect(await until(store.readStream('b', { ...back, ...before }))).toMatchObject({
          read: [],
          error: unreadable,
        })
    })

    test('is found by verify, and stops an export before it', async () => {
      await using store = await lose(4, error)
      expect(await verifyEventStore(store)).toMatchObject({
        ok: false,
        head: 6,
        events: 4,
        unlisted: 0,
        defects: [{ kind: 'unreadable', position: 4 }],
      })
      const lines: string[] = []
      const exporting = (async () => {
        for await (const line of exportEvents(store)) lines.push(line)
      })()
      await expect(exporting).rejects.toMatchObject({ code: 'event-unreadable', position: 4 })
      expect(lines).toHaveLength(4)
    })

    test('stops a projection before it', async () => {
      await using store = await lose(4, error)
      const applied: number[] = []
      const running = runProjection(store, {
        name: 'p',
        apply: ({ position }: RecordedEvent) => void applied.push(position),
      })
      await expect(running).rejects.toMatchObject({
        code: 'projection-failed',
        position: 4,
        cause: { code: 'event-unreadable' },
      })
      expect([applied, await store.checkpoints.load('p')]).toEqual([[1, 2, 3], 3])
    })
  },
)

test('H16: where the last record is lost, nobody is told a wrong head, and nothing is appended after it', async () => {
  await using store = await lose(6)
  await expect(store.head()).rejects.toMatchObject({ code: 'event-unreadable', position: 6 })
  expect(await until(store.read())).toMatchObject({
    read: [1, 2, 3, 4, 5],
    error: { code: 'event-unreadable', position: 6 },
  })
  expect(await until(store.read({ direction: 'backwards' }))).toMatchObject({
    read: [],
    error: { code: 'event-unreadable', position: 6 },
  })
  expect((await until(store.read({ direction: 'backwards', before: 6 }))).read).toEqual([5, 4, 3, 2, 1])
  await expect(store.append({ stream: 'c', events: [added(7)] })).rejects.toMatchObject({
    code: 'storage-damaged',
    outcome: 'not-written',
    cause: { name: 'NotReadableError' },
  })
  expect(await verifyEventStore(store)).toMatchObject({
    ok: false,
    events: 5,
    defects: [{ kind: 'unreadable', position: 6 }],
  })
  // The way out: what is left, in a new store.
  const rescued = await openEventStore({ name: `lost-${(count += 1)}` })
  expect(await importEvents(rescued, exportEvents(store, { upTo: 5 }))).toMatchObject({ imported: 5 })
  await rescued.close()
})

test('H16: an id is not taken for new where the record that may hold it is lost', async () => {
  await using store = await openEventStore({ name: `lost-${(count += 1)}` })
  await store.append({ stream: 'a', events: [{ ...added(1), id: 'mine' }] })
  await store.append({ stream: 'a', events: [added(2)] })
  injection = inject([{ kind: 'value lost', at: 1, error: 'NotReadableError' }])
  await expect(store.append({ stream: 'a', events: [{ ...added(1), id: 'mine' }] })).rejects.toMatchObject({
    code: 'storage-damaged',
    outcome: 'not-written',
  })
  expect(await store.append({ stream: 'a', events: [{ ...added(3), id: 'another' }] })).toMatchObject({ position: 3 })
})

test('H16: what is known of streams before two lost records still counts behind both', async () => {
  const store = await openEventStore({ name: `lost-${(count += 1)}` })
  await store.append({ stream: 'a', events: [added(1), added(2), added(3)] })
  await store.append({ stream: 'b', events: [added(4)] })
  await store.append({ stream: 'b', events: [added(5)] })
  await store.append({ stream: 'c', events: [added(6)] })
  await store.close()
  await editRecord(store.name, 6, (record: { events: string }) => {
    const [event] = JSON.parse(record.events) as [object]
    return { ...record, events: JSON.stringify([{ ...event, stream: 'a', version: 2 }]), heads: [['a', 2]] }
  })
  const again = await openEventStore({ name: store.name })
  injection = inject([
    { kind: 'value lost', at: 4, error: 'NotReadableError' },
    { kind: 'value lost', at: 5, error: 'NotReadableError' },
  ])
  const { defects } = await verifyEventStore(again)
  expect(defects).toContainEqual(
    expect.objectContaining({
      kind: 'version',
      position: 6,
      message: expect.stringContaining("Stream 'a' has version 2 at position 6, where 4 comes next") as unknown,
    }),
  )
  await again.close()
})
