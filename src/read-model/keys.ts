/** Keys of rows: what may be one, and how the memory backend orders them as IndexedDB does. */
import { InvalidArgumentError, describe } from '../errors.js'

/** What identifies a row. */
export type RowKey = string | number | Date

/** A span of keys: what an `IDBKeyRange` says, for where there is none. Bounds belong to it unless they are open. */
export interface KeyRange {
  readonly lower?: unknown
  readonly upper?: unknown
  readonly lowerOpen?: boolean
  readonly upperOpen?: boolean
}

/** A key in a shape that a `Map` can tell apart. */
export type Slot = string | number | bigint

/** A Date by its time, as a bigint: no other key can look like one, and strings, which most keys are, need no copy. */
export const slotOf = (key: RowKey): Slot => (key instanceof Date ? BigInt(key.getTime()) : key)

/** @throws InvalidArgumentError for anything that is no key */
export function assertKey(key: unknown, what: string): asserts key is RowKey {
  const fine = typeof key === 'string' || (typeof key === 'number' && Number.isFinite(key)) || (key instanceof Date && !Number.isNaN(key.getTime()))
  if (!fine) throw new InvalidArgumentError(what, `is ${describe(key)}; a key is a string, a finite number or a Date.`)
}

/** The order of types in IndexedDB: number, Date, string, array. */
const rank = (key: unknown): number | undefined =>
  typeof key === 'number' ? (Number.isNaN(key) ? undefined : 1)
  : key instanceof Date ? (Number.isNaN(key.getTime()) ? undefined : 2)
  : typeof key === 'string' ? 3
  : Array.isArray(key) ? (key.every((part) => rank(part) !== undefined) ? 4 : undefined)
  : undefined

/** Whether IndexedDB would take it as a key of an index; what it would not take is left out of the index. */
export const isIndexKey = (key: unknown): boolean => rank(key) !== undefined

/** As `indexedDB.cmp`: negative, 0 or positive. Both must be keys. */
export function compareKeys(left: unknown, right: unknown): number {
  const byType = (rank(left) ?? 0) - (rank(right) ?? 0)
  if (byType !== 0) return byType
  if (Array.isArray(left) && Array.isArray(right)) {
    for (let at = 0; at < Math.min(left.length, right.length); at += 1) {
      const byPart = compareKeys(left[at], right[at])
      if (byPart !== 0) return byPart
    }
    return left.length - right.length
  }
  const [a, b] = left instanceof Date ? [left.getTime(), (right as Date).getTime()] : [left as string, right as string]
  return a < b ? -1 : a > b ? 1 : 0
}

/** Whether a key lies in a range, which may be a single key. */
export function inRange(key: unknown, range: KeyRange | unknown): boolean {
  if (range === undefined || range === null) return true
  if (isIndexKey(range)) return compareKeys(key, range) === 0
  const { lower, upper, lowerOpen, upperOpen } = range as KeyRange
  if (lower !== undefined) {
    const order = compareKeys(key, lower)
    if (order < 0 || (order === 0 && lowerOpen === true)) return false
  }
  if (upper !== undefined) {
    const order = compareKeys(key, upper)
    if (order > 0 || (order === 0 && upperOpen === true)) return false
  }
  return true
}

/**
 * Checks a range and makes it what IndexedDB takes.
 *
 * @throws InvalidArgumentError for what is neither a key nor a range
 */
export function nativeRange(range: KeyRange | IDBValidKey | undefined): IDBKeyRange | IDBValidKey | null {
  if (range === undefined || range === null) return null
  if (isIndexKey(range) || range instanceof IDBKeyRange) return range as IDBKeyRange | IDBValidKey
  const { lower, upper, lowerOpen = false, upperOpen = false } = checkedRange(range)
  if (lower !== undefined && upper !== undefined) return IDBKeyRange.bound(lower, upper, lowerOpen, upperOpen)
  if (lower !== undefined) return IDBKeyRange.lowerBound(lower, lowerOpen)
  return upper === undefined ? null : IDBKeyRange.upperBound(upper, upperOpen)
}

/** @throws InvalidArgumentError for what is neither a key nor a range */
export function checkedRange(range: unknown): KeyRange {
  if (range === undefined || range === null) return {}
  if (isIndexKey(range)) return { lower: range, upper: range }
  const { lower, upper } = (typeof range === 'object' ? range : { lower: range }) as KeyRange
  for (const bound of [lower, upper]) {
    if (bound !== undefined && !isIndexKey(bound)) throw new InvalidArgumentError('range', `has the bound ${describe(bound)}; a bound is a string, a finite number, a Date or a list of them.`)
  }
  return range as KeyRange
}

/** Whether no key can lie in a range: IndexedDB refuses to make such a one. */
export function isEmptyRange(range: unknown): boolean {
  const { lower, upper, lowerOpen, upperOpen } = checkedRange(range)
  if (lower === undefined || upper === undefined) return false
  const order = compareKeys(lower, upper)
  return order > 0 || (order === 0 && (lowerOpen === true || upperOpen === true))
}

const identifier = String.raw`[$_\p{ID_Start}][$\u200c\u200d\p{ID_Continue}]*`
const keyPath = new RegExp(`^${identifier}(?:\\.${identifier})*$`, 'u')

/** Whether IndexedDB takes it as a key path: names joined by dots. */
export const isKeyPath = (path: unknown): path is string => typeof path === 'string' && keyPath.test(path)

/** What a key path finds in a row; `undefined` where it finds nothing. */
export function atKeyPath(row: unknown, path: string | readonly string[]): unknown {
  if (typeof path !== 'string') return path.map((part) => atKeyPath(row, part))
  let value = row
  for (const name of path.split('.')) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined
    value = (value as Record<string, unknown>)[name]
  }
  return value
}
