// An append of many events gives the page its turn, and one of few events never waits for that.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { defineEvents, openEventStore, type StandardSchema } from 'tidemark'
import { openEventStore as openMemory } from 'tidemark/memory'
import { fakeIndexedDB } from '../../support/fake-indexeddb.js'

fakeIndexedDB()

let turns = 0
let pause = () => {}
let count = 0

beforeEach(() => {
  turns = 0
  pause = () => {}
  // Each look at the clock takes so long that every fifth ends a slice.
  let time = 0
  vi.spyOn(performance, 'now').mockImplementation(() => (time += 1))
  vi.stubGlobal('scheduler', {
    yield: async () => {
      turns += 1
      pause()
    },
  })
})
afterEach(() => {
  vi.restoreAllMocks()
  vi.unstubAllGlobals()
})

const events = (length: number, data: (at: number) => unknown = (at) => ({ at, text: 'some text' })) =>
  Array.from({ length }, (_, at) => ({ type: 'Added', data: data(at) }))
const accepting = (value: unknown) => ({ value })
const schema: StandardSchema = { '~standard': { version: 1, vendor: 'test', validate: accepting } }
const lateSchema: StandardSchema = {
  '~standard': { version: 1, vendor: 'test', validate: async (value) => accepting(value) },
}

describe.each([
  ['memory', openMemory],
  ['IndexedDB', openEventStore],
] as const)('%s', (_name, open) => {
  const options = [
    ['plain data', {}],
    ['a schema', { events: defineEvents({ Added: { schema } }) }],
    ['a schema that is asynchronous', { events: defineEvents({ Added: { schema: lateSchema } }) }],
    ['a codec', { codec: { encode: (data: unknown) => data, decode: (data: unknown) => data } }],
    [
      'a codec that is asynchronous',
      { codec: { encode: async (data: unknown) => data, decode: (data: unknown) => data } },
    ],
  ] as const
  test.for(options)('20,000 events with %s are prepared in slices', async ([, option]) => {
    await using store = await open({ name: `large-${(count += 1)}`, ...option } as { name: string })
    expect(await store.append({ stream: 'a', events: events(20_000) })).toMatchObject({ position: 20_000 })
    expect(turns).toBeGreaterThan(50)
  })

  test('20 events with much data each, too', async () => {
    await using store = await open({ name: `large-${(count += 1)}` })
    await store.append({ stream: 'a', events: events(20, () => 'x'.repeat(100_000)) })
    expect(turns).toBeGreaterThan(2)
  })

  test('1,000 small events are read before append returns: what happens to them afterwards changes nothing', async () => {
    await using store = await open({ name: `large-${(count += 1)}` })
    const list = events(1000)
    const before = turns
    const appending = store.append({ stream: 'a', events: list })
    expect(turns).toBe(before)
    for (const event of list) (event.data as { text: string }).text = 'changed'
    await appending
    const texts = new Set<unknown>()
    for await (const event of store.read()) texts.add((event.data as { text: unknown }).text)
    expect([...texts]).toEqual(['some text'])
  })

  test('data that is changed in a pause is stored as it was checked', async () => {
    const seen: unknown[] = []
    const validate = (value: unknown) => {
      seen.push(JSON.stringify(value))
      return { value }
    }
    await using store = await open({
      name: `large-${(count += 1)}`,
      events: defineEvents({ Added: { schema: { '~standard': { version: 1, vendor: 'test', validate } } } }),
    } as { name: string })
    const list = events(5000)
    pause = () => {
      for (const event of list) (event.data as { text: string }).text = `changed ${turns}`
    }
    await store.append({ stream: 'a', events: list })
    pause = () => {}
    const stored: string[] = []
    for await (const event of store.read()) stored.push(JSON.stringify(event.data))
    expect(stored).toEqual(seen)
  })

  test('an append that is aborted in a pause ends there, and the next one is stored', async () => {
    await using store = await open({ name: `large-${(count += 1)}` })
    const controller = new AbortController()
    pause = () => controller.abort(new Error('enough'))
    await expect(store.append({ stream: 'a', events: events(20_000) }, { signal: controller.signal })).rejects.toThrow(
      'enough',
    )
    expect(turns).toBe(1)
    expect(await store.append({ stream: 'a', events: events(1) })).toMatchObject({ position: 1 })
  })

  test('appends are stored in the order of their calls, also where the first one pauses', async () => {
    await using store = await open({ name: `large-${(count += 1)}` })
    expect(
      (
        await Promise.all([
          store.append({ stream: 'a', events: events(5000) }),
          store.append({ stream: 'a', events: events(1) }),
        ])
      ).map(({ position }) => position),
    ).toEqual([5000, 5001])
    expect(turns).toBeGreaterThan(10)
  })

  test('close() waits for an append that pauses', async () => {
    const store = await open({ name: `large-${(count += 1)}` })
    const appending = store.append({ stream: 'a', events: events(5000) })
    await store.close()
    expect(await appending).toMatchObject({ position: 5000 })
  })
})

test('on IndexedDB the records of one append are written in several turns, and few in one', async () => {
  await using store = await openEventStore({ name: `large-${(count += 1)}` })
  await store.append({ stream: 'a', events: events(1) })
  /** Counts turns of the event loop. */
  let turn = 0
  let on = true
  const next = () =>
    setImmediate(() => {
      turn += 1
      if (on) next()
    })
  next()
  const added: number[] = []
  const { add } = IDBObjectStore.prototype
  vi.spyOn(IDBObjectStore.prototype, 'add').mockImplementation(function (this: IDBObjectStore, ...args) {
    added.push(turn)
    return add.apply(this, args)
  })
  await store.append({ stream: 'a', events: events(20_000) })
  expect(added).toHaveLength(40)
  expect(new Set(added).size).toBeGreaterThan(5)
  added.length = 0
  await store.append({ stream: 'a', events: events(1500) })
  expect(new Set(added).size).toBe(1)
  on = false
})

test('H4: a record of many that is refused takes back all of them, also after a pause', async () => {
  await using store = await openEventStore({ name: `large-${(count += 1)}` })
  await store.append({ stream: 'a', events: events(1) })
  const { add } = IDBObjectStore.prototype
  for (const refused of [2, 30]) {
    let at = 0
    const spy = vi.spyOn(IDBObjectStore.prototype, 'add').mockImplementation(function (
      this: IDBObjectStore,
      record: any,
    ) {
      at += 1
      // Of a key that is there already.
      return add.call(this, at === refused ? { ...record, at: 1, commits: [1] } : record)
    })
    // The keys refuse a writer that was late; the second way refuses it for good.
    const failing = store.append({ stream: 'a', events: events(refused === 2 ? 1500 : 20_000) })
    if (refused === 2) await expect(failing).resolves.toMatchObject({ firstPosition: 2, position: 1501 })
    else await expect(failing).resolves.toMatchObject({ firstPosition: 1502 })
    spy.mockRestore()
  }
  let at = 0
  vi.spyOn(IDBObjectStore.prototype, 'add').mockImplementation(function (this: IDBObjectStore, record: any) {
    at += 1
    return add.call(this, at % 2 === 0 ? { ...record, at: 1, commits: [1] } : record)
  })
  const before = await store.head()
  await expect(store.append({ stream: 'a', events: events(1500) })).rejects.toMatchObject({
    code: 'storage-failed',
    outcome: 'not-written',
    cause: { name: 'ConstraintError' },
  })
  vi.mocked(IDBObjectStore.prototype.add).mockRestore()
  expect(await store.head()).toBe(before)
  expect(await store.append({ stream: 'a', events: events(1) })).toMatchObject({ position: before + 1 })
})
