/**
 * The rows of a commit in the order of their keys, also where there are so many that sorting them in one go would be a
 * long task.
 */
import type { Slices } from '../../platform/slices.js'
import { compareKeys } from '../keys.js'
import type { RowChange } from './packs.js'

/** How many are sorted, or merged, before the time is checked. */
const stride = 512

const byKey = (left: RowChange, right: RowChange): number => compareKeys(left.key, right.key)

/** Sorts in slices. No two of the changes may be of one key. */
export async function inKeyOrder(changes: Iterable<RowChange>, slices: Slices): Promise<RowChange[]> {
  const all = [...changes]
  if (all.length <= stride) return all.sort(byKey)
  let runs: RowChange[][] = []
  for (let at = 0; at < all.length; at += stride) {
    runs.push(all.slice(at, at + stride).sort(byKey))
    await slices.turn()
  }
  while (runs.length > 1) {
    const longer: RowChange[][] = []
    for (let at = 0; at < runs.length; at += 2)
      longer.push(await merged(runs[at] as RowChange[], runs[at + 1] ?? [], slices))
    runs = longer
  }
  return runs[0] as RowChange[]
}

async function merged(left: RowChange[], right: RowChange[], slices: Slices): Promise<RowChange[]> {
  const [first, last] = [right[0], left.at(-1)]
  // New keys come in ascending order, as often as not.
  if (first === undefined || last === undefined || byKey(last, first) < 0) return left.concat(right)
  const all: RowChange[] = []
  for (let [at, other] = [0, 0]; at < left.length || other < right.length;) {
    const [one, two] = [left[at], right[other]]
    if (two === undefined || (one !== undefined && byKey(one, two) < 0)) {
      all.push(one as RowChange)
      at += 1
    } else {
      all.push(two)
      other += 1
    }
    if (all.length % stride === 0) await slices.turn()
  }
  return all
}
