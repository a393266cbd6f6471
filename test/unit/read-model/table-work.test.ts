// One table under the hands of a runner: what it must read of a table, and what it knows without.
import { expect, test, vi } from 'vitest'
import { table } from 'tidemark'
import { maxCachedRows } from '../../../src/read-model/unit-of-work/row-cache.js'
import type { RowSource } from '../../../src/read-model/storage.js'
import type { Asked } from '../../../src/read-model/dead-letters.js'
import { readsBeforeWhole, TableWork } from '../../../src/read-model/unit-of-work/table-work.js'

interface Row {
  readonly id: number
  readonly n: number
}

/** Tells single reads from those of many rows. */
const sourceOf = ({ row, rows, whole, lastKey }: ReturnType<typeof large>['source']): RowSource => ({
  rows: async (_table, keys) => (keys.length === 1 ? [await row(keys[0])] : rows(keys)),
  wholeTable: (_table, most) => whole(most),
  lastKey: () => lastKey(),
  select: () => Promise.reject(new Error('not asked for')),
})

/** A table of rows with even keys, from 0 to before `end`; it is read as a whole only if `small`. */
function large({ end = 100_000, small = false, empty = false } = {}) {
  const stored = (key: unknown): Row | undefined =>
    Number(key) % 2 === 0 && Number(key) < end ? { id: Number(key), n: 0 } : undefined
  const source = {
    row: vi.fn(async (key: unknown): Promise<unknown> => stored(key)),
    rows: vi.fn(async (keys: readonly unknown[]): Promise<unknown[]> => keys.map(stored)),
    whole: vi.fn(async (_most: number): Promise<unknown[] | undefined> =>
      small ? Array.from({ length: end / 2 }, (_, at) => ({ id: at * 2, n: 0 })) : undefined,
    ),
    lastKey: vi.fn(async (): Promise<number | undefined> => (end === 0 ? undefined : end - 2)),
  }
  const work = new TableWork('rows', table<Row>({ key: 'id' }), sourceOf(source), { empty })
  return {
    work,
    source,
    commit(rows: Iterable<Row | number>) {
      for (const row of rows) {
        if (typeof row === 'number') work.remove(row)
        else work.put(row)
      }
      work.keep()
      work.committed()
    },
    /** Asks for so many rows that it is worth looking at the table. */
    look: (from = 1) => work.loadAll(Array.from({ length: readsBeforeWhole }, (_, at) => from + at)),
  }
}
const rowsOf = (from: number, count: number): Row[] =>
  Array.from({ length: count }, (_, at) => ({ id: from + at, n: 1 }))
/** `null` for a row that is not there, nothing where only the storage knows. */
const seen = (work: TableWork, ...keys: number[]) => keys.map((key) => work.known(key)?.row)

test('keys after the last one of a table that is too large to be read need no reading', async () => {
  const { work, source, commit, look } = large()
  expect(seen(work, 100_000)).toEqual([undefined])
  await look()
  expect(source.lastKey).toHaveBeenCalledOnce()
  expect(seen(work, 99_998, 99_999, 100_000)).toEqual([undefined, null, null])
  for (let from = 100_000; from < 160_000; from += 1_000) {
    await work.loadAll(rowsOf(from, 1_000).map(({ id }) => id))
    commit(rowsOf(from, 1_000))
  }
  expect([source.rows.mock.calls.length, source.lastKey.mock.calls.length]).toEqual([1, 1])
  // What was added is in the table now, remembered or not.
  expect(seen(work, 100_500, 159_999, 160_000)).toEqual([undefined, { id: 159_999, n: 1 }, null])
})

test('a key that was deleted is not missing what comes before it', async () => {
  const { work, commit, look } = large()
  await look()
  commit([{ id: 200_000, n: 1 }, ...rowsOf(100_000, maxCachedRows)])
  commit([200_000])
  expect(seen(work, 200_000, 200_001, 100_000 + maxCachedRows)).toEqual([null, null, undefined])
})

test('a row that was only deleted moves no end', async () => {
  const { work, commit, look } = large()
  await look()
  commit([{ id: 100_001, n: 1 }, 300_000])
  expect(seen(work, 100_002)).toEqual([null])
})

test('a table that was empty is known to its end, however many rows come', () => {
  const { work, commit } = large({ end: 0, empty: true })
  for (let from = 0; from < 3 * maxCachedRows; from += 10_000) commit(rowsOf(from, 10_000))
  expect(work.isComplete).toBe(false)
  expect(seen(work, 5, 3 * maxCachedRows)).toEqual([undefined, null])
})

test('so is a small one that was read', async () => {
  const { work, source, commit, look } = large({ end: 100, small: true })
  await look()
  expect([work.isComplete, seen(work, 98, 99)]).toEqual([true, [{ id: 98, n: 0 }, null]])
  commit(rowsOf(1_000, 2 * maxCachedRows))
  expect([work.isComplete, seen(work, 1_000, 1_000 + 2 * maxCachedRows)]).toEqual([false, [undefined, null]])
  expect(source.lastKey).not.toHaveBeenCalled()
})

test('and an empty one whose emptiness was not known', async () => {
  const { work, look } = large({ end: 0 })
  await look()
  expect(seen(work, -1, 0)).toEqual([null, null])
})

test('many new rows do not take the place of those that were read', async () => {
  const { work, commit } = large()
  await work.loadAll([0, 2, 4])
  commit([{ id: 4, n: 5 }, ...rowsOf(100_000, 3 * maxCachedRows)])
  expect(seen(work, 0, 2, 4)).toEqual([
    { id: 0, n: 0 },
    { id: 2, n: 0 },
    { id: 4, n: 5 },
  ])
  expect(seen(work, 100_000, 99_999 + 3 * maxCachedRows)).toEqual([undefined, { id: 99_999 + 3 * maxCachedRows, n: 1 }])
})

test('nor do those that were written again', async () => {
  const { work, commit } = large()
  commit(rowsOf(100_000, maxCachedRows))
  await work.loadAll(Array.from({ length: maxCachedRows / 2 }, (_, at) => 2 * at))
  // Of these the second half is still remembered.
  commit(rowsOf(100_000, 2 * maxCachedRows))
  expect(seen(work, 0, maxCachedRows - 2)).toEqual([
    { id: 0, n: 0 },
    { id: maxCachedRows - 2, n: 0 },
  ])
})

test('of a long page every row is at hand, as it is after each commit, until the page ends', async () => {
  const { work, source, commit } = large({ end: 200_000 })
  const long = 3 * maxCachedRows
  const keys = Array.from({ length: long }, (_, at) => 2 * at)
  expect(keys.filter((key) => work.needs(key)).length).toBe(long)
  await work.loadAll(keys)
  commit([{ id: 2, n: 7 }, 4, ...rowsOf(500_000, 2 * maxCachedRows)])
  expect(seen(work, 0, 2, 4, 2 * long - 2)).toEqual([
    { id: 0, n: 0 },
    { id: 2, n: 7 },
    null,
    { id: 2 * long - 2, n: 0 },
  ])
  const calls = source.rows.mock.calls.length
  work.endPage()
  expect(seen(work, 0, 2, 2 * long - 2)).toEqual([undefined, undefined, undefined])
  expect(work.needs(0)).toBe(true)
  expect(source.rows.mock.calls.length).toBe(calls)
})

test('of a short one what was read stays for the next', async () => {
  const { work } = large()
  await work.loadAll([0, 2, 5])
  work.endPage()
  expect(seen(work, 0, 2, 5, 7)).toEqual([{ id: 0, n: 0 }, { id: 2, n: 0 }, null, undefined])
})

test('nor do more new rows than are remembered make one forget that is pending and needed next', () => {
  const { work, commit } = large()
  work.put({ id: 2, n: 3 })
  expect([work.needs(2), work.needs(4)]).toEqual([false, true])
  commit(rowsOf(100_000, 3 * maxCachedRows))
  expect(seen(work, 2, 100_000)).toEqual([{ id: 2, n: 3 }, undefined])
})

test('rows are asked for in the order of their keys, and not too many at once', async () => {
  const { work, source } = large()
  await work.loadAll(Array.from({ length: 2_500 }, (_, at) => (at * 7_919) % 2_500))
  const asked = source.rows.mock.calls.map(([keys]) => keys as number[])
  expect(asked.map(({ length }) => length)).toEqual([1_024, 1_024, 452])
  expect(asked.flat()).toEqual(Array.from({ length: 2_500 }, (_, at) => at))
  expect(seen(work, 0, 1, 2_498)).toEqual([{ id: 0, n: 0 }, null, { id: 2_498, n: 0 }])
})

test('what was read before a commit says nothing of the rows after it', async () => {
  const { work, source, commit } = large()
  let answer = (_row: unknown) => {}
  source.row.mockImplementationOnce(() => new Promise((resolve) => (answer = resolve)))
  const late = work.load(6)
  // So many that the row itself is forgotten again.
  commit([{ id: 6, n: 7 }, ...rowsOf(100_000, 2 * maxCachedRows)])
  for (let from = 0; from < 3 * maxCachedRows; from += 1) commit([{ id: 300_000 + from, n: 1 }])
  source.row.mockImplementationOnce(async () => ({ id: 6, n: 7 }))
  answer({ id: 6, n: 0 })
  expect((await late).row).toEqual({ id: 6, n: 7 })
})

test.for([
  ['the whole table', true],
  ['its last key', false],
] as const)('nor does %s', async ([, small]) => {
  const { work, source, commit, look } = large({ end: 100, small })
  let answer = (_answer: never) => {}
  const asked = (small ? source.whole : source.lastKey) as ReturnType<typeof vi.fn<() => Promise<unknown>>>
  asked.mockImplementationOnce(() => new Promise((resolve) => (answer = resolve)))
  const looking = look()
  await vi.waitFor(() => expect(asked).toHaveBeenCalled())
  commit(rowsOf(1_000, 2 * maxCachedRows))
  for (let from = 0; from < 2 * maxCachedRows; from += 1) commit([{ id: 100_000 - from, n: 1 }])
  answer((small ? [] : 98) as never)
  await looking
  expect([work.isComplete, ...seen(work, 1_000)]).toEqual([false, undefined])
})

test('a row that is written twice by an event that fails is what it was before the event', () => {
  const { work, commit } = large({ end: 0, empty: true })
  commit([{ id: 1, n: 1 }])
  work.put({ id: 2, n: 2 })
  work.keep()
  for (const n of [10, 11, 12]) for (const id of [1, 2, 3]) work.put({ id, n })
  work.remove(2)
  work.discard()
  expect([...work.pending.values()]).toMatchObject([{ key: 2, row: { id: 2, n: 2 } }])
  expect(seen(work, 1, 2, 3)).toEqual([{ id: 1, n: 1 }, { id: 2, n: 2 }, null])
  // Nothing is left of it for the next one to take back.
  work.put({ id: 3, n: 3 })
  work.discard()
  expect(seen(work, 2, 3)).toEqual([{ id: 2, n: 2 }, null])
})

test('reading the whole table leaves alone what is remembered of it', async () => {
  const { work, look } = large({ end: 100, small: true })
  const entry = await work.load(2)
  work.put({ id: 4, n: 9 })
  expect(work.needs(4)).toBe(false)
  await look(11)
  expect(work.isComplete).toBe(true)
  expect(work.known(2)).toBe(entry)
  expect(seen(work, 4, 6)).toEqual([
    { id: 4, n: 9 },
    { id: 6, n: 0 },
  ])
})

test('single reads are counted: after so many the whole table is asked for, once', async () => {
  const { work, source } = large()
  for (let at = 1; at < 3 * readsBeforeWhole; at += 1)
    expect((await work.load(at)).row).toEqual(at % 2 === 0 ? { id: at, n: 0 } : null)
  expect([source.whole.mock.calls, source.row.mock.calls.length]).toEqual([
    [[maxCachedRows / 2]],
    3 * readsBeforeWhole - 1,
  ])
  const small = large({ end: 100, small: true })
  for (let at = 0; at < 50; at += 1)
    expect((await small.work.load(at)).row).toEqual(at % 2 === 0 ? { id: at, n: 0 } : null)
  expect([small.source.whole.mock.calls.length, small.source.row.mock.calls.length]).toEqual([1, readsBeforeWhole - 1])
})

test('a small table of which a row had to be read is read whole while the run rests, and a large one to its end', async () => {
  const { work, source } = large({ end: 100, small: true })
  work.rest()
  work.put({ id: 1, n: 1 })
  work.keep()
  work.committed()
  work.rest()
  expect(source.whole).not.toHaveBeenCalled()
  const entry = await work.load(2)
  work.rest()
  work.rest()
  await vi.waitFor(() => expect(work.isComplete).toBe(true))
  expect(work.known(2)).toBe(entry)
  expect(seen(work, 1, 98, 99)).toEqual([{ id: 1, n: 1 }, { id: 98, n: 0 }, null])
  work.rest()
  expect(source.whole.mock.calls).toEqual([[1024]])
  const other = large()
  // Of a fold.
  await other.work.loadAll([4])
  other.work.rest()
  await vi.waitFor(() => expect(seen(other.work, 100_000)).toEqual([null]))
  await other.work.load(6)
  other.work.rest()
  expect([seen(other.work, 8), other.source.whole.mock.calls.length]).toEqual([[undefined], 1])
  // It may still be small enough for what reads many rows.
  for (let at = 1; at < 2 * readsBeforeWhole; at += 1) await other.work.load(at * 10)
  expect(other.source.whole.mock.calls).toEqual([[1024], [maxCachedRows / 2]])
  other.work.rest()
  expect(other.source.whole).toHaveBeenCalledTimes(2)
})

test.for([
  ['a text', 'x'.repeat(100_000)],
  ['bytes', new Uint8Array(100_000)],
  ['parts', { lists: Array.from({ length: 100 }, () => ['x'.repeat(1_000)]) }],
] as const)('of long rows fewer are read together: %s', async ([, data]) => {
  const { work, source } = large({ end: 100, small: true })
  source.whole.mockResolvedValue(undefined)
  source.row.mockImplementation(async (id) => ({ id, n: 0, data }))
  await work.load(2)
  work.rest()
  expect(source.whole.mock.calls).toEqual([[41]])
  // One that takes more than there is space for may be the only one.
  const other = large({ end: 100, small: true })
  other.source.row.mockImplementation(async (id) => ({ id, data: Array.from({ length: 50 }, () => data) }))
  await other.work.load(2)
  other.work.rest()
  expect(other.source.whole.mock.calls).toEqual([[1]])
  // Who has to wait for many rows waits for more of them together.
  for (let at = 0; at < 2 * readsBeforeWhole; at += 1) await work.load(2 * at)
  expect(source.whole.mock.calls[1]?.[0]).toBeGreaterThan(600)
  expect(source.whole.mock.calls[1]?.[0]).toBeLessThan(672)
})

test('rows that a page reads together are one read', async () => {
  const { work, source } = large()
  await work.loadAll(Array.from({ length: readsBeforeWhole - 1 }, (_, at) => at))
  for (let at = 0; at < readsBeforeWhole - 2; at += 1) await work.load(100 + at)
  expect(source.whole).not.toHaveBeenCalled()
  await work.load(200)
  expect(source.whole).toHaveBeenCalledOnce()
})

test('a table that was read while rows were committed is read after the next read, and so is one that cannot be read', async () => {
  const { work, source, commit } = large({ end: 100, small: true })
  let answer = (_rows: unknown[]) => {}
  source.whole.mockImplementationOnce(() => new Promise((resolve) => (answer = resolve)))
  await work.load(2)
  work.rest()
  commit([{ id: 4, n: 1 }, 6])
  answer([2, 4, 6, 8].map((id) => ({ id, n: 0 })))
  for (let turn = 0; turn < 9; turn += 1) await Promise.resolve()
  expect([work.isComplete, ...seen(work, 4, 6, 8)]).toEqual([false, { id: 4, n: 1 }, null, undefined])
  work.rest()
  expect(source.whole).toHaveBeenCalledTimes(1)
  await work.load(10)
  // As it is since.
  source.whole.mockResolvedValueOnce([2, 4, 10].map((id) => ({ id, n: Number(id === 4) })))
  work.rest()
  await vi.waitFor(() => expect(work.isComplete).toBe(true))
  expect(seen(work, 4, 6, 8)).toEqual([{ id: 4, n: 1 }, null, null])
  const broken = large({ end: 100, small: true })
  broken.source.whole.mockRejectedValue(new Error('no'))
  await broken.work.load(2)
  broken.work.rest()
  for (let turn = 0; turn < 9; turn += 1) await Promise.resolve()
  broken.work.rest()
  expect([broken.work.isComplete, broken.source.whole.mock.calls.length]).toEqual([false, 1])
  await broken.work.load(4)
  broken.work.rest()
  expect(broken.source.whole).toHaveBeenCalledTimes(2)
})

test('where every row that is read is told of, rows are read one by one, and no more than asked for', async () => {
  const { source } = large({ end: 100, small: true })
  const read: Asked[] = []
  const work = new TableWork('rows', table<Row>({ key: 'id' }), sourceOf(source), { empty: false, read })
  for (let at = 0; at < 2 * readsBeforeWhole; at += 1) await work.load(at)
  await work.loadAll(Array.from({ length: 2 * readsBeforeWhole }, (_, at) => 50 + at))
  expect(source.whole).not.toHaveBeenCalled()
  expect(read).toEqual(
    [
      ...Array.from({ length: 2 * readsBeforeWhole }, (_, at) => at),
      ...Array.from({ length: 2 * readsBeforeWhole }, (_, at) => 50 + at),
    ].map((key) => ({ table: 'rows', query: { kind: 'get', key }, answer: key % 2 === 0 ? { id: key, n: 0 } : null })),
  )
})

test('a whole table that cannot be read is read row by row', async () => {
  const { work, source } = large({ end: 100 })
  source.whole.mockRejectedValueOnce(new Error('too much for one answer'))
  await work.loadAll(Array.from({ length: 20 }, (_, at) => at))
  expect([work.isComplete, seen(work, 18, 19, 20)]).toEqual([false, [{ id: 18, n: 0 }, null, undefined]])
})

test('a row that was written while it was read stays as it was written', async () => {
  const { work, source } = large()
  let answer = (_row: unknown) => {}
  source.row.mockImplementationOnce(() => new Promise((resolve) => (answer = resolve)))
  const reading = work.load(6)
  work.put({ id: 6, n: 5 })
  answer({ id: 6, n: 0 })
  expect((await reading).row).toEqual({ id: 6, n: 5 })
  expect(seen(work, 6)).toEqual([{ id: 6, n: 5 }])
})

test('a row is an object with a key of its own, and what a schema returns is what is put', () => {
  const schema = {
    '~standard': {
      version: 1 as const,
      vendor: 'test',
      validate: (value: unknown) =>
        (value as Row).n < 0
          ? { issues: [{ message: 'too low' }, { message: 'and more' }] }
          : { value: { ...(value as Row), n: Math.min((value as Row).n, 3) } },
    },
  }
  const work = new TableWork('rows', { key: 'id', schema } as never, sourceOf(large().source), { empty: true })
  work.put({ id: 1, n: 4 })
  expect(seen(work, 1)).toEqual([{ id: 1, n: 3 }])
  expect(() => work.put({ id: 1, n: -1 })).toThrow(
    expect.objectContaining({ code: 'invalid-argument', message: expect.stringContaining('too low; and more') }),
  )
  const plain = large({ empty: true }).work
  for (const row of [
    null,
    undefined,
    5,
    'text',
    {},
    { id: null },
    { id: Number.NaN },
    Object.create({ id: 1 }),
    () => {},
  ]) {
    expect(() => plain.put(row), String(row)).toThrow(expect.objectContaining({ code: 'invalid-argument' }))
  }
  expect(plain.pending.size).toBe(0)
})
