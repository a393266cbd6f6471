/** Keys of rows: what may be one, and how the memory backend orders them as IndexedDB does. */
import { InvalidArgumentError, describe, describeKey } from '../errors.js'
import { say } from '../messages.js'
import { isPlainPrototype } from '../events/json.js'
import { onlyKnown } from '../platform/arguments.js'
import { bytesOf, tagOf, timeOf } from './kinds.js'
import { isObject } from '../platform/objects.js'

/** What identifies a row, or one of several parts that do. */
export type KeyPart = string | number | Date

/** What identifies a row: a list where the table names several properties as its key. */
export type RowKey = KeyPart | readonly KeyPart[]

/** A key in an index: a string, a number, a Date, bytes or a list of those. */
export type IndexKey = string | number | Date | ArrayBuffer | ArrayBufferView | readonly IndexKey[]

/**
 * A span of keys, as an `IDBKeyRange` has it. A bound is a string, a number, a Date, bytes (an ArrayBuffer or a view of
 * one) or a list of those, and belongs to the span unless it is open. Where `lower` comes after `upper` no key is in
 * the span.
 */
export interface KeyRange<Bound = unknown> {
  readonly lower?: Bound | undefined
  readonly upper?: Bound | undefined
  readonly lowerOpen?: boolean
  readonly upperOpen?: boolean
}

/** The property of a row that is its key, or several. */
export type KeyPath = string | readonly string[]

/** A key in a shape that a `Map` can tell apart. */
export type MapKey = string | number | bigint

/**
 * A Date by its time, as a bigint: no other key can look like one, and strings, which most keys are, need no copy. A
 * list as text: the keys of a table are all lists, or none of them is.
 */
export const mapKeyOf = (key: RowKey): MapKey =>
  typeof key !== 'object' ? key : key instanceof Date ? BigInt(key.getTime()) : keyText(key)

/** A key as text that no other key has. */
export function keyText(key: unknown): string {
  if (typeof key === 'string') return JSON.stringify(key)
  if (typeof key === 'number') return String(key)
  if (Array.isArray(key)) return `[${key.map(keyText).join()}]`
  const bytes = bytesOf(key as object)
  return bytes === undefined ? `d${timeOf(key as object)}` : `b${bytes.join('.')}`
}

/** Whether it may be the key of a row, whatever the table. */
export const isRowKey = (key: unknown): key is RowKey =>
  Array.isArray(key) ? key.length > 1 && Array.from(key as unknown[]).every(isKeyPart) : isKeyPart(key)

const isKeyPart = (key: unknown): key is KeyPart =>
  typeof key === 'string' ||
  (typeof key === 'number' && Number.isFinite(key)) ||
  (key instanceof Date && !Number.isNaN(key.getTime()))

/**
 * @param path the property of the table that is its key, or several
 * @throws InvalidArgumentError for anything that is no key of such a table
 */
export function assertKey(path: KeyPath, key: unknown, what: string): asserts key is RowKey {
  if (typeof path === 'string') {
    if (!isKeyPart(key))
      throw new InvalidArgumentError(what, say`is ${describe(key)}; a key is a string, a finite number or a Date.`)
  } else if (!isRowKey(key) || (key as readonly KeyPart[]).length !== path.length || typeof key === 'string') {
    throw new InvalidArgumentError(
      what,
      say`is ${isRowKey(key) ? describeKey(key) : describe(key)}; a key is a list of ${path.length} strings, finite numbers or Dates: ${path.join(', ')}.`,
    )
  }
}

/** A copy of a key that the app gave. @throws InvalidArgumentError as {@link assertKey} */
export function checkedKey(path: KeyPath, key: RowKey, what: string): RowKey {
  assertKey(path, key, what)
  return copyOfKey(key)
}

/** The same of a list of keys for a table. */
export function checkedKeys(path: KeyPath, keys: readonly RowKey[], table: string): readonly RowKey[] {
  if (!Array.isArray(keys)) throw new InvalidArgumentError('keys', say`must be a list of keys of '${table}'.`)
  return Array.from(keys as readonly RowKey[], (key, at) => checkedKey(path, key, say`Key ${at} of '${table}'`))
}

const ownOf = (row: object, name: string): unknown =>
  Object.hasOwn(row, name) ? (row as Record<string, unknown>)[name] : undefined

/**
 * The key of a row. What is inherited is not stored.
 *
 * @param what what messages call it
 * @throws InvalidArgumentError for a row without a proper key
 */
export function keyOfRow(path: KeyPath, row: object, what: string): RowKey {
  const key = typeof path === 'string' ? ownOf(row, path) : path.map((name) => ownOf(row, name))
  assertKey(path, key, what)
  return key
}

/**
 * The order of types in IndexedDB: number, Date, string, bytes, list. 0 for what is not a key; of a list only that it
 * is one.
 */
function rank(key: unknown): number {
  if (typeof key === 'string') return 3
  if (typeof key === 'number') return Number.isNaN(key) ? 0 : 1
  if (!isObject(key)) return 0
  if (Array.isArray(key)) return 5
  if (!Number.isNaN(timeOf(key))) return 2
  return bytesOf(key) === undefined ? 0 : 4
}

/** How deep a list may be that is a key: the standard has no limit, Firefox has this one. */
const deepest = 63

/** Whether IndexedDB takes it as a key of an index: a row is in an index only if what it has there is one. */
export function isIndexKey(key: unknown, depth = 0): boolean {
  if (!Array.isArray(key)) return rank(key) > 0
  // Ends as well where a list contains itself. One that is in there twice is refused by the standard, but by no engine.
  if (depth >= deepest) return false
  // A hole is undefined, which is not a key.
  for (const part of key) if (!isIndexKey(part, depth + 1)) return false
  return true
}

const order = <T extends string | number>(left: T, right: T): number => (left < right ? -1 : left > right ? 1 : 0)

/** As `indexedDB.cmp`: negative, 0 or positive. Both must be keys. */
export function compareKeys(left: unknown, right: unknown): number {
  const type = typeof left
  if (type !== 'object' && type === typeof right) return order(left as string, right as string)
  const kind = rank(left)
  if (kind !== rank(right)) return kind - rank(right)
  if (kind === 2) return order(timeOf(left as Date), timeOf(right as Date))
  const [ones, others] = (kind === 5 ? [left, right] : [bytesOf(left as object), bytesOf(right as object)]) as [
    ArrayLike<unknown>,
    ArrayLike<unknown>,
  ]
  for (let at = 0; at < ones.length && at < others.length; at += 1) {
    const byPart = compareKeys(ones[at], others[at])
    if (byPart !== 0) return byPart
  }
  return ones.length - others.length
}

/** A copy of a key, which the app cannot change. */
export function copyOfKey<K>(key: K): K
export function copyOfKey(key: unknown): unknown {
  if (!isObject(key)) return key
  if (Array.isArray(key)) return key.map((part) => copyOfKey<unknown>(part))
  return bytesOf(key)?.slice().buffer ?? new Date(timeOf(key))
}

/** Whether a key comes before another one, or is the same where they may meet. What is absent is as far out as needed. */
export const reaches = (left: unknown, right: unknown, apart: boolean | undefined): boolean =>
  left === undefined || right === undefined || compareKeys(left, right) < (apart === true ? 0 : 1)

/** Whether a key lies in a range. */
export const inRange = (key: unknown, { lower, upper, lowerOpen, upperOpen }: KeyRange): boolean =>
  reaches(lower, key, lowerOpen) && reaches(key, upper, upperOpen)

const aKey = say`a key is a string, a number, a Date, bytes or a list of those`

/**
 * A range as the app gave it, or a single key, as a range whose bounds are copies.
 *
 * @param what what messages call it
 * @throws InvalidArgumentError for everything else
 */
export function checkedRange(range: unknown, what = 'range', isNeeded = false): KeyRange {
  if (range === undefined && !isNeeded) return {}
  if (isIndexKey(range)) {
    const key = copyOfKey(range)
    return { lower: key, upper: key }
  }
  const isPlain = isObject(range) && isPlainPrototype(Object.getPrototypeOf(range) as object | null)
  if (isPlain) onlyKnown(range, ['lower', 'upper', 'lowerOpen', 'upperOpen'], what)
  else if (!isObject(range) || tagOf(range) !== '[object IDBKeyRange]') {
    throw new InvalidArgumentError(
      what,
      say`is ${describe(range)}; it must be a key, an IDBKeyRange or { lower, upper, lowerOpen, upperOpen } (${aKey}). Leave it out for every row.`,
    )
  }
  const { lower, upper, lowerOpen = false, upperOpen = false } = range as KeyRange
  for (const [name, bound, isOpen] of [
    ['lower', lower, lowerOpen],
    ['upper', upper, upperOpen],
  ] as const) {
    if (bound !== undefined && !isIndexKey(bound))
      throw new InvalidArgumentError(`${what}.${name}`, say`is ${describe(bound)}, which is not a key; ${aKey}.`)
    if (typeof isOpen !== 'boolean')
      throw new InvalidArgumentError(`${what}.${name}Open`, say`is ${describe(isOpen)}; it must be true or false.`)
  }
  return { lower: copyOfKey(lower), upper: copyOfKey(upper), lowerOpen, upperOpen }
}

/** Whether a range is empty whatever is stored: IndexedDB refuses to make such a range. */
export const isEmptyRange = ({ lower, upper, lowerOpen, upperOpen }: KeyRange): boolean =>
  !reaches(lower, upper, lowerOpen === true || upperOpen)

const identifier = String.raw`[$_\p{ID_Start}][$\u200c\u200d\p{ID_Continue}]*`
const keyPath = new RegExp(`^${identifier}(?:\\.${identifier})*$`, 'u')

/** Whether IndexedDB takes it as a key path: names joined by dots. */
export const isKeyPath = (path: unknown): path is string => typeof path === 'string' && keyPath.test(path)

/** What IndexedDB finds in a Blob and in a File in addition to their own properties. */
const fileParts: { readonly [tag: string]: readonly string[] } = {
  '[object Blob]': ['size', 'type'],
  '[object File]': ['size', 'type', 'name', 'lastModified'],
}

function partOf(value: unknown, name: string): unknown {
  if (typeof value === 'string') return name === 'length' ? value.length : undefined
  if (!isObject(value)) return undefined
  return Object.hasOwn(value, name) || fileParts[tagOf(value)]?.includes(name) === true
    ? (value as Record<string, unknown>)[name]
    : undefined
}

/** What a key path leads to in a row, as IndexedDB follows it; `undefined` where it leads nowhere. */
export const atKeyPath = (row: unknown, path: string | readonly string[]): unknown =>
  typeof path !== 'string'
    ? path.map((part) => atKeyPath(row, part))
    : path.includes('.')
      ? path.split('.').reduce(partOf, row)
      : partOf(row, path)
