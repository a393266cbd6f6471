/** Telling whether two values are the same once they are stored: everything that structured clone keeps. */

const kindOf = (value: object): string => Object.prototype.toString.call(value).slice(8, -1)
const bytesOf = (value: ArrayBuffer | ArrayBufferView): Uint8Array =>
  ArrayBuffer.isView(value) ? new Uint8Array(value.buffer, value.byteOffset, value.byteLength) : new Uint8Array(value)

/**
 * Whether two values, both of which went through structured clone, are the same. Of a Blob or a File only size and type are
 * looked at, and what cannot be looked into at all, such as a CryptoKey, is the same as any other of its kind.
 */
export function sameStored(left: unknown, right: unknown): boolean {
  return same(left, right, new Map())
}

function same(left: unknown, right: unknown, met: Map<object, object>): boolean {
  if (Object.is(left, right)) return true
  if (typeof left !== 'object' || typeof right !== 'object' || left === null || right === null) return false
  const kind = kindOf(left)
  if (kind !== kindOf(right)) return false
  // A row may contain itself.
  if (met.has(left)) return met.get(left) === right
  met.set(left, right)
  const answer = sameParts(kind, left, right, met)
  met.delete(left)
  return answer
}

/** Of two objects of one kind. */
function sameParts(kind: string, left: object, right: object, met: Map<object, object>): boolean {
  if (left instanceof Date) return Object.is(left.getTime(), (right as Date).getTime())
  if (left instanceof Map) return sameList([...left], [...(right as Map<unknown, unknown>)], met)
  if (left instanceof Set) return sameList([...left], [...(right as Set<unknown>)], met)
  if (left instanceof ArrayBuffer || ArrayBuffer.isView(left)) {
    const [one, other] = [bytesOf(left), bytesOf(right as ArrayBuffer)]
    return one.length === other.length && one.every((byte, at) => byte === other[at])
  }
  if (left instanceof RegExp) return String(left) === String(right)
  if (left instanceof Error) return left.name === (right as Error).name && left.message === (right as Error).message
  if (kind === 'Blob' || kind === 'File') return (left as Blob).size === (right as Blob).size && (left as Blob).type === (right as Blob).type
  if (kind === 'Boolean' || kind === 'Number' || kind === 'String' || kind === 'BigInt') return Object.is(left.valueOf(), right.valueOf())
  if (Array.isArray(left) && left.length !== (right as unknown[]).length) return false
  const keys = Object.keys(left)
  return keys.length === Object.keys(right).length
    && keys.every((key) => Object.hasOwn(right, key) && same((left as Record<string, unknown>)[key], (right as Record<string, unknown>)[key], met))
}

/** Structured clone keeps the order of maps and sets. */
const sameList = (left: readonly unknown[], right: readonly unknown[], met: Map<object, object>): boolean =>
  left.length === right.length && left.every((each, at) => same(each, right[at], met))
