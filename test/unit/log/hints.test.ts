// H63, H68: what any script of the origin may post costs the writer little, and hides nothing from it.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { openEventStore, type TidemarkStore } from 'tidemark'
import { parseHint, type Hint } from '../../../src/platform/signals.js'
import { databaseOf, editRows } from '../../support/raw-database.js'
import { fakeIndexedDB } from '../../support/fake-indexeddb.js'

fakeIndexedDB()

/** Channels that deliver at once, and what was posted to them. */
let channels: Channel[] = []
let posted: unknown[] = []

class Channel {
  onmessage: ((event: { data: unknown }) => void) | null = null
  constructor(readonly name: string) {
    channels.push(this)
  }
  postMessage(data: unknown) {
    posted.push(data)
    for (const other of channels) if (other !== this && other.name === this.name) other.onmessage?.({ data })
  }
  close() {
    channels = channels.filter((other) => other !== this)
  }
}

let count = 0
beforeEach(() => {
  channels = []
  posted = []
  vi.stubGlobal('BroadcastChannel', Channel)
})
afterEach(() => {
  vi.restoreAllMocks()
  vi.unstubAllGlobals()
})

const append = (store: TidemarkStore, options = {}) =>
  store.append({ stream: 'a', events: [{ type: 'A', data: null }] }, options)
/** Hints are posted in a later task. */
const told = ({ position }: { position: number }) =>
  expect.poll(() => posted).toContainEqual({ kind: 'head', head: position, format: 2 })
const stranger = (store: TidemarkStore) => new Channel(databaseOf(store.name))

/** How often the writer looks into the log while `work` runs: it asks for the versions of streams then. */
async function looks(work: () => Promise<unknown>): Promise<number> {
  const asked = vi.spyOn(IDBIndex.prototype, 'openKeyCursor')
  await work()
  const { length } = asked.mock.calls.filter(([range]) => Array.isArray((range as IDBKeyRange | null)?.lower))
  asked.mockRestore()
  return length
}

test('false heads before every append: the writer looks once a second, and else appends as if there were none', async () => {
  const now = vi.spyOn(performance, 'now')
  let time = 1000
  now.mockImplementation(() => time)
  await using store = await openEventStore({ name: `hints-${(count += 1)}` })
  await append(store)
  const liar = stranger(store)
  const round = async () => {
    for (const head of [1e15, 7, 2 ** 53 - 1, 1e15]) liar.postMessage({ kind: 'head', head })
    await append(store)
  }
  expect(
    await looks(async () => {
      for (let at = 0; at < 50; at += 1) await round()
    }),
  ).toBe(1)
  time += 1001
  expect(
    await looks(async () => {
      for (let at = 0; at < 50; at += 1) await round()
    }),
  ).toBe(1)
  expect(await store.head()).toBe(101)
})

test('a hint that is not true makes the writer forget nothing: what it knows of other streams holds', async () => {
  await using store = await openEventStore({ name: `hints-${(count += 1)}` })
  await store.append([
    { stream: 'a', events: [{ type: 'A', data: null }] },
    { stream: 'b', events: [{ type: 'A', data: null }] },
  ])
  stranger(store).postMessage({ kind: 'head', head: 1e15 })
  expect(await looks(() => append(store))).toBe(1)
  expect(
    await looks(() => store.append({ stream: 'b', events: [{ type: 'A', data: null }], expectedVersion: 1 })),
  ).toBe(0)
})

test('a true hint sends the writer to look at once; while it is deaf the unique keys refuse it, and it looks then', async () => {
  const name = `hints-${(count += 1)}`
  await using store = await openEventStore({ name })
  await using other = await openEventStore({ name })
  await append(store)
  const adds = vi.spyOn(IDBObjectStore.prototype, 'add')
  await told(await append(other))
  adds.mockClear()
  expect(await append(store)).toMatchObject({ position: 3 })
  expect(adds).toHaveBeenCalledTimes(1)
  stranger(store).postMessage({ kind: 'head', head: 1e15 })
  await append(store)
  await append(other)
  expect(await store.append({ stream: 'a', events: [{ type: 'A', data: null }], expectedVersion: 5 })).toMatchObject({
    position: 6,
  })
})

test('a head that the log reaches later was no lie: hints are heeded on', async () => {
  const name = `hints-${(count += 1)}`
  await using store = await openEventStore({ name })
  await using other = await openEventStore({ name })
  await append(store)
  for (let at = 0; at < 3; at += 1) {
    await told(await append(other))
    const adds = vi.spyOn(IDBObjectStore.prototype, 'add')
    await append(store)
    expect(adds).toHaveBeenCalledTimes(1)
    adds.mockRestore()
  }
})

describe('H41: the format in a hint (decision 0002)', () => {
  test('each append says in which format it was stored', async () => {
    await using store = await openEventStore({ name: `hints-${(count += 1)}` })
    await append(store)
    await expect.poll(() => posted).toEqual([{ kind: 'head', head: 1, format: 2 }])
  })

  test('a newer one makes the store look before it does anything else', async () => {
    await using store = await openEventStore({ name: `hints-${(count += 1)}` })
    await append(store)
    await editRows(store.name, async ({ meta }) => {
      const get = meta.get('log')
      get.onsuccess = () => void meta.put({ ...get.result, format: 3, minReader: 3, minWriter: 3 })
    })
    // Neither reading nor a warm append asks for the row.
    expect(await append(store)).toMatchObject({ position: 2 })
    stranger(store).postMessage({ kind: 'head', head: 2, format: 3 })
    await expect(append(store)).rejects.toMatchObject({ code: 'unsupported-format', outcome: 'not-written' })
    await expect(store.head()).rejects.toMatchObject({ code: 'unsupported-format' })
  })

  test('false ones open the database once a second at most', async () => {
    let time = 1000
    vi.spyOn(performance, 'now').mockImplementation(() => time)
    await using store = await openEventStore({ name: `hints-${(count += 1)}` })
    await append(store)
    const liar = stranger(store)
    const opened = vi.spyOn(IDBFactory.prototype, 'open')
    const round = async (from: number) => {
      for (let format = from; format < from + 20; format += 1) {
        liar.postMessage({ kind: 'head', head: 1, format })
        await append(store)
      }
    }
    await round(3)
    expect(opened).toHaveBeenCalledTimes(1)
    time += 1001
    await round(100)
    expect(opened).toHaveBeenCalledTimes(2)
    // One build that is newer and leaves the log to this one says so with each append.
    time += 1001
    for (let at = 0; at < 20; at += 1) {
      liar.postMessage({ kind: 'head', head: 1, format: 100 })
      await append(store)
      time += 1001
    }
    expect(opened).toHaveBeenCalledTimes(2)
  })
})

describe('parseHint', () => {
  const commit = {
    kind: 'committed',
    projection: 'p@1',
    position: 3,
    revision: 2,
    from: 'a',
    to: 'b',
    changes: {},
  } as const
  const unknown = { ...commit, revision: 0, from: '', to: '', changes: 'unknown' }
  test.for<[unknown]>([
    ...[Number.NaN, -1, 1.5, 2 ** 53, Infinity, -Infinity, '1', 1n, null, undefined, [], {}, true].map(
      (head): [unknown] => [{ kind: 'head', head }],
    ),
    ...[Number.NaN, -1, 1.5, 2 ** 53, '1', undefined].map((position): [unknown] => [{ ...commit, position }]),
    [{ ...commit, projection: 'x'.repeat(1001) }],
    [{ ...commit, projection: 7 }],
    [{ kind: 'control' }],
    [{ kind: 'candidate', projection: 'x'.repeat(2000) }],
    [{ kind: 'other', head: 1 }],
    [null],
    ['head'],
    [7],
    [undefined],
  ])('%#: something else is no hint', ([message]) => {
    expect(parseHint(message)).toBeUndefined()
  })
  test.for<[Hint & object]>([
    [{ kind: 'head', head: 0 }],
    [{ kind: 'head', head: 2 ** 53 - 1, format: 2 }],
    [{ kind: 'control', projection: 'x'.repeat(1000) }],
    [{ kind: 'hidden-leader', projection: '' }],
    [{ kind: 'candidate', projection: 'p@1' }],
    [commit],
    [{ ...commit, from: '', to: 'x'.repeat(1000), changes: 'unknown' }],
  ])('what is one passes, and what else stands there does not', ([hint]) => {
    expect(parseHint({ ...hint, more: 1 })).toEqual(hint)
  })
  test.for<[string, unknown]>([
    ['is of an older build', { kind: 'committed', projection: 'p@1', position: 3, tables: ['t'] }],
    ...[Number.NaN, -1, 1.5, '2', {}, undefined].map((revision): [string, unknown] => [
      `has revision ${String(revision)}`,
      { ...commit, revision },
    ]),
    ...[undefined, null, 7, {}, ['a'], 'x'.repeat(1001)].flatMap((stamp): [string, unknown][] => [
      [`comes from ${String(stamp)}`, { ...commit, from: stamp }],
      [`leads to ${String(stamp)}`, { ...commit, to: stamp }],
    ]),
  ])('of a commit that %s nothing is known but that it was made', ([, hint]) => {
    expect(parseHint(hint)).toEqual(unknown)
  })
  test.for([Number.NaN, -1, 1.5, '2', {}])('a format that is %s is left out', (format) => {
    expect(parseHint({ kind: 'head', head: 1, format })).toEqual({ kind: 'head', head: 1 })
  })
})
