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

/**
 * Objects within rows that were frozen, and whether something in them can be changed all the same. Rows themselves are not
 * remembered: most hold no objects, and a weak map of every row would cost more than looking at it.
 */
const sealed = new WeakMap<object, boolean>()

/** What is no plain object or array: a Date, a Map, bytes, an instance of a class. */
export function isExotic(value: object): boolean {
  if (Array.isArray(value)) return false
  const prototype = Object.getPrototypeOf(value) as object | null
  return prototype !== null && Object.getPrototypeOf(prototype) !== null
}

/**
 * Freezes a row in depth. Answers whether something in it cannot be frozen (a Date, a Map, bytes): such a row is handed out
 * as a copy.
 */
function seal(value: object, path: string): boolean {
  if (isExotic(value)) return true
  Object.freeze(value)
  let changeable = false
  for (const key in value) {
    const part = (value as Record<string, unknown>)[key]
    if (typeof part === 'object' && part !== null) changeable = sealPart(part, path, key) || changeable
    else if (typeof part === 'function' || typeof part === 'symbol') throw new InvalidArgumentError(`${path}.${key}`, `is ${describe(part)}, which cannot be stored.`)
  }
  return changeable
}

function sealPart(part: object, path: string, key: string): boolean {
  const known = sealed.get(part)
  if (known !== undefined) return known
  // Set before going deeper, so that an object which contains itself ends the walk.
  sealed.set(part, false)
  const changeable = seal(part, `${path}.${key}`)
  if (changeable) sealed.set(part, true)
  return changeable
}

/**
 * A row as the cache may keep it.
 *
 * @throws InvalidArgumentError for what cannot be stored, with its path
 */
export function kept(key: RowKey, row: object, table: string): Entry {
  if (!seal(row, table)) return { key, row }
  return { key, row: structuredClone(row), copied: true }
}

/** A row as a handler may have it. */
export const handedOut = ({ row, copied }: Entry): unknown => (copied === true ? structuredClone(row) : (row ?? undefined))
