/** A new value that keeps the parts of an old one which are the same. */
import { equal } from '../read-model/equal.js'

/** Below this depth it is remembered what is compared: a value may contain itself. */
const deep = 3

/** What is nested deeper is not frozen. */
const deepest = 1_000

/** The value contains itself. */
class Cycle extends Error {}

/**
 * The new value, with each part that equals its counterpart in the old one replaced by that: the old value itself if all
 * of it is the same. What is neither a list nor a plain object is replaced as a whole, as `equal` finds it. A value that
 * contains itself is the old one or the new one.
 */
export function share<T>(before: unknown, after: T): T {
  try {
    return shared(before, after, 0, new Set()) as T
  } catch {
    // `equal` ends whatever the value is.
    return equal(before, after) ? (before as T) : after
  }
}

function shared(before: unknown, after: unknown, depth: number, within: Set<unknown>): unknown {
  if (Object.is(before, after)) return before
  if (!isObject(before) || !isObject(after)) return after
  const prototype = Object.getPrototypeOf(after) as unknown
  if (prototype !== Object.getPrototypeOf(before)) return after
  if (prototype !== Object.prototype && prototype !== Array.prototype) return equal(before, after) ? before : after
  if (depth > deep) {
    if (within.has(after)) throw new Cycle()
    within.add(after)
  }
  const keys = Object.keys(after)
  let same = keys.length === Object.keys(before).length && (!Array.isArray(after) || before.length === after.length)
  let copy: Record<string, unknown> | undefined
  for (const key of keys) {
    const had = Object.hasOwn(before, key)
    const part = had ? shared(before[key], after[key], depth + 1, within) : after[key]
    same &&= had && Object.is(part, before[key])
    if (Object.is(part, after[key])) continue
    copy ??= (Array.isArray(after) ? [...(after as unknown[])] : { ...after }) as Record<string, unknown>
    copy[key] = part
  }
  within.delete(after)
  return same ? before : (copy ?? after)
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null

/** Freezes lists and plain objects, in every part. For the development build: what is shared must not be changed. */
export function frozen<T>(value: T, depth = 0): T {
  if (!isObject(value) || Object.isFrozen(value) || depth > deepest) return value
  const prototype = Object.getPrototypeOf(value) as unknown
  if (prototype !== Object.prototype && prototype !== Array.prototype) return value
  Object.freeze(value)
  for (const part of Object.values(value)) frozen(part, depth + 1)
  return value
}
