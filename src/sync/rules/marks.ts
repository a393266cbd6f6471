/** Where a restored server is compared from: earlier cursors. */
import type { Cursor } from '../sync-state.js'

const mostMarks = 64

/**
 * The marks with one more. The farther back, the farther apart: how much has to be compared grows with how much was lost,
 * and not with the log.
 */
export function marked(marks: readonly Cursor[], cursor: Cursor): Cursor[] {
  const next = marks.filter(({ at }) => at < cursor.at)
  if (cursor.at > 0) next.push(cursor)
  if (next.length <= mostMarks) return next
  let least = 1
  let smallest = Infinity
  for (let index = 1; index < next.length - 1; index += 1) {
    const gap = at(next, index + 1) - at(next, index - 1)
    const share = gap / (cursor.at - at(next, index) + 1)
    if (share < smallest) [least, smallest] = [index, share]
  }
  next.splice(least, 1)
  return next
}

const at = (marks: readonly Cursor[], index: number): number => (marks[index] as Cursor).at
