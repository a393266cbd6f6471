/** Notices live queries that are made in renders: for the development build. */
import { say } from '../messages.js'
import type { Clock } from '../platform/clock.js'

/** At least that many live queries without a key, made within a second and never subscribed, were made in renders. */
const many = 20

let recent: { isUsed: boolean }[] | undefined
let hasWarned = false

/** Notes that a live query without a key is made. Returns what to call when something subscribes to it. */
export function unkeyed(model: string, clock: Pick<Clock, 'schedule'>): () => void {
  if (recent === undefined) {
    const all: { readonly isUsed: boolean }[] = (recent = [])
    clock.schedule(1_000, () => {
      recent = undefined
      const unused = all.filter(({ isUsed }) => !isUsed).length
      if (__DEV__ && unused >= many && !hasWarned) {
        hasWarned = true
        console.warn(
          say`tidemark: ${unused} live queries of '${model}' without a key were made within a second, and nothing subscribed to them. Are they made in a render, which then renders again for ever? Use live(options) of a table, live(key, query), or make the query outside of the component.`,
        )
      }
    })
  }
  const mine = { isUsed: false }
  recent.push(mine)
  return () => {
    mine.isUsed = true
  }
}
