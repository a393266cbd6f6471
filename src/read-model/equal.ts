/** Telling whether two rows, or lists of rows, are the same. */

/** Equal in every part. What cannot be compared to its end, because it contains itself, is not. */
export function equal(left: unknown, right: unknown): boolean {
  try {
    return same(left, right)
  } catch {
    return false
  }
}

function same(left: unknown, right: unknown): boolean {
  if (Object.is(left, right)) return true
  if (typeof left !== 'object' || typeof right !== 'object' || left === null || right === null) return false
  if (left instanceof Date && right instanceof Date) return left.getTime() === right.getTime()
  if (Array.isArray(left) !== Array.isArray(right)) return false
  const prototype = Object.getPrototypeOf(left) as unknown
  if (prototype !== Object.getPrototypeOf(right) || (prototype !== Object.prototype && !Array.isArray(left))) return false
  const keys = Object.keys(left)
  return keys.length === Object.keys(right).length
    && keys.every((key) => Object.hasOwn(right, key) && same((left as Record<string, unknown>)[key], (right as Record<string, unknown>)[key]))
}
