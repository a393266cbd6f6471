/** Reading in both directions, held against a list: whatever was appended, however it lies in records, and wherever a read begins. */
import fc from 'fast-check'
import { afterEach, describe, expect, test } from 'vitest'
import {
  compactEvents,
  defineEvents,
  type EventFilter,
  type ReadAllOptions,
  type ReadStreamOptions,
  type RecordedEvent,
  type TidemarkStore,
} from 'tidemark'
import { editRecord } from '../support/raw-database.js'

export interface ReadingBackend {
  readonly name: string
  /** Stores of one name share their log. */
  readonly shared: boolean
  /** Whether it is in IndexedDB, so that a test may look into its databases. @default as `shared` */
  readonly onDevice?: boolean
  open(name: string, options?: object): Promise<TidemarkStore<any>>
}

const old = defineEvents({ Added: {}, Taken: {} })
const today = defineEvents({
  Added: { version: 2, upcast: { 1: (data: any) => ({ ...data, upcast: true }) } },
  Taken: {},
})

async function all(events: AsyncIterable<RecordedEvent>): Promise<RecordedEvent[]> {
  const list: RecordedEvent[] = []
  for await (const event of events) list.push(event)
  return list
}
const at = (events: readonly RecordedEvent[]) => events.map(({ position }) => position)

/** What a read returns of a list. */
function expected(
  events: readonly RecordedEvent[],
  place: 'position' | 'version',
  { after = 0, before = Infinity, limit = Infinity, direction = 'forwards' }: ReadStreamOptions,
): RecordedEvent[] {
  const within = events.filter((event) => event[place] > after && event[place] < before)
  return (direction === 'backwards' ? within.reverse() : within).slice(0, limit)
}

const matches =
  ({ types, streamPrefix = '' }: EventFilter) =>
  ({ type, stream }: RecordedEvent) =>
    (types === undefined || types.includes(type)) && stream.startsWith(streamPrefix)

const optional = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined })
const given = <T extends object>(options: T) =>
  Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>
  }

const stream = fc.constantFrom('a', 'a-1', 'b')
const write = fc.record({
  stream,
  /** Above 512 events, and above 256 Ki characters, a commit is several records. */
  count: fc.oneof(
    { weight: 12, arbitrary: fc.integer({ min: 1, max: 6 }) },
    { weight: 1, arbitrary: fc.integer({ min: 500, max: 1100 }) },
  ),
  type: fc.constantFrom('Added', 'Taken'),
  size: fc.oneof({ weight: 9, arbitrary: fc.constant(3) }, { weight: 1, arbitrary: fc.constant(90_000) }),
})
const step = fc.oneof(
  { weight: 8, arbitrary: fc.array(write, { minLength: 1, maxLength: 3 }) },
  { weight: 1, arbitrary: fc.constant('compact' as const) },
)
/** As a share of what is there, and a little beyond it. */
const bound = optional(fc.integer({ min: 0, max: 1100 }).map((thousandths) => thousandths / 1000))
const question = fc.record({
  after: bound,
  before: bound,
  limit: optional(fc.oneof(fc.integer({ min: 0, max: 5 }), fc.integer({ min: 100, max: 2000 }))),
  direction: optional(fc.constantFrom('forwards' as const, 'backwards' as const)),
  filter: optional(
    fc.record({ types: optional(fc.subarray(['Added', 'Taken'])), streamPrefix: optional(fc.constantFrom('', 'a')) }),
  ),
  stream: optional(fc.oneof(stream, fc.constant('unknown'))),
})

export function readingContract({ name: backend, shared, onDevice = shared, open }: ReadingBackend): void {
  let count = 0
  const stores: TidemarkStore[] = []
  const newName = () => `reading-${(count += 1)}-${Math.random()}`
  const opened = async (name = newName(), options: object = {}): Promise<TidemarkStore> => {
    const store = await open(name, { durability: 'relaxed', ...options })
    stores.push(store)
    return store
  }
  afterEach(async () => {
    for (const store of stores.splice(0)) await store.close()
  })
  const fill = async (store: TidemarkStore, length: number, streamOf = (_: number) => 'a') => {
    for (let value = 1; value <= length; value += 1)
      await store.append({
        stream: streamOf(value),
        events: [{ type: value % 5 === 0 ? 'Taken' : 'Added', data: value }],
      })
  }

  describe(`reading in both directions: ${backend}`, () => {
    test('S9: every read returns what a list would', { timeout: 120_000 }, async () => {
      await fc.assert(
        fc.asyncProperty(
          fc.array(step, { minLength: 1, maxLength: 10 }),
          fc.array(question, { minLength: 12, maxLength: 12 }),
          async (steps, questions) => {
            const name = newName()
            let store = await opened(name, { events: old })
            const list: RecordedEvent[] = []
            const versions = new Map<string, number>()
            for (const [index, each] of steps.entries()) {
              // What was stored before is of an earlier version from here on.
              if (shared && index === Math.floor(steps.length / 2)) {
                await store.close()
                for (const event of list)
                  if (event.type === 'Added')
                    Object.assign(event, { data: { ...(event.data as object), upcast: true } })
                store = await opened(name, { events: today })
              }
              if (each === 'compact') {
                if (shared) await compactEvents(store)
                continue
              }
              const writes = each.map(({ stream, count, type, size }) => ({
                stream,
                events: Array.from({ length: count }, (_, at) => ({
                  type,
                  data: { at, text: 'x'.repeat(count > 9 ? 3 : size) },
                })),
              }))
              await store.append(writes)
              for (const { stream, events } of writes)
                for (const event of events) {
                  const version = (versions.get(stream) ?? 0) + 1
                  versions.set(stream, version)
                  list.push({ ...event, stream, version, position: list.length + 1, id: '', time: 0 })
                }
            }
            for (const { stream, filter, after, before, ...rest } of questions) {
              const part = stream === undefined ? list : list.filter((event) => event.stream === stream)
              const place = (share: number | undefined) =>
                share === undefined ? undefined : Math.round(share * part.length)
              const options = given({ ...rest, after: place(after), before: place(before) })
              const narrow = given(filter ?? {}) as EventFilter
              const found =
                stream === undefined
                  ? await all(store.read({ ...options, filter: narrow } as ReadAllOptions))
                  : await all(store.readStream(stream, options as ReadStreamOptions))
              const wanted =
                stream === undefined
                  ? expected(part.filter(matches(narrow)), 'position', options as ReadStreamOptions)
                  : expected(part, 'version', options as ReadStreamOptions)
              expect(found.map(({ id: _id, time: _time, ...event }) => event)).toEqual(
                wanted.map(({ id: _id, time: _time, ...event }) => event),
              )
            }
            await store.close()
          },
        ),
        { numRuns: 20 },
      )
    })

    test('S9: the last event of a stream, and of the log, come first, and a bound means the same both ways', async () => {
      const store = await opened()
      await fill(store, 30, (value) => (value % 3 === 0 ? 'a' : 'b'))
      const back = { direction: 'backwards' } as const
      expect(at(await all(store.read({ ...back, limit: 1 })))).toEqual([30])
      expect(at(await all(store.readStream('b', { ...back, limit: 1 })))).toEqual([29])
      expect(at(await all(store.readStream('a', { ...back, before: 100, limit: 1 })))).toEqual([30])
      expect(at(await all(store.read({ ...back, after: 26 })))).toEqual([30, 29, 28, 27])
      expect(at(await all(store.read({ after: 26, before: 29 })))).toEqual([27, 28])
      expect(at(await all(store.read({ ...back, after: 26, before: 29 })))).toEqual([28, 27])
      expect(at(await all(store.read({ ...back, filter: { types: ['Taken'] }, limit: 2 })))).toEqual([30, 25])
      expect(await all(store.read({ ...back, after: 29, before: 30 }))).toEqual([])
      expect(await all(store.read({ ...back, after: 40, before: 20 }))).toEqual([])
      expect(await all(store.read({ ...back, before: 0 }))).toEqual([])
      expect(await all(store.readStream('unknown', back))).toEqual([])
    })

    test('S9: bounds within a record hold for what a filter matches', async () => {
      const store = await opened()
      const types = ['Added', 'Taken', 'Added', 'Taken', 'Taken', 'Added', 'Taken']
      await store.append(
        'a',
        types.map((type, data) => ({ type, data })),
      )
      const within = { after: 1, before: 5, filter: { types: ['Taken'] } }
      expect(at(await all(store.read(within)))).toEqual([2, 4])
      expect(at(await all(store.read({ ...within, direction: 'backwards' })))).toEqual([4, 2])
      expect(at(await all(store.readStream('a', { after: 1, before: 5, direction: 'backwards' })))).toEqual([4, 3, 2])
    })

    test('S9: an empty log has no last event', async () => {
      const store = await opened()
      for (const before of [undefined, 1, 9])
        expect(await all(store.read({ direction: 'backwards', ...(before && { before }) }))).toEqual([])
    })

    test('pages that follow each other by `before` hold every event once', async () => {
      const store = await opened()
      await store.append({
        stream: 'a',
        events: Array.from({ length: 1300 }, (_, at) => ({ type: 'Added', data: at })),
      })
      await fill(store, 40)
      const found: number[] = []
      for (let before: number | undefined; before !== 1;) {
        const page = await all(store.read({ direction: 'backwards', limit: 97, ...(before && { before }) }))
        found.push(...at(page))
        before = page.at(-1)?.position ?? 1
      }
      expect(found).toEqual(Array.from({ length: 1340 }, (_, index) => 1340 - index))
    })

    test('a read backwards shows the log as it was when it began, whatever is appended and compacted meanwhile', async () => {
      const store = await opened()
      await fill(store, 300, (value) => `s-${value % 2}`)
      for (const read of [
        () => store.read({ direction: 'backwards' }),
        () => store.readStream('s-1', { direction: 'backwards' }),
      ]) {
        const before = await all(read())
        const found: RecordedEvent[] = []
        for await (const event of read()) {
          found.push(event)
          if (found.length === 1) await fill(store, 3)
          if (found.length === 20 && shared) await compactEvents(store)
        }
        expect(found).toEqual(before)
      }
    })

    test('a signal ends a read backwards with its reason, and leaving the loop ends it without one', async () => {
      const store = await opened()
      await fill(store, 10)
      const controller = new AbortController()
      const reason = new Error('left')
      const found: number[] = []
      const reading = (async () => {
        for await (const { position } of store.read({ direction: 'backwards', signal: controller.signal })) {
          found.push(position)
          if (position === 8) controller.abort(reason)
        }
      })()
      await expect(reading).rejects.toBe(reason)
      expect(found).toEqual([10, 9, 8])
      for await (const { position } of store.readStream('a', { direction: 'backwards' })) if (position === 9) break
      expect(at(await all(store.read({ direction: 'backwards', limit: 2 })))).toEqual([10, 9])
    })

    test('a loop over follow reads no page before the last one was used, and goes on where another ended', async () => {
      const store = await opened()
      await fill(store, 20)
      const first: number[] = []
      for await (const { position } of store.follow()) if (first.push(position) === 12) break
      const second: number[] = []
      const following = (async () => {
        for await (const { position } of store.follow({ after: first.at(-1) ?? 0 }))
          if (second.push(position) === 11) break
      })()
      await fill(store, 3)
      await following
      expect([...first, ...second]).toEqual(Array.from({ length: 23 }, (_, index) => index + 1))
    })

    test.runIf(onDevice)(
      'a loop over follow stops at an event that cannot be read, behind what comes before it',
      async () => {
        const store = await opened()
        await fill(store, 5)
        await editRecord(store.name, 3, (record) => ({ ...record, events: 'no JSON' }))
        const found: number[] = []
        const following = (async () => {
          for await (const { position } of store.follow()) found.push(position)
        })()
        await expect(following).rejects.toMatchObject({ code: 'event-unreadable', position: 3 })
        expect(found).toEqual([1, 2])
      },
    )

    test.runIf(shared)(
      'loops over follow in several instances see every event once, while all of them append',
      async () => {
        const name = newName()
        const instances = await Promise.all([opened(name), opened(name), opened(name)])
        const seen = instances.map(async (store) => {
          const found: number[] = []
          for await (const { position } of store.follow()) if (found.push(position) === 60) return found
          return found
        })
        await Promise.all(
          instances.map(async (store, index) => {
            for (let at = 0; at < 20; at += 1) await store.append(`s-${index}`, { type: 'Added', data: at })
          }),
        )
        await compactEvents(instances[0] as TidemarkStore)
        const upTo60 = Array.from({ length: 60 }, (_, index) => index + 1)
        expect(await Promise.all(seen)).toEqual([upTo60, upTo60, upTo60])
      },
    )

    test('H50: a direction that there is not, a bound that is no position, and an unknown option are refused at the call', async () => {
      const store = await opened()
      for (const bad of [
        { direction: 'prev' },
        { direction: 'Backwards' },
        { direction: null },
        { direction: true },
        { before: -1 },
        { before: 1.5 },
        { before: null },
        { limit: -1 },
        { limit: Infinity },
        { after: '1' },
        { from: 1 },
        { reverse: true },
      ]) {
        expect(() => store.read(bad as never), JSON.stringify(bad)).toThrow(
          expect.objectContaining({ code: 'invalid-argument' }),
        )
        expect(() => store.readStream('a', bad as never), JSON.stringify(bad)).toThrow(
          expect.objectContaining({ code: 'invalid-argument' }),
        )
      }
      for (const name of ['direction', 'before'])
        await expect(store.readPage({ limit: 1, [name]: 'backwards' } as never)).rejects.toMatchObject({
          code: 'invalid-argument',
        })
      await expect(all(store.read({ limit: 0, filter: { tipes: [] } as never }))).rejects.toMatchObject({
        code: 'invalid-argument',
      })
    })
  })
}
