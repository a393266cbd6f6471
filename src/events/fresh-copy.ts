/** Copies of the initial state that an app passes, so that changing it in place does not change the app's object. */
import { isPlainPrototype } from './json.js'
import { isObject } from '../platform/objects.js'

/**
 * A deep copy of plain objects, arrays, Maps, Sets, Dates and typed arrays. Functions and instances of classes, with
 * everything in them, are kept as they are, because a copy would lose something.
 */
export function freshCopy<T>(value: T, copies = new Map<unknown, unknown>()): T {
  if (!isObject(value)) return value
  const known = copies.get(value)
  if (known !== undefined) return known as T
  const made = begun(value)
  // Set before its parts are copied, so that an object which contains itself ends the walk.
  copies.set(value, made)
  if (made === value) return value
  const copy = (part: unknown): unknown => freshCopy(part, copies)
  if (made instanceof Map)
    for (const [key, part] of value as unknown as Map<unknown, unknown>) made.set(copy(key), copy(part))
  else if (made instanceof Set) for (const part of value as unknown as Set<unknown>) made.add(copy(part))
  else if (!ArrayBuffer.isView(made))
    for (const key of Object.keys(made))
      (made as Record<string, unknown>)[key] = copy((made as Record<string, unknown>)[key])
  return made as T
}

/** Whether a copy shares nothing with the value: nothing in it had to be kept as it is. */
export function canBeCopied(value: unknown): boolean {
  const copies = new Map<unknown, unknown>()
  freshCopy(value, copies)
  return [...copies].every(([from, to]) => from !== to)
}

/** A shallow copy, whose parts are copied next; the value itself if it cannot be copied. */
function begun(value: object): object {
  const prototype = Object.getPrototypeOf(value) as object | null
  if (prototype === Map.prototype) return new Map()
  if (prototype === Set.prototype) return new Set()
  if (prototype === Array.prototype) return [...(value as unknown[])]
  if (prototype === null) return Object.assign(Object.create(null) as object, value)
  if (isPlainPrototype(prototype)) return { ...value }
  return prototype === Date.prototype || ArrayBuffer.isView(value) ? structuredClone(value) : value
}
