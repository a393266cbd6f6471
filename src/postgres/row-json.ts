/**
 * Rows as JSON, which keeps what structured clone keeps. Plain data is itself, so that it can be queried in SQL;
 * anything else is an object `{ "$": kind, "of": … }`. Pure, but for the bytes of a Blob, which come later.
 */
import { InvalidArgumentError, describe } from '../errors.js'
import { say } from '../messages.js'
import { bytesOf, tagOf, timeOf } from '../read-model/kinds.js'
import { isObject } from '../platform/objects.js'

/** What an object has in place of a value that JSON does not know. */
interface Tagged {
  readonly $: string
  readonly of?: unknown
}

const tagged = ($: string, of?: unknown): Tagged => (of === undefined ? { $ } : { $, of })

/** The bytes of Blobs, which can only be read asynchronously. */
export type BlobBytes = ReadonlyMap<object, Uint8Array>

const views = {
  DataView,
  Int8Array,
  Uint8Array,
  Uint8ClampedArray,
  Int16Array,
  Uint16Array,
  Int32Array,
  Uint32Array,
  Float32Array,
  Float64Array,
  BigInt64Array,
  BigUint64Array,
} as const

const errors = { Error, EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError } as const

const isPlainNumber = (value: number) => Number.isFinite(value) && !Object.is(value, -0)

/** Whether JSON keeps a value as it is, and nothing in it twice. */
function isPlain(value: unknown, met: Set<unknown>): boolean {
  if (typeof value === 'string' || typeof value === 'boolean' || value === null) return true
  if (typeof value === 'number') return isPlainNumber(value)
  if (!isObject(value) || met.has(value)) return false
  met.add(value)
  if (Array.isArray(value)) {
    for (let at = 0; at < value.length; at += 1) if (!isPlain(value[at], met)) return false
    return Object.keys(value).length === value.length
  }
  const prototype = Object.getPrototypeOf(value) as object | null
  if (prototype !== Object.prototype && (prototype !== null || tagOf(value) !== '[object Object]')) return false
  for (const key of Object.keys(value))
    if (key === '$' || !isPlain((value as Record<string, unknown>)[key], met)) return false
  return true
}

/** Whether JSON keeps a row as it is. */
export const isPlainRow = (row: unknown): boolean => isPlain(row, new Set())

/** A library may have given these to every object, and `JSON.stringify` would ask them. */
const isAskedForJson = () => [Array, Object, String, Number, Boolean].some(({ prototype }) => 'toJSON' in prototype)

/**
 * The text of a row.
 *
 * @throws InvalidArgumentError for a row with something that no row in PostgreSQL may hold
 */
export function rowText(row: object, table: string, blobs?: BlobBytes): string {
  const encoded = isPlainRow(row) ? row : new Encoder(table, blobs).value(row, [])
  if (!isAskedForJson()) return JSON.stringify(encoded)
  return textOf(encoded)
}

function textOf(value: unknown): string {
  if (!isObject(value)) return typeof value === 'string' ? JSON.stringify(value) : String(value)
  if (Array.isArray(value)) return `[${value.map(textOf).join()}]`
  const parts = Object.entries(value).map(([name, part]) => `${JSON.stringify(name)}:${textOf(part)}`)
  return `{${parts.join()}}`
}

/** The Blobs in a row. */
export function blobsIn(value: unknown, met = new Set<unknown>()): Blob[] {
  if (!isObject(value) || met.has(value)) return []
  met.add(value)
  if (tagOf(value) === '[object Blob]') return [value as Blob]
  const parts: Iterable<unknown> =
    value instanceof Map
      ? [...value].flat()
      : value instanceof Set
        ? value
        : ArrayBuffer.isView(value)
          ? []
          : Object.values(value)
  return [...parts].flatMap((part) => blobsIn(part, met))
}

class Encoder {
  readonly #table: string
  readonly #blobs: BlobBytes | undefined
  /** Objects in the order in which they are met, for what is there twice. */
  readonly #met = new Map<object, number>()

  constructor(table: string, blobs?: BlobBytes) {
    this.#table = table
    this.#blobs = blobs
  }

  value(value: unknown, path: readonly (string | number)[]): unknown {
    if (value === undefined) return tagged('undefined')
    if (typeof value === 'bigint') return tagged('bigint', String(value))
    if (typeof value === 'number' && !isPlainNumber(value))
      return tagged('number', Object.is(value, -0) ? '-0' : String(value))
    if (!isObject(value)) {
      if (typeof value === 'function' || typeof value === 'symbol') return this.#refuse(value, path)
      return value
    }
    const known = this.#met.get(value)
    if (known !== undefined) return tagged('same', known)
    this.#met.set(value, this.#met.size)
    return Array.isArray(value) ? this.#list(value, path) : this.#object(value, path)
  }

  #list(list: readonly unknown[], path: readonly (string | number)[]): unknown {
    const keys = Object.keys(list)
    return keys.length === list.length && keys.every((key, at) => key === String(at))
      ? list.map((part, at) => this.value(part, [...path, at]))
      : tagged('list', [list.length, this.#entries(list, path)])
  }

  #entries(value: object, path: readonly (string | number)[]): [string, unknown][] {
    return Object.keys(value).map((key) => [key, this.value((value as Record<string, unknown>)[key], [...path, key])])
  }

  #object(value: object, path: readonly (string | number)[]): unknown {
    const tag = tagOf(value).slice(8, -1)
    if (value instanceof Map)
      return tagged(
        'map',
        [...value].map(([key, part]) => [this.value(key, [...path, 'key']), this.value(part, [...path, 'value'])]),
      )
    if (value instanceof Set)
      return tagged(
        'set',
        [...value].map((part) => this.value(part, [...path, 'item'])),
      )
    if (value instanceof Date) return tagged('date', Number.isNaN(timeOf(value)) ? null : timeOf(value))
    if (value instanceof RegExp) return tagged('regexp', [value.source, value.flags])
    if (value instanceof Error) return tagged('error', this.#error(value, path))
    const bytes = bytesOf(value)
    if (bytes !== undefined) return tagged(tag, base64(bytes))
    if (tag === 'Blob')
      return tagged('blob', [base64(this.#blobs?.get(value) ?? new Uint8Array()), (value as Blob).type])
    if (tag === 'Number' || tag === 'String' || tag === 'Boolean' || tag === 'BigInt')
      return tagged('boxed', this.value(value.valueOf(), path))
    const prototype = Object.getPrototypeOf(value) as object | null
    // Of an instance of a class structured clone keeps what a plain object has.
    if (tag !== 'Object' || (prototype !== null && isHost(prototype))) return this.#refuse(value, path)
    const entries = this.#entries(value, path)
    if (Object.hasOwn(value, '$')) return tagged('object', entries)
    const own: Record<string, unknown> = {}
    for (const [key, part] of entries) define(own, key, part)
    return own
  }

  #error(error: Error, path: readonly (string | number)[]): unknown {
    const { name, message, stack } = error
    const known = Object.hasOwn(errors, name) ? name : 'Error'
    const cause = Object.hasOwn(error, 'cause') ? [this.value(error.cause, [...path, 'cause'])] : []
    return [known, message, stack ?? null, ...cause]
  }

  #refuse(value: unknown, path: readonly (string | number)[]): never {
    throw new InvalidArgumentError(
      [this.#table, ...path].join('.'),
      say`is ${isObject(value) ? tagOf(value).slice(8, -1) : describe(value)}, which a row in PostgreSQL cannot hold.`,
    )
  }
}

/** Objects of the platform that structured clone keeps have a class of their own, and what they hold is not in them. */
const isHost = (prototype: object): boolean => Object.hasOwn(prototype, Symbol.toStringTag)

const define = (object: object, key: string, value: unknown) =>
  Object.defineProperty(object, key, { value, enumerable: true, writable: true, configurable: true })

function base64(bytes: Uint8Array): string {
  let text = ''
  for (const byte of bytes) text += String.fromCharCode(byte)
  return btoa(text)
}

const bytesFrom = (text: string): Uint8Array<ArrayBuffer> => Uint8Array.from(atob(text), (one) => one.charCodeAt(0))

/** Rows as they were put, from a text that may hold many of them. */
export function rowsFrom(text: string): unknown[] {
  const rows = JSON.parse(text) as unknown[]
  return text.includes('"$":') ? rows.map(rowFrom) : rows
}

/** A row as it was put, from what was parsed. */
export const rowFrom = (parsed: unknown): unknown => revived(parsed, [])

/** `met`: the objects in the order in which the encoder met them. */
function revived(value: unknown, met: unknown[]): unknown {
  if (!isObject(value)) return value
  if (Array.isArray(value)) {
    met.push(value)
    for (const [at, part] of value.entries()) value[at] = revived(part, met)
    return value
  }
  if (Object.hasOwn(value, '$')) return restored(value as Tagged, met)
  met.push(value)
  for (const key of Object.keys(value)) {
    const part = (value as Record<string, unknown>)[key]
    if (isObject(part)) define(value, key, revived(part, met))
  }
  return value
}

/** Adds what is made to those that were met, before its parts. */
const meeting = <T>(made: T, met: unknown[]): T => {
  met.push(made)
  return made
}

function restored({ $: kind, of }: Tagged, met: unknown[]): unknown {
  switch (kind) {
    case 'undefined':
      return undefined
    case 'bigint':
      return BigInt(of as string)
    case 'number':
      return Number(of)
    case 'same':
      return met[of as number]
    case 'date':
      return meeting(new Date(of === null ? Number.NaN : (of as number)), met)
    case 'regexp':
      return meeting(new RegExp(...(of as [string, string])), met)
    case 'ArrayBuffer':
      return meeting(bytesFrom(of as string).buffer, met)
    case 'blob': {
      const [bytes, type] = of as [string, string]
      return meeting(new Blob([bytesFrom(bytes)], { type }), met)
    }
    case 'boxed': {
      const at = met.push(undefined) - 1
      return (met[at] = Object(revived(of, met)))
    }
    case 'error':
      return errorFrom(of as readonly unknown[], met)
    case 'map': {
      const map = meeting(new Map<unknown, unknown>(), met)
      for (const [key, part] of of as [unknown, unknown][]) {
        const own = revived(key, met)
        map.set(own, revived(part, met))
      }
      return map
    }
    case 'set': {
      const set = meeting(new Set<unknown>(), met)
      for (const part of of as unknown[]) set.add(revived(part, met))
      return set
    }
    case 'list': {
      const [length, entries] = of as [number, [string, unknown][]]
      const list = meeting<unknown[]>([], met)
      list.length = length
      for (const [key, part] of entries) define(list, key, revived(part, met))
      return list
    }
    case 'object': {
      const object = meeting({}, met)
      for (const [key, part] of of as [string, unknown][]) define(object, key, revived(part, met))
      return object
    }
    default:
      return meeting(viewFrom(kind, of as string), met)
  }
}

function viewFrom(kind: string, text: string): unknown {
  const View = Object.hasOwn(views, kind) ? (views[kind as keyof typeof views] as Uint8ArrayConstructor) : undefined
  // What a later build stored.
  if (View === undefined)
    throw new InvalidArgumentError('row', say`holds a value of kind '${kind}', which this build does not know.`)
  return new View(bytesFrom(text).buffer)
}

function errorFrom([name, message, stack, ...cause]: readonly unknown[], met: unknown[]): Error {
  const error = meeting(new errors[name as keyof typeof errors](message as string), met)
  const hidden = (key: string, value: unknown) =>
    Object.defineProperty(error, key, { value, writable: true, configurable: true })
  if (stack !== null) hidden('stack', stack)
  if (cause.length > 0) hidden('cause', revived(cause[0], met))
  return error
}
