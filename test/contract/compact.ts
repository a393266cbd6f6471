/** Compaction: whatever was appended, and whoever reads or writes meanwhile, the log says the same before and after. */
import { afterEach, describe, expect, test, vi } from 'vitest'
import {
  compactEvents,
  defineEvents,
  defineProjection,
  deleteEventStore,
  exportEvents,
  openEventStore,
  openReadModel,
  runProjection,
  table,
  verifyEventStore,
  type RecordedEvent,
  type TidemarkStore,
} from 'tidemark'
import { openEventStore as openMemory } from 'tidemark/memory'
import { seededRandom } from '../../src/testing/random.js'
import { databaseOf, editRecord, editRows, settled, withDatabase } from '../support/raw-database.js'

type Event = { type: 'Added'; data: { value: number } }
const events = defineEvents<Event>()
const added = (value: number): Event => ({ type: 'Added', data: { value } })

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = []
  for await (const item of items) list.push(item)
  return list
}

interface StoredRecord {
  at: number
  n: number
  commits: number[]
}
const recordsOf = (name: string) =>
  withDatabase(
    databaseOf(name),
    (database) => settled(database.transaction('commits').objectStore('commits').getAll()) as Promise<StoredRecord[]>,
  )
const sizesOf = async (name: string) => (await recordsOf(name)).map(({ n }) => n)

export function compactContract(): void {
  let count = 0
  const stores: TidemarkStore<Event>[] = []
  const newName = () => `compact-${(count += 1)}-${Math.random()}`
  const open = async (name: string) => {
    const store = await openEventStore({ name, events, durability: 'relaxed' })
    stores.push(store)
    return store
  }
  afterEach(async () => {
    vi.restoreAllMocks()
    const names = new Set(stores.map(({ name }) => name))
    await Promise.all(stores.splice(0).map((store) => store.close()))
    for (const name of names) await deleteEventStore(name)
  })

  const singles = async (store: TidemarkStore<Event>, length: number, stream = (at: number) => `s-${at % 7}`) => {
    const from = await store.head()
    for (let at = from + 1; at <= from + length; at += 1)
      await store.append({ stream: stream(at), events: [added(at)] })
  }
  /** Everything that a log can be asked. */
  const toldBy = async (store: TidemarkStore<Event>) => {
    const list = await all(store.read())
    const streams = [...new Set(list.map(({ stream }) => stream))]
    return {
      list,
      head: await store.head(),
      lines: await all(exportEvents(store)),
      streams: await Promise.all(
        streams.map(async (stream) => [
          stream,
          await store.streamVersion(stream),
          await all(store.readStream(stream)),
          await all(store.readStream(stream, { after: 3, limit: 2 })),
        ]),
      ),
    }
  }
  const assertSound = async (store: TidemarkStore<Event>) =>
    expect(await verifyEventStore(store)).toMatchObject({ ok: true, defects: [], unlisted: 0 })

  describe('compactEvents', () => {
    test('joins single commits into records of 16 events, leaves what is not full, and the log says the same', async () => {
      const name = newName()
      const store = await open(name)
      await singles(store, 100)
      const before = await toldBy(store)
      expect(await compactEvents(store)).toEqual({ before: 100, after: 10 })
      expect(await sizesOf(name)).toEqual([16, 16, 16, 16, 16, 16, 1, 1, 1, 1])
      expect(await toldBy(store)).toEqual(before)
      expect(await toldBy(await open(name))).toEqual(before)
      await assertSound(store)
      // Done once is done.
      expect(await compactEvents(store)).toEqual({ before: 10, after: 10 })
      await singles(store, 12)
      expect(await compactEvents(store)).toEqual({ before: 22, after: 7 })
      await assertSound(store)
    })

    test('keeps commits whole, and apart in an export', async () => {
      const name = newName()
      const store = await open(name)
      for (let at = 0; at < 12; at += 1)
        await store.append({ stream: `s-${at % 2}`, events: Array.from({ length: 1 + (at % 6) }, () => added(at)) })
      await store.append({ stream: 'large', events: Array.from({ length: 600 }, (_, at) => added(at)) })
      await singles(store, 20)
      const before = await toldBy(store)
      await compactEvents(store, { eventsPerRecord: 10 })
      // Of 1 to 6 events, twice; 600 in one commit; singles.
      expect(await sizesOf(name)).toEqual([10, 5, 9, 7, 5, 6, 512, 88, 10, 10])
      expect(await toldBy(store)).toEqual(before)
      await assertSound(store)
      await compactEvents(store, { eventsPerRecord: 256 })
      expect(await sizesOf(name)).toEqual([42, 512, 88, 10, 10])
      expect(await toldBy(store)).toEqual(before)
      await assertSound(store)
    })

    test('two at once, where no lock keeps them apart, leave the log as it is', async () => {
      for (const sizes of [
        [10, 16],
        [16, 10],
        [7, 16],
        [16, 16],
      ] as const) {
        const name = newName()
        const stores = [await open(name), await open(name)]
        const store = stores[0] as TidemarkStore<Event>
        await singles(store, 64)
        const before = await toldBy(store)
        const unlocked = stores.map((each) => ({ ...each, acquire: async () => ({ release() {} }) }))
        await Promise.all(unlocked.map((each, at) => compactEvents(each, { eventsPerRecord: sizes[at] as number })))
        expect(await toldBy(store)).toEqual(before)
        await assertSound(store)
      }
    })

    test.for([1, 2, 3])(
      'with appends of any size by two tabs, ids by hand and compactions of any size in between, a third tab reads on from where it is (seed %i)',
      { timeout: 60_000 },
      async (seed) => {
        const random = seededRandom(seed)
        const name = newName()
        const [one, other, reader] = [await open(name), await open(name), await open(name)]
        const seen: RecordedEvent<Event>[] = []
        const onward = pagesOf(reader)
        for (let step = 0; step < 60; step += 1) {
          const writer = random() < 0.5 ? one : other
          const events = Array.from({ length: 1 + Math.floor(random() ** 4 * 40) }, (_, at) => ({
            ...added(step * 100 + at),
            ...(random() < 0.1 ? { id: `by hand ${step} ${at}` } : {}),
          }))
          await writer.append({ stream: `s-${Math.floor(random() * 5)}`, events })
          if (random() < 0.3)
            await compactEvents(random() < 0.5 ? one : other, { eventsPerRecord: 2 + Math.floor(random() * 30) })
          if (random() < 0.6) seen.push(...(await onward(seen.length, 1 + Math.floor(random() * 30))))
        }
        await compactEvents(one, { eventsPerRecord: 64 })
        while (seen.length < (await one.head())) seen.push(...(await onward(seen.length, 50)))
        expect(seen.map(({ position }) => position)).toEqual(seen.map((_, index) => index + 1))
        expect(await all((await open(name)).read())).toEqual(seen)
        await assertSound(one)
        const byHand = seen.find(({ id }) => id.startsWith('by hand'))
        expect(
          await other.append({
            stream: byHand?.stream ?? '',
            events: [{ type: byHand?.type ?? '', data: byHand?.data, id: byHand?.id ?? '' } as Event],
          }),
        ).toMatchObject({ duplicate: true })
      },
    )

    /** Reads on by pages, as a run does. */
    const pagesOf = (store: TidemarkStore<Event>) => async (after: number, limit: number) =>
      (await store.readPage({ after, limit })).events

    test('in the middle of a read, the rest of it is found in the records that it went to', async () => {
      const name = newName()
      const [store, other] = [await open(name), await open(name)]
      await singles(store, 700)
      const positions: number[] = []
      for await (const { position } of store.read()) {
        positions.push(position)
        if (position === 75) await compactEvents(other, { eventsPerRecord: 30 })
        if (position === 333) await compactEvents(other, { eventsPerRecord: 256 })
      }
      expect(positions).toEqual(Array.from({ length: 700 }, (_, index) => index + 1))
      const stream: number[] = []
      for await (const { version } of store.readStream('s-1')) {
        stream.push(version)
        if (version === 20) await compactEvents(other, { eventsPerRecord: 256 })
      }
      expect(stream).toEqual(Array.from({ length: 100 }, (_, index) => index + 1))
    })

    test('beside reads of many requests, each page has every event once', { timeout: 60_000 }, async () => {
      const name = newName()
      const [store, other] = [await open(name), await open(name)]
      for (let round = 0; round < 6; round += 1) {
        await singles(store, 300)
        const reads = Promise.all([0, 1, 2].map(() => store.readPage({ after: 0, limit: 5_000 })))
        await compactEvents(other, { eventsPerRecord: 2 ** (round + 2) })
        for (const { events } of await reads)
          expect(events.map(({ position }) => position)).toEqual(
            Array.from({ length: 300 * (round + 1) }, (_, index) => index + 1),
          )
      }
    })

    test('between two requests of one page, what was joined across them is read once', async () => {
      const name = newName()
      const store = await open(name)
      await singles(store, 400)
      const records = (await recordsOf(name)) as any[]
      const { getAll } = IDBObjectStore.prototype
      let joinedAt: number | undefined
      await withDatabase(databaseOf(name), async (database) => {
        vi.spyOn(IDBObjectStore.prototype, 'getAll').mockImplementation(function (this: IDBObjectStore, ...given) {
          const request = getAll.apply(this, given) as IDBRequest<{ at: number }[]>
          request.addEventListener('success', () => {
            const last = request.result.at(-1)?.at ?? 0
            if (joinedAt !== undefined || last > 390) return
            // Before the reader is heard again: the three before the end of what it got, and the three behind.
            const group = records.slice(last - 3, last + 3)
            joinedAt = group[0].at
            const commits = database.transaction('commits', 'readwrite').objectStore('commits')
            commits.delete(IDBKeyRange.bound(group[1].at, group.at(-1).at))
            commits.put({
              at: joinedAt,
              n: 6,
              heads: [...new Map(group.flatMap(({ heads }) => heads))],
              commits: group.map(({ at }) => at),
              ids: [...new Set(group.flatMap(({ ids }) => ids))],
              events: `[${group.map(({ events }) => events.slice(1, -1)).join(',')}]`,
            })
          })
          return request as never
        })
        const { events } = await store.readPage({ after: 0, limit: 1_000 })
        expect(joinedAt).toBeGreaterThan(1)
        expect(events.map(({ position }) => position)).toEqual(Array.from({ length: 400 }, (_, index) => index + 1))
      })
    })

    test('a writer that does not know what was joined since is refused, and then appends (the trap of a freed key)', async () => {
      const name = newName()
      const [fresh, stale] = [await open(name), await open(name)]
      await singles(fresh, 10)
      await stale.append({ stream: 'mine', events: [added(0)] })
      // No hint arrives.
      const post = vi.spyOn(BroadcastChannel.prototype, 'postMessage').mockImplementation(() => {})
      await singles(fresh, 21)
      await compactEvents(fresh)
      expect(await sizesOf(name)).toEqual([16, 16])
      // It takes 12 for free, and no record has that key.
      expect(await stale.append({ stream: 'mine', expectedVersion: 1, events: [added(1)] })).toMatchObject({
        position: 33,
        versions: { mine: 2 },
      })
      await expect(stale.append({ stream: 's-1', expectedVersion: 1, events: [added(99)] })).rejects.toMatchObject({
        code: 'version-conflict',
      })
      // Hints are posted a few milliseconds late, and timers may be slow.
      await expect.poll(() => post.mock.calls.length).toBeGreaterThan(0)
      await assertSound(fresh)
    })

    test('a compaction that fails in the middle changes nothing, and the next one does it', async () => {
      const name = newName()
      const store = await open(name)
      await singles(store, 80)
      const before = await toldBy(store)
      const put = vi.spyOn(IDBObjectStore.prototype, 'put').mockImplementationOnce(function (this: IDBObjectStore) {
        throw new DOMException('no room', 'QuotaExceededError')
      })
      await expect(compactEvents(store)).rejects.toMatchObject({ code: 'storage-full', outcome: 'not-written' })
      put.mockRestore()
      expect(await sizesOf(name)).toEqual(Array(80).fill(1))
      const controller = new AbortController()
      const reason = new Error('enough')
      await expect(compactEvents(store, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
      const aborting = compactEvents(store, { signal: controller.signal })
      controller.abort(reason)
      await aborting.catch((error: unknown) => expect(error).toBe(reason))
      expect(await toldBy(store)).toEqual(before)
      await compactEvents(store)
      expect(await sizesOf(name)).toEqual(Array(5).fill(16))
      expect(await toldBy(store)).toEqual(before)
    })

    test('where another one was first, what is there is left as it is', async () => {
      const name = newName()
      const store = await open(name)
      await singles(store, 20)
      const before = await toldBy(store)
      // Without locks: another one joins in the moment between reading and writing, and what is to be joined now goes on behind its end.
      const [one, other] = (await recordsOf(name)).slice(15, 17) as [any, any]
      const { getAll } = IDBObjectStore.prototype
      await withDatabase(databaseOf(name), async (database) => {
        let reads = 0
        vi.spyOn(IDBObjectStore.prototype, 'getAll').mockImplementation(function (this: IDBObjectStore, ...given) {
          const request = getAll.apply(this, given)
          if (this.name === 'commits' && this.transaction.mode === 'readonly' && ++reads === 1) {
            request.addEventListener('success', () => {
              const commits = database.transaction('commits', 'readwrite').objectStore('commits')
              commits.delete(17)
              commits.put({
                ...one,
                n: 2,
                heads: [...one.heads, ...other.heads],
                commits: [16, 17],
                ids: [...new Set([...one.ids, ...other.ids])],
                events: `${one.events.slice(0, -1)},${other.events.slice(1)}`,
              })
            })
          }
          return request
        })
        await compactEvents(store)
        expect(reads).toBeGreaterThan(0)
      })
      vi.restoreAllMocks()
      expect(await toldBy(store)).toEqual(before)
      await compactEvents(store)
      expect(await sizesOf(name)).toEqual([15, 2, 1, 1, 1])
      expect(await toldBy(store)).toEqual(before)
      await assertSound(store)
    })

    test('H76: damaged records are left alone, and spoil nothing', async () => {
      const name = newName()
      const store = await open(name)
      await singles(store, 64)
      await editRecord(name, 20, (record) => ({ ...record, events: 'no json' }))
      await editRecord(name, 40, (record) => ({ ...record, format: 7 }))
      await editRows(name, ({ commits }) => void commits.delete(60))
      const { defects } = await verifyEventStore(store)
      await compactEvents(store)
      expect(await sizesOf(name)).toEqual([16, 3, 1, 16, 3, 1, 16, 3, 1, 1, 1, 1])
      expect((await verifyEventStore(store)).defects).toEqual(defects)
      await expect(store.readPage({ after: 55, limit: 10 })).rejects.toMatchObject({ code: 'log-inconsistent' })
    })

    test('a large event stays in a record of its own size', async () => {
      const name = newName()
      const store = await open(name)
      await singles(store, 5)
      await store.append({
        stream: 'large',
        events: [{ type: 'Added', data: { value: 1, text: 'x'.repeat(40_000) } as never }],
      })
      await singles(store, 16)
      await compactEvents(store)
      expect(await sizesOf(name)).toEqual([5, 1, 16])
    })

    test('projections, those that stand and those that begin, see every event once', async () => {
      const name = newName()
      const [store, other] = [await open(name), await open(name)]
      const definition = defineProjection(events, {
        name: 'sums',
        tables: { sums: table<{ stream: string; sum: number; times: number }>({ key: 'stream' }) },
        fold: {
          sums: {
            key: ({ stream }) => stream,
            evolve: (row, { stream, data }) => ({
              stream,
              sum: (row?.sum ?? 0) + data.value,
              times: (row?.times ?? 0) + 1,
            }),
          },
        },
      })
      for (let round = 0; round < 5; round += 1) {
        await singles(store, 61)
        await runProjection(store, definition, { budget: { maxEvents: 37 } })
        await compactEvents(other, { eventsPerRecord: 2 + round * 9 })
      }
      await runProjection(store, definition)
      const view = await openReadModel(store, definition)
      expect((await view.sums.getAll()).reduce((sum, { times }) => sum + times, 0)).toBe(305)
      expect((await view.sums.getAll()).reduce((all, { sum }) => all + sum, 0)).toBe((305 * 306) / 2)
      await view.close()
    })

    test('in memory there is nothing to do; what is no store or no number is refused', async () => {
      const memory = await openMemory({ name: 'compact', events })
      await memory.append({ stream: 's', events: [added(1)] })
      await memory.append({ stream: 's', events: [added(2)] })
      expect(await compactEvents(memory)).toEqual({ before: 2, after: 2 })
      for (const eventsPerRecord of [1, 257, 2.5, Number.NaN])
        await expect(compactEvents(memory, { eventsPerRecord })).rejects.toMatchObject({ code: 'invalid-argument' })
      await memory.close()
      await expect(compactEvents(memory)).rejects.toMatchObject({ code: 'closed' })
      await expect(compactEvents({} as never)).rejects.toMatchObject({ code: 'invalid-argument' })
    })
  })
}
