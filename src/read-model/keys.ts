/** Keys as IndexedDB has them, for code that has no IndexedDB: what is one, which comes first, and where rows have theirs. */
import { InvalidArgumentError, describe } from '../errors.js'

/** A property of a row, such as `'code'` or `'at.city'`, or several for a compound key. */
export type KeyPath = string | readonly string[]

/** A range of keys. An `IDBKeyRange` is one; so is any object of this form, where there is no IndexedDB. */
export interface KeyRange {
  /** @default no bound */
  readonly lower?: unknown
  /** @default no bound */
  readonly upper?: unknown
  /** The lower bound itself is not in the range. @default false */
  readonly lowerOpen?: boolean
  /** The upper bound itself is not in the range. @default false */
  readonly upperOpen?: boolean
}

/** A key as a key of a Map: equal exactly for keys that IndexedDB calls equal. */
export type MapKey = string | number

const deepest = 32

/** Whether IndexedDB takes the value as a key. */
export function isKey(value: unknown, depth = 0): value is IDBValidKey {
  switch (typeof value) {
    case 'string':
      return true
    case 'number':
      return !Number.isNaN(value)
    case 'object':
      if (value instanceof Date) return !Number.isNaN(value.getTime())
      if (value instanceof ArrayBuffer || ArrayBuffer.isView(value)) return true
      if (!Array.isArray(value) || depth >= deepest) return false
      // `every` would skip holes, which are no keys.
      for (let index = 0; index < value.length; index += 1) if (!Object.hasOwn(value, index) || !isKey(value[index], depth + 1)) return false
      return true
    default:
      return false
  }
}

/** The key, or InvalidArgumentError. */
export function checkedKey(value: unknown, what: string): IDBValidKey {
  if (typeof value === 'string' || isKey(value)) return value
  throw new InvalidArgumentError(what, `is ${describe(value)}, which cannot be a key. Keys are strings, numbers, dates, bytes, and lists of those.`)
}

const encodedMark = '\u0000'

/** See {@link MapKey}. */
export function mapKey(key: IDBValidKey): MapKey {
  if (typeof key === 'number') return key
  if (typeof key === 'string' && key.charCodeAt(0) !== 0) return key
  return encodedMark + encode(key)
}

function encode(key: IDBValidKey): string {
  // Lengths before texts, so that no two lists look alike.
  if (typeof key === 'string') return `s${key.length}:${key}`
  if (typeof key === 'number') return `n${key === 0 ? 0 : key};`
  if (key instanceof Date) return `d${key.getTime()};`
  if (Array.isArray(key)) return `a${key.length}:${key.map(encode).join('')}`
  return `b${[...bytesOf(key as BufferSource)].join(',')};`
}

const rank = (key: IDBValidKey): number =>
  typeof key === 'number' ? 1 : key instanceof Date ? 2 : typeof key === 'string' ? 3 : Array.isArray(key) ? 5 : 4

/** The order of IndexedDB: numbers, dates, strings by code units, bytes, lists. */
export function compareKeys(a: IDBValidKey, b: IDBValidKey): number {
  const byKind = rank(a) - rank(b)
  if (byKind !== 0) return byKind
  if (typeof a === 'number' || typeof a === 'string') return a < (b as typeof a) ? -1 : a > (b as typeof a) ? 1 : 0
  if (a instanceof Date) return a.getTime() - (b as Date).getTime()
  if (Array.isArray(a)) return compareLists(a, b as IDBValidKey[], compareKeys)
  return compareLists(bytesOf(a as BufferSource), bytesOf(b as BufferSource), (left, right) => left - right)
}

function compareLists<T>(a: ArrayLike<T>, b: ArrayLike<T>, compare: (left: T, right: T) => number): number {
  const shared = Math.min(a.length, b.length)
  for (let index = 0; index < shared; index += 1) {
    const order = compare(a[index] as T, b[index] as T)
    if (order !== 0) return order
  }
  return a.length - b.length
}

function bytesOf(key: BufferSource): Uint8Array {
  return key instanceof ArrayBuffer ? new Uint8Array(key) : new Uint8Array(key.buffer, key.byteOffset, key.byteLength)
}

/** Whether a key is in a range. */
export function inRange(key: IDBValidKey, range: KeyRange): boolean {
  if (range.lower !== undefined) {
    const order = compareKeys(key, range.lower as IDBValidKey)
    if (order < 0 || (order === 0 && range.lowerOpen === true)) return false
  }
  if (range.upper !== undefined) {
    const order = compareKeys(key, range.upper as IDBValidKey)
    if (order > 0 || (order === 0 && range.upperOpen === true)) return false
  }
  return true
}

/** Refuses what is no range, as IndexedDB does: bounds that are no keys, and a lower one above the upper. */
export function checkedRange(range: KeyRange | undefined): KeyRange | undefined {
  if (range === undefined) return undefined
  if (typeof range !== 'object' || range === null) throw new InvalidArgumentError('range', 'must be an IDBKeyRange, or { lower?, upper?, lowerOpen?, upperOpen? }.')
  const { lower, upper, lowerOpen = false, upperOpen = false } = range
  if (lower === undefined && upper === undefined) return undefined
  if (lower !== undefined) checkedKey(lower, 'range.lower')
  if (upper !== undefined) checkedKey(upper, 'range.upper')
  if (lower !== undefined && upper !== undefined) {
    const order = compareKeys(lower as IDBValidKey, upper as IDBValidKey)
    if (order > 0 || (order === 0 && (lowerOpen || upperOpen))) throw new InvalidArgumentError('range', 'holds no key: its lower bound is not below its upper one.')
  }
  return { lower, upper, lowerOpen, upperOpen }
}

/** What stands at a key path, whatever it is; `undefined` where a list of paths has no key in one of its parts. */
export function atKeyPath(row: object, path: KeyPath): unknown {
  if (typeof path !== 'string') {
    const parts = path.map((part) => atKeyPath(row, part))
    return parts.every((part) => isKey(part)) ? parts : undefined
  }
  if (!path.includes('.')) return own(row, path)
  let value: unknown = row
  for (const step of path.split('.')) {
    value = own(value, step)
    if (value === undefined) return undefined
  }
  return value
}

function own(value: unknown, property: string): unknown {
  if (typeof value === 'string') return property === 'length' ? value.length : undefined
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, property)) return undefined
  return (value as Record<string, unknown>)[property]
}
