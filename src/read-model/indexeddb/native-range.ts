/** Ranges as IndexedDB takes them. */
import type { KeyRange } from '../keys.js'

/** A checked range; `null` for every key. */
export function nativeRange({ lower, upper, lowerOpen = false, upperOpen = false }: KeyRange): IDBKeyRange | null {
  if (lower !== undefined && upper !== undefined) return IDBKeyRange.bound(lower, upper, lowerOpen, upperOpen)
  if (lower !== undefined) return IDBKeyRange.lowerBound(lower, lowerOpen)
  return upper === undefined ? null : IDBKeyRange.upperBound(upper, upperOpen)
}
