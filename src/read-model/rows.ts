/** Rows as handlers hand them in and get them back: nobody may change what the cache and later events rely on. */
import { InvalidArgumentError, describe } from '../errors.js'
import type { RowKey } from './keys.js'

/** A row in memory; `null` for one that is not there. */
export interface Entry {
  readonly key: RowKey
  readonly row: unknown
  /** The row holds what cannot be frozen. */
  readonly copied?: true
}

/** Objects seen by {@link seal}, and whether something in them can be changed although it is frozen. */
const sealed = new WeakMap<object, boolean>()

/**
 * Freezes a row in depth. Answers whether something in it cannot be frozen (a Date, a Map, bytes): such a row is handed out
 * as a copy.
 */
function seal(value: unknown, path: string): boolean {
  if (typeof value === 'function' || typeof value === 'symbol') throw new InvalidArgumentError(path, `is ${describe(value)}, which cannot be stored.`)
  if (typeof value !== 'object' || value === null) return false
  const known = sealed.get(value)
  if (known !== undefined) return known
  const prototype = Object.getPrototypeOf(value) as object | null
  if (!Array.isArray(value) && prototype !== null && Object.getPrototypeOf(prototype) !== null) return true
  // Set before going deeper, so that an object which contains itself ends the walk.
  sealed.set(value, false)
  Object.freeze(value)
  let changeable = false
  for (const key of Object.keys(value)) changeable = seal((value as Record<string, unknown>)[key], `${path}.${key}`) || changeable
  if (changeable) sealed.set(value, true)
  return changeable
}

/**
 * A row as the cache may keep it.
 *
 * @throws InvalidArgumentError for what cannot be stored, with its path
 */
export function kept(key: RowKey, row: unknown, table: string): Entry {
  if (!seal(row, table)) return { key, row }
  return { key, row: structuredClone(row), copied: true }
}

/** A row as a handler may have it. */
export const handedOut = ({ row, copied }: Entry): unknown => (copied === true ? structuredClone(row) : (row ?? undefined))
