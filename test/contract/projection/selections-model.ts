/** What the suites about selections share: rows, indexes of every kind, and a naive walk through an index. */
import fc from 'fast-check'
import type { TypedTable } from 'tidemark'
import { compareKeys, isIndexKey } from '../../../src/read-model/keys.js'

export interface Row {
  readonly id: number
  readonly n?: number
  readonly tags?: readonly (number | string | boolean)[] | string
}
export type Span =
  | { lower?: number | string; upper?: number | string; lowerOpen?: boolean; upperOpen?: boolean }
  | number
  | string

export const indexes = { byN: 'n', byBoth: ['n', 'id'], byTag: { path: 'tags', multiEntry: true } } as const
export type Index = keyof typeof indexes

/** Indexes that the compiler refuses: what is in them is for the run time to say. */
export const unchecked = <R>(given: { key: string; indexes: unknown }): TypedTable<R, Record<Index, string>> =>
  given as never

const small = fc.integer({ min: 0, max: 4 })
const tag = fc.constantFrom<number | string | boolean>('a', 'b', 'c', 1, 2, true)
export const anyRow = fc.record(
  { n: small, tags: fc.oneof(fc.array(tag, { maxLength: 4 }), fc.constantFrom('a', 'b')) },
  { requiredKeys: [] },
)
const bound = fc.oneof<[fc.Arbitrary<number | string>, fc.Arbitrary<number | string>]>(
  small,
  fc.constantFrom('a', 'b', 'c'),
)
export const span: fc.Arbitrary<Span> = fc.oneof(
  bound,
  fc.record({ lower: bound, upper: bound, lowerOpen: fc.boolean(), upperOpen: fc.boolean() }, { requiredKeys: [] }),
)

/** The keys of a row in an index, in order, each once. */
function keysIn(row: Row, index: Index | undefined): unknown[] {
  const value: unknown =
    index === undefined ? row.id : index === 'byN' ? row.n : index === 'byTag' ? row.tags : [row.n, row.id]
  const keys = (index === 'byTag' && Array.isArray(value) ? (value as unknown[]) : [value]).filter((key) =>
    isIndexKey(key),
  )
  return keys.sort(compareKeys).filter((key, at) => at === 0 || compareKeys(keys[at - 1], key) !== 0)
}

const lies = (key: unknown, range: Span): boolean => {
  if (typeof range !== 'object') return compareKeys(key, range) === 0
  const low = range.lower === undefined ? 1 : compareKeys(key, range.lower)
  const high = range.upper === undefined ? -1 : compareKeys(key, range.upper)
  return (range.lowerOpen ? low > 0 : low >= 0) && (range.upperOpen ? high < 0 : high <= 0)
}

/** Every row that is asked for with its entry: the first that a walk through the index would meet. */
export function walked(
  rows: readonly Row[],
  index: Index | undefined,
  spans: readonly Span[] | undefined,
  prev: boolean,
) {
  const entries = rows.flatMap((row) => keysIn(row, index).map((key) => ({ key, row })))
  const inOrder = entries
    .filter(({ key }) => spans === undefined || spans.some((range) => lies(key, range)))
    .sort((left, right) => compareKeys(left.key, right.key) || left.row.id - right.row.id)
  if (prev) inOrder.reverse()
  return inOrder
    .filter(({ row }, at) => inOrder.findIndex((other) => other.row.id === row.id) === at)
    .map(({ row }) => row)
}
