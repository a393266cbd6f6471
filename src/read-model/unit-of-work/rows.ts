/** Rows in memory: copies of what the app put, so that nothing can change what the cache and later events rely on. */
import { InvalidArgumentError, describe } from '../../errors.js'
import { say } from '../../messages.js'
import type { RowKey } from '../keys.js'
import { tagOf } from '../kinds.js'
import { isObject } from '../../platform/objects.js'

/** A row in memory; `null` for one that is not there. */
export interface Entry {
  readonly key: RowKey
  readonly row: unknown
  /** The row holds what cannot be frozen. */
  readonly copied?: true
  /** About how much memory it takes, in bytes. */
  readonly size?: number
}

/**
 * Objects within rows that are ours and frozen, and their sizes: below zero if something in them can be changed all the
 * same. Rows themselves are not remembered: most hold no objects, and a weak map of every row would cost more than
 * looking at it.
 */
const sealed = new WeakMap<object, number>()

/** What is no plain object or array: a Date, a Map, bytes, an instance of a class. */
export function isExotic(value: object): boolean {
  if (Array.isArray(value)) return false
  const prototype = Object.getPrototypeOf(value) as object | null
  return prototype !== null && Object.getPrototypeOf(prototype) !== null
}

/** What structured clone copies, but does not store. */
const unstorable = /^\[object (SharedArrayBuffer|WebAssembly\..*|VideoFrame|AudioData)\]$/

/** Returns the name of what is in a value and cannot be stored, if anything is. */
function unstorableIn(value: unknown, met: Set<unknown>): string | undefined {
  if (!isObject(value) || met.has(value)) return undefined
  met.add(value)
  const isView = ArrayBuffer.isView(value)
  const tag = tagOf(isView ? value.buffer : value)
  if (unstorable.test(tag)) return tag.slice(8, -1)
  const parts: Iterable<unknown> =
    value instanceof Map ? [...value].flat() : value instanceof Set ? value : isView ? [] : Object.values(value)
  for (const part of parts) {
    const found = unstorableIn(part, met)
    if (found !== undefined) return found
  }
  return undefined
}

/**
 * How deep a row may be nested, as the data of an event. Far below where engines run out of stack, also where they
 * store it.
 */
const deepest = 1000

/** A walk through a row. */
interface Walk {
  /** The row is the app's: what is kept are copies. */
  readonly copies: boolean
  readonly table: string
  /** Where in the row it is. It stays as it is when the walk throws. */
  path: string[] | undefined
  /** Something can be changed in what was seen so far. */
  changeable: boolean
  /** Of what was seen so far. */
  size: number
  /** Copies by what they are copies of: an object may be in a row twice, or contain itself. */
  copied: Map<object, object> | undefined
}

const refuse = (walk: Walk, key: string, problem: string): never => {
  throw new InvalidArgumentError([walk.table, ...(walk.path ?? []), key].join('.'), problem)
}

/** Freezes a plain object or list in depth, or a copy of it. */
function seal(value: object, walk: Walk, isPart: boolean): object {
  // `Object.assign`, since an object made by spreading takes several times as long to freeze; but it loses a property
  // of this name.
  const own = (
    !walk.copies
      ? value
      : Array.isArray(value)
        ? value.slice()
        : Object.hasOwn(value, '__proto__')
          ? { ...value }
          : Object.assign({}, value)
  ) as Record<string, unknown>
  if (isPart) {
    // Before going deeper, so that an object which contains itself ends the walk.
    sealed.set(own, 0)
    walk.copied?.set(value, own)
  }
  for (const key in value) {
    // Read of the object that is walked, which is several times as fast as of the copy.
    const given = (value as Record<string, unknown>)[key]
    const kind = typeof given
    walk.size += kind === 'string' ? 8 + (given as string).length : 8
    if (kind !== 'object' && kind !== 'function' && kind !== 'symbol') continue
    const part = own[key]
    if (part === null || part === undefined) continue
    if (typeof part !== 'object') refuse(walk, key, say`is ${describe(part)}, which cannot be stored.`)
    const known = sealed.get(part as object)
    if (known !== undefined) sawSealed(known, walk)
    else {
      walk.copied ??= new Map([[value, own]])
      const sealedPart = sealIn(part as object, key, walk)
      if (sealedPart !== part) own[key] = sealedPart
    }
  }
  return Object.freeze(own)
}

function sawSealed(size: number, walk: Walk): void {
  walk.changeable ||= size < 0
  walk.size += Math.abs(size)
}

function sealIn(part: object, key: string, walk: Walk): object {
  const known = walk.copied?.get(part)
  if (known !== undefined) {
    sawSealed(sealed.get(known) ?? 0, walk)
    return known
  }
  // Of an instance of a class structured clone keeps what a plain object has.
  if (isExotic(part) && tagOf(part) !== '[object Object]') {
    walk.changeable = true
    walk.size += (part as { readonly byteLength?: number }).byteLength ?? 8
    return walk.copies ? cloned(part, key, walk) : part
  }
  const { changeable: before, size } = walk
  walk.changeable = false
  const path = (walk.path ??= [])
  path.push(key)
  if (path.length >= deepest)
    throw new InvalidArgumentError(say`A row of '${walk.table}'`, say`is nested more than ${deepest} levels deep.`)
  const own = seal(part, walk, true)
  path.pop()
  sealed.set(own, walk.changeable ? size - walk.size : walk.size - size)
  walk.changeable ||= before
  return own
}

function cloned(part: object, key: string, walk: Walk): object {
  if (part instanceof Date) return new Date(part.getTime())
  let found: string | undefined
  try {
    found = unstorableIn(part, new Set())
    if (found === undefined) return structuredClone(part)
  } catch (cause) {
    return refuse(
      walk,
      key,
      say`cannot be stored: ${(cause as Error).message} Put plain data, without objects of the page.`,
    )
  }
  return refuse(walk, key, say`holds ${found}, which cannot be stored. Put a copy of its bytes.`)
}

function entryOf(key: RowKey, row: object, table: string, copies: boolean): Entry {
  const walk: Walk = { copies, table, path: undefined, changeable: false, size: 0, copied: undefined }
  const own = seal(row, walk, false)
  const { size } = walk
  return walk.changeable ? { key, row: own, size, copied: true } : { key, row: own, size }
}

/**
 * A row that the app put, as the cache may keep it: a copy, so that the app may change its own. What is ours already is
 * not copied again.
 *
 * @throws InvalidArgumentError for what cannot be stored, with its path
 */
export const taken = (key: RowKey, row: object, table: string): Entry => entryOf(key, row, table, true)

/** A row that the storage returned, as the cache may keep it. */
export const kept = (key: RowKey, row: object, table: string): Entry =>
  isExotic(row) ? { key, row, copied: true } : entryOf(key, row, table, false)

/** A row as a handler may have it. */
export const handedOut = ({ row, copied }: Entry): unknown =>
  copied === true ? structuredClone(row) : (row ?? undefined)
