/** Telling whether two values are the same, such as rows and lists of rows. */
import { bytesOf, tagOf } from './kinds.js'
import { getOrMake } from '../platform/get-or-make.js'

/**
 * Equal in every part, maps, sets and bytes included. What cannot be looked into, such as an object with a class of its
 * own, a Blob or a CryptoKey, equals only itself.
 */
export const equal = (left: unknown, right: unknown): boolean => compared(left, right, false)

/**
 * The same once they are stored, in every part that structured clone keeps: of an instance of a class what a plain
 * object has, of an Error name and message. Of a Blob or a File only size and type are looked at, and what cannot be
 * looked into at all, such as a CryptoKey, is the same as any other of its kind.
 */
export const sameStored = (left: unknown, right: unknown): boolean => compared(left, right, true)

function compared(left: unknown, right: unknown, stored: boolean): boolean {
  const met = new Map<object, Set<object>>()
  const same = (left: unknown, right: unknown, depth: number): boolean => {
    if (Object.is(left, right)) return true
    if (typeof left !== 'object' || typeof right !== 'object' || left === null || right === null) return false
    const prototype = Object.getPrototypeOf(left) as unknown
    if (stored ? tagOf(left) !== tagOf(right) : prototype !== Object.getPrototypeOf(right)) return false
    if (prototype !== Object.prototype && prototype !== Array.prototype) {
      // Structured clone keeps the order of both.
      if (left instanceof Map || left instanceof Set) return same([...left], [...(right as Set<unknown>)], depth)
      const alike = sameContent(left, right) ?? (stored ? sameOnceStored(left, right) : false)
      if (alike !== undefined) return alike
    }
    if (depth > deep) {
      const others = getOrMake(met, left, () => new Set())
      // If they are not the same, that shows elsewhere.
      if (others.has(right)) return true
      others.add(right)
    }
    const keys = Object.keys(left)
    return (
      keys.length === Object.keys(right).length &&
      (!Array.isArray(left) || left.length === (right as unknown[]).length) &&
      keys.every(
        (key) =>
          Object.hasOwn(right, key) &&
          same((left as Record<string, unknown>)[key], (right as Record<string, unknown>)[key], depth + 1),
      )
    )
  }
  try {
    return same(left, right, 0)
  } catch {
    return false
  }
}

/** Below this depth it is remembered what was compared with what: a row may contain itself. */
const deep = 3

/** Of two objects of one kind, which hold something else than properties; nothing if they do not. */
function sameContent(left: object, right: object): boolean | undefined {
  if (left instanceof Date) return Object.is(left.getTime(), (right as Date).getTime())
  if (left instanceof RegExp) return String(left) === String(right)
  const [one, other] = [bytesOf(left), bytesOf(right)]
  return one && one.length === other?.length && one.every((byte, at) => byte === other[at])
}

/** The same for what structured clone reduces. */
function sameOnceStored(left: object, right: object): boolean | undefined {
  if (left instanceof Error) return left.name === (right as Error).name && left.message === (right as Error).message
  const tag = tagOf(left)
  if (/ (Blob|File)]/.test(tag))
    return (left as Blob).size === (right as Blob).size && (left as Blob).type === (right as Blob).type
  return / (Boolean|Number|String|BigInt)]/.test(tag) ? Object.is(left.valueOf(), right.valueOf()) : undefined
}
