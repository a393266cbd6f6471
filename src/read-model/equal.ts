/** Telling whether two rows, or lists of rows, are the same. */

/**
 * Equal in every part, maps, sets and bytes included. What cannot be looked into, such as an object with a class of its own, a Blob or a
 * CryptoKey, equals only itself.
 */
export function equal(left: unknown, right: unknown): boolean {
  try {
    return same(left, right, 0, new Map())
  } catch {
    return false
  }
}

/** Below this depth it is remembered what was compared with what: a row may contain itself. */
const deep = 3

const bytesOf = (value: ArrayBuffer | ArrayBufferView): Uint8Array =>
  ArrayBuffer.isView(value) ? new Uint8Array(value.buffer, value.byteOffset, value.byteLength) : new Uint8Array(value)

function same(left: unknown, right: unknown, depth: number, met: Map<object, Set<object>>): boolean {
  if (Object.is(left, right)) return true
  if (typeof left !== 'object' || typeof right !== 'object' || left === null || right === null) return false
  const prototype = Object.getPrototypeOf(left) as unknown
  if (prototype !== Object.getPrototypeOf(right)) return false
  if (prototype === Object.prototype || prototype === Array.prototype) {
    if (depth > deep) {
      let others = met.get(left)
      if (others === undefined) met.set(left, (others = new Set()))
      // If they are not the same, that shows elsewhere.
      if (others.has(right)) return true
      others.add(right)
    }
    const keys = Object.keys(left)
    return keys.length === Object.keys(right).length && (!Array.isArray(left) || left.length === (right as unknown[]).length)
      && keys.every((key) => Object.hasOwn(right, key) && same((left as Record<string, unknown>)[key], (right as Record<string, unknown>)[key], depth + 1, met))
  }
  if (left instanceof Date) return Object.is(left.getTime(), (right as Date).getTime())
  // Structured clone keeps the order of both.
  if (left instanceof Map || left instanceof Set) return same([...left], [...(right as Set<unknown>)], depth, met)
  if (left instanceof ArrayBuffer || ArrayBuffer.isView(left)) {
    const [one, other] = [bytesOf(left), bytesOf(right as ArrayBuffer)]
    return one.length === other.length && one.every((byte, at) => byte === other[at])
  }
  return left instanceof RegExp && String(left) === String(right)
}
