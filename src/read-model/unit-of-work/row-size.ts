/** About how much memory rows take. */
import { isObject } from '../../platform/objects.js'
import type { Entry } from './rows.js'

/** How many rows are looked at. */
const mostSampled = 16

/** Up to how many rows like these take no more than `bytes`: at least 1, at most `most`. */
export function rowsWithin(bytes: number, rows: Iterable<Entry>, most: number): number {
  let largest = 0
  let sampled = 0
  for (const { row } of rows) {
    if (row === null) continue
    largest = Math.max(largest, sizeUpTo(bytes, row))
    if ((sampled += 1) === mostSampled) break
  }
  return largest === 0 ? most : Math.max(1, Math.min(most, Math.floor(bytes / largest)))
}

/** Roughly, and not exactly where it is more than `enough`. */
function sizeUpTo(enough: number, row: unknown): number {
  let size = 0
  const values = [row]
  while (values.length > 0 && size < enough) {
    const value = values.pop()
    size += 8
    if (typeof value === 'string') size += value.length
    else if (isObject(value)) {
      const { byteLength } = value as { readonly byteLength?: unknown }
      if (typeof byteLength === 'number') size += byteLength
      else for (const each of Object.values(value)) values.push(each)
    }
  }
  return size
}
