/** Which rows a reader wants, checked, and which ones these are: the same on every backend. Pure. */
import { describe, InvalidArgumentError } from '../errors.js'
import { say } from '../messages.js'
import { onlyKnown } from '../platform/arguments.js'
import { keysIn } from './index-keys.js'
import type { IndexPaths } from './index-paths.js'
import {
  checkedRange,
  compareKeys,
  copyOfKey,
  inRange,
  isEmptyRange,
  keyOfRow,
  reaches,
  type KeyPath,
  type KeyRange,
  type RowKey,
} from './keys.js'
import { isObject } from '../platform/objects.js'
import { lookAtRanges } from './range-watch.js'
import type { RangeOf, TableKeys } from './table-keys.js'

/** Which keys. */
export interface InRange<Key = unknown> {
  /**
   * A span (an `IDBKeyRange`, or `{ lower, upper, lowerOpen, upperOpen }`) or a single key. Anything else is refused.
   * A key is of the type of the property, or a list where there are several; a bound may be the beginning of that list.
   * @default every row
   */
  readonly range?: RangeOf<Key>
  /**
   * Several of those, instead of `range`: the rows of all of them, each once, in one order and at one moment. An empty
   * list selects no row.
   */
  readonly ranges?: readonly RangeOf<Key>[]
}

/** Keys of the table or of the index that is named. */
export type CountOptions<Keys extends TableKeys = TableKeys> = string extends keyof Keys['indexes']
  ? InRange & { readonly index?: string | undefined }
  : (InRange<Keys['key']> & { readonly index?: undefined }) | OfIndex<Keys['indexes']>

type OfIndex<Indexes> = { [N in keyof Indexes]: InRange<Indexes[N]> & { readonly index: N } }[keyof Indexes]

/**
 * Which rows, and in what order. `index` is the one whose keys `range` has and the rows are sorted by.
 * @default the key of the table
 */
export type QueryOptions<Keys extends TableKeys = TableKeys, Row = unknown> = CountOptions<Keys> & {
  /** @default 'next' */
  readonly direction?: 'next' | 'prev'
  /** The most rows: a whole number of any size, or `Infinity`. @default Infinity */
  readonly limit?: number
  /**
   * Only rows that come behind this one, in the order of `index` and, among equal ones, of the key: the last row of the
   * page before, or as much of it as has its key and the properties of the index. The row itself may be gone meanwhile.
   * @default from the first one on
   */
  readonly after?: Partial<Row>
}

/** Where a row is in an index: under which key, and its own key. */
export interface Place {
  readonly at: unknown
  readonly key: RowKey
}

/** Options of a query, checked. */
export interface Selection {
  readonly index?: string | undefined
  /** In ascending order and apart from each other; none of them is empty. @default every key */
  readonly ranges?: readonly KeyRange[]
  /** @default 'next' */
  readonly direction?: 'next' | 'prev' | undefined
  /** From 1 to below 2 ** 32, or `Infinity`. @default Infinity */
  readonly limit?: number
  /** Only rows behind this place; only with an index, since else the ranges say it. */
  readonly after?: Place
}

/** A question to a table. */
export type Query =
  | { readonly kind: 'get'; readonly key: RowKey }
  | { readonly kind: 'many'; readonly keys: readonly RowKey[] }
  | { readonly kind: 'all'; readonly options: Selection }
  | { readonly kind: 'count'; readonly options: Selection }

/** A question, and the table that it is for. */
export interface TableQuery {
  readonly table: string
  readonly query: Query
}

/** What a selection needs to know of a table. */
export interface Selectable {
  readonly key: KeyPath
  readonly indexes?: IndexPaths
}

const everyKey: readonly KeyRange[] = [{}]

/** The ranges in the order in which a selection comes to them. */
export const rangesOf = ({ ranges = everyKey, direction }: Selection): readonly KeyRange[] =>
  direction === 'prev' ? [...ranges].reverse() : ranges

/** The keys under which a selection may find a row. */
const keysFor = ({ index }: Selection, { indexes = {} }: Selectable, key: RowKey, row: unknown): readonly unknown[] =>
  index === undefined ? [key] : keysIn(indexes[index] ?? '', row)

/** Negative if a selection comes to `left` first. */
export function comparePlaces({ direction }: Selection, left: Place, right: Place): number {
  const order = compareKeys(left.at, right.at) || compareKeys(left.key, right.key)
  return direction === 'prev' ? -order : order
}

/**
 * Where a selection comes to a row, if it does. A row that an index has under several keys is where the first one of
 * them is that lies in a range.
 *
 * @param keys in ascending order
 */
export function placeOf(selection: Selection, keys: readonly unknown[], key: RowKey): Place | undefined {
  const { ranges = everyKey, direction, after } = selection
  const lies = (at: unknown) => ranges.some((range) => inRange(at, range))
  const at = direction === 'prev' ? keys.findLast(lies) : keys.find(lies)
  if (at === undefined) return undefined
  const place = { at, key }
  return after === undefined || comparePlaces(selection, place, after) > 0 ? place : undefined
}

/** The same of a row. */
export const placeOfRow = (selection: Selection, table: Selectable, key: RowKey, row: unknown): Place | undefined =>
  placeOf(selection, keysFor(selection, table, key, row), key)

/** What a selection selects of rows. */
export function select<R extends { readonly key: RowKey; readonly row: unknown }>(
  selection: Selection,
  table: Selectable,
  rows: Iterable<R>,
): R[] {
  const { limit = Infinity } = selection
  const found: { readonly place: Place; readonly from: R }[] = []
  const sort = () => {
    found.sort((left, right) => comparePlaces(selection, left.place, right.place))
    if (found.length > limit) found.length = limit
  }
  for (const from of rows) {
    const place = placeOfRow(selection, table, from.key, from.row)
    if (place === undefined) continue
    found.push({ place, from })
    // Few are wanted, and there may be many: not all of them are sorted.
    if (found.length > 2 * limit + 64) sort()
  }
  sort()
  return found.map(({ from }) => from)
}

/** What of a range comes behind a key, if anything. */
function behind(range: KeyRange, at: unknown, direction: Selection['direction']): KeyRange | undefined {
  const rest =
    direction === 'prev'
      ? { ...range, ...(reaches(at, range.upper, false) && { upper: at, upperOpen: true }) }
      : { ...range, ...(reaches(range.lower, at, false) && { lower: at, lowerOpen: true }) }
  return isEmptyRange(rest) ? undefined : rest
}

/** What of the ranges of a selection comes behind a key, in its order. */
export const rangesBehind = (selection: Selection, at: unknown): readonly KeyRange[] =>
  rangesOf(selection).flatMap((range) => behind(range, at, selection.direction) ?? [])

/** Ranges in ascending order and apart from each other, which cover the same keys. */
function merged(ranges: readonly KeyRange[]): KeyRange[] {
  const inOrder = ranges
    .filter((range) => !isEmptyRange(range))
    .sort((left, right) => compareKeys(left.lower ?? first, right.lower ?? first) || openness(left) - openness(right))
  const apart: KeyRange[] = []
  for (const range of inOrder) {
    const last = apart.at(-1)
    const { upper, upperOpen = false } = range
    // It begins in the last one, or where that ends.
    if (last === undefined || !reaches(range.lower, last.upper, range.lowerOpen && last.upperOpen)) apart.push(range)
    // It ends behind the last one.
    else if (last.upper !== undefined && reaches(last.upper, upper, upperOpen || !last.upperOpen))
      apart[apart.length - 1] = { ...last, upper, upperOpen }
  }
  return apart
}

/** No key comes before it. */
const first = -Infinity

/** Of two ranges from the same key the open one begins behind the other. */
const openness = ({ lower, lowerOpen = false }: KeyRange): number => Number(lower !== undefined && lowerOpen)

/**
 * Options as the app gave them, checked; nothing if they can select no row.
 *
 * @param known the options that there are
 * @throws InvalidArgumentError
 */
export function checkedSelection(
  name: string,
  table: Selectable,
  options: QueryOptions,
  known: readonly string[] = ['index', 'range', 'ranges', 'direction', 'limit', 'after'],
): Selection | undefined {
  onlyKnown(options, known)
  const { index, range, ranges: several, direction, limit = Infinity, after } = options
  if (limit !== Infinity && !(Number.isInteger(limit) && limit >= 0))
    throw new InvalidArgumentError('limit', say`must be a whole number of at least 0, or Infinity.`)
  if (index !== undefined && !Object.hasOwn(table.indexes ?? {}, index))
    throw new InvalidArgumentError('index', say`'${index}' is not declared for table '${name}'.`)
  if (direction !== undefined && direction !== 'next' && direction !== 'prev')
    throw new InvalidArgumentError('direction', say`must be 'next' or 'prev'.`)
  if (several !== undefined && (!Array.isArray(several) || range !== undefined))
    throw new InvalidArgumentError('ranges', say`must be a list, and without 'range' next to it.`)
  if (__DEV__) lookAtRanges(name, index, table, several ?? [range])
  const ranges = merged(
    several === undefined
      ? [checkedRange(range, 'range')]
      : Array.from(several as unknown[], (one, at) => checkedRange(one, `ranges.${at}`, true)),
  )
  // IndexedDB takes no count of 2 ** 32.
  const all: Selection = { index, ranges, direction, limit: limit < 2 ** 32 ? limit : Infinity }
  const place = after === undefined ? undefined : placeAfter(name, table, all, after)
  const selection =
    place === undefined
      ? all
      : index === undefined
        ? { ...all, ranges: merged(rangesBehind(all, place.key)) }
        : { ...all, after: place }
  // `getAll(range, 0)` would return everything (H15).
  return limit === 0 || selection.ranges?.length === 0 ? undefined : selection
}

function placeAfter(name: string, table: Selectable, selection: Selection, row: unknown): Place {
  if (!isObject(row)) throw new InvalidArgumentError('after', say`is ${describe(row)}; it must be a row of '${name}'.`)
  const key = copyOfKey(keyOfRow(table.key, row, `after.${String(table.key)}`))
  const keys = keysFor(selection, table, key, row)
  const at = placeOf(selection, keys, key)?.at ?? (keys.length === 1 ? keys[0] : undefined)
  if (at !== undefined) return { at: copyOfKey(at), key }
  throw new InvalidArgumentError(
    'after',
    say`is a row that index '${selection.index}' of '${name}' does not have there. Leave it out to begin with the first row.`,
  )
}
