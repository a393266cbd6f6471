/** About how much memory rows take. */
import type { Entry } from './rows.js'

/** How many rows are looked at. */
const mostSampled = 16

/** Up to how many rows like these take no more than `bytes`: at least 1, at most `most`. */
export function rowsWithin(bytes: number, rows: Iterable<Entry>, most: number): number {
  let largest = 0
  let sampled = 0
  for (const { size = 0 } of rows) {
    if (size === 0) continue
    largest = Math.max(largest, size)
    if ((sampled += 1) === mostSampled) break
  }
  return largest === 0 ? most : Math.max(1, Math.min(most, Math.floor(bytes / largest)))
}
