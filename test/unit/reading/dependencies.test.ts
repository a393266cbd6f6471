// Which changes touch what a query read: never too few, and not many too many.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { changesOf as lazily, checkedChanges, type Changes } from '../../../src/read-model/changes.js'
import type { Tables } from '../../../src/read-model/define.js'
import { mapKeyOf, type MapKey, type RowKey } from '../../../src/read-model/keys.js'
import { select } from '../../../src/read-model/selection.js'
import type { Query } from '../../../src/read-model/storage.js'
import { readOf, touches } from '../../../src/reading/dependencies.js'
import { questionsTo } from '../../../src/reading/table-readers.js'

interface Row {
  readonly id: RowKey
  readonly n?: number
  readonly m: number
  readonly tags: readonly number[]
}
const tables = {
  rows: {
    key: 'id',
    indexes: { byN: 'n', byBoth: ['m', 'n'], byTag: { path: 'tags', multiEntry: true } },
  },
} as unknown as Tables
const definition = tables['rows'] as never
const questions = questionsTo(tables, 'rows')
const changesOf = (...given: Parameters<typeof lazily>): Changes => checkedChanges(lazily(...given))

type Stored = Map<MapKey, { readonly key: RowKey; readonly row: Row }>

/** What the storage returns. */
function ask(query: Query, stored: Stored): unknown {
  const row = (key: RowKey) => stored.get(mapKeyOf(key))?.row
  if (query.kind === 'get') return row(query.key)
  if (query.kind === 'many') return query.keys.map(row)
  const found = select(query.options, definition, stored.values()).map(({ row }) => row)
  return query.kind === 'count' ? found.length : found
}

const small = fc.integer({ min: 0, max: 3 })
const key: fc.Arbitrary<RowKey> = fc.oneof(
  small,
  small.map((n) => new Date(n)),
  small.map(String),
)
const row: fc.Arbitrary<Row> = fc.record(
  { id: key, n: small, m: small, tags: fc.array(small, { maxLength: 3 }) },
  { requiredKeys: ['id', 'm', 'tags'] },
)
const index = fc.constantFrom(undefined, 'byN', 'byBoth', 'byTag')
const bound = (index: string | undefined, n: number) => (index === 'byBoth' ? [n] : n)
const range = (index: string | undefined) =>
  fc.record({ lower: small, upper: small, lowerOpen: fc.boolean() }, { requiredKeys: [] }).map((given) => ({
    ...given,
    ...(given.lower !== undefined && { lower: bound(index, given.lower) }),
    ...(given.upper !== undefined && { upper: bound(index, given.upper) }),
  }))
const selection = index.chain((index) =>
  fc.record(
    {
      index: fc.constant(index),
      ranges: fc.array(range(index), { maxLength: 2 }),
      direction: fc.constantFrom('next' as const, 'prev' as const),
      limit: fc.integer({ min: 1, max: 4 }),
      after: row.map((one) => ({
        ...one,
        n: one.n ?? 1,
        tags: one.tags.length === 0 ? [1] : one.tags,
      })),
    },
    { requiredKeys: ['index'] },
  ),
)
/** Nothing where the options select no row, or have no place. */
const orNothing = (make: () => Query | undefined): Query | undefined => {
  try {
    return make()
  } catch {
    return undefined
  }
}
const query: fc.Arbitrary<Query | undefined> = fc.oneof(
  key.map((one) => questions.get(one)),
  fc.array(key, { maxLength: 3 }).map((keys) => questions.many(keys)),
  {
    weight: 6,
    arbitrary: selection.map((options) => orNothing(() => questions.all(options as never))),
  },
  selection.map(({ index, ranges }) => questions.count({ index, ...(ranges && { ranges }) } as never)),
)
const change = fc.record({ row, isGone: fc.boolean() })

test('N140: a change that does not touch what a query read leaves its result as it is', () => {
  let spared = 0
  fc.assert(
    fc.property(fc.array(row, { maxLength: 12 }), query, fc.array(change, { maxLength: 3 }), (rows, asked, changed) => {
      if (asked === undefined) return
      const stored: Stored = new Map(rows.map((one) => [mapKeyOf(one.id), { key: one.id, row: one }]))
      const before = ask(asked, stored)
      const read = readOf(tables, 'rows', asked, before)
      const writes = new Map<MapKey, { key: RowKey; row: Row | null }>()
      for (const { row: one, isGone } of changed)
        writes.set(mapKeyOf(one.id), { key: one.id, row: isGone ? null : one })
      for (const [key, write] of writes)
        if (write.row === null) stored.delete(key)
        else stored.set(key, { key: write.key, row: write.row })
      const isTouched = touches(read, changesOf(tables, new Map([['rows', writes]])))
      if (!isTouched) {
        if (writes.size > 0) spared += 1
        expect(ask(asked, stored)).toEqual(before)
      }
    }),
    { seed: 20261129, numRuns: 20_000 },
  )
  expect(spared).toBeGreaterThan(4_000)
})

describe('which changes touch what', () => {
  const stored = (...rows: Row[]): Stored => new Map(rows.map((one) => [mapKeyOf(one.id), { key: one.id, row: one }]))
  const is = (id: RowKey, n: number | undefined, tags: number[] = []): Row => ({
    id,
    m: 0,
    tags,
    ...(n !== undefined && { n }),
  })
  const four = stored(is(1, 1), is(3, 5, [1, 9]), is(5, 5, [2]), is(7, 9))
  const puts = (...rows: Row[]): Changes => changesOf(tables, new Map([['rows', stored(...rows)]]))
  const gone = (id: RowKey): Changes =>
    changesOf(tables, new Map([['rows', new Map([[mapKeyOf(id), { key: id, row: null }]])]]))
  const window = (options: object) => {
    const asked = questions.all(options as never) as Query
    return readOf(tables, 'rows', asked, ask(asked, four))
  }

  test('a full window ends behind its last row, by the key in the index and then by the key of the row', () => {
    for (const [direction, inside, outside] of [
      ['next', [is(2, 5), is(9, 4)], [is(4, 5), is(0, 6), is(7, 9)]],
      ['prev', [is(4, 6), is(6, 5)], [is(4, 5), is(9, 4), is(1, 1)]],
    ] as const) {
      const read = window({ index: 'byN', direction, limit: 2 })
      for (const row of inside) expect(touches(read, puts(row)), `${direction} ${JSON.stringify(row)}`).toBe(true)
      for (const row of outside) expect(touches(read, puts(row)), `${direction} ${JSON.stringify(row)}`).toBe(false)
    }
  })

  test('a window that is not full has no end, and neither has one over an index with several keys of a row', () => {
    expect(touches(window({ index: 'byN', limit: 9 }), puts(is(8, 99)))).toBe(true)
    expect(touches(window({ index: 'byTag', limit: 1 }), puts(is(8, 1, [50])))).toBe(true)
  })

  test('a row that was found counts whatever becomes of it, and one that was not only if it comes into the range', () => {
    const read = window({ index: 'byN', range: { lower: 5, upper: 8 } })
    for (const changes of [gone(3), puts(is(3, 5)), puts(is(5, 99)), puts(is(9, 8))])
      expect(touches(read, changes)).toBe(true)
    for (const changes of [gone(1), gone(99), puts(is(1, 2)), puts(is(9, 8.5)), puts(is(9, undefined))])
      expect(touches(read, changes)).toBe(false)
  })

  test('what is not known touches all of its table, and a count each change of it', () => {
    const reads = [window({}), readOf(tables, 'rows', { kind: 'get', key: 1 }, undefined)]
    const count = readOf(tables, 'rows', { kind: 'count', options: {} }, 4)
    for (const read of [...reads, count]) {
      expect(touches(read, 'unknown')).toBe(true)
      expect(touches(read, new Map([['rows', 'unknown']]))).toBe(true)
      expect(touches(read, new Map([['others', 'unknown']]))).toBe(false)
      expect(touches(read, new Map([['rows', []]]))).toBe(false)
    }
    expect(touches(count, gone(99))).toBe(true)
  })
})
