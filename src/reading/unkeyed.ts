/** Notices live queries that are made in renders: for the development build. */
import { say } from '../messages.js'
import type { Clock } from '../platform/clock.js'

/** At least that many live queries without a key, made within a second and never subscribed, were made in renders. */
const many = 20
/** A render may subscribe in its effects: until then, ms, a query is not called unused. */
const grace = 200

const recent: { readonly madeAt: number; isUsed: boolean }[] = []
/** The read models that were warned of. */
const warned = new Set<string>()

/** Notes that a live query without a key is made. Returns what to call when something subscribes to it. */
export function unkeyed(model: string, { monotonic }: Pick<Clock, 'monotonic'>): () => void {
  const mine = { madeAt: monotonic(), isUsed: false }
  // Another clock, in tests, may be behind.
  while (recent[0] && Math.abs(mine.madeAt - recent[0].madeAt) > 1_000 + grace) recent.shift()
  const unused = recent.filter(({ madeAt, isUsed }) => !isUsed && mine.madeAt - madeAt >= grace).length
  if (__DEV__ && unused >= many && !warned.has(model)) {
    warned.add(model)
    console.warn(
      say`tidemark: ${unused} live queries without a key were made within a second, the last one of '${model}', and nothing subscribed to them. Are they made in a render, which then renders again for ever? Use live(options) of a table, live(key, query), or make the query outside of the component.`,
    )
  }
  recent.push(mine)
  return () => {
    mine.isUsed = true
  }
}
