/** Checks at intervals, which make up for lost hints. */
import type { Clock } from './clock.js'
import { pageLifecycle } from './page-lifecycle.js'

/** Calls `check` every `every` ms, and when the page is shown or comes back. Returns how to stop that. */
export function lookOut(clock: Pick<Clock, 'schedule'>, every: number, check: () => void): () => void {
  let cancel = () => {}
  const arm = () => {
    cancel = clock.schedule(every, () => {
      arm()
      check()
    })
  }
  arm()
  const unsubscribe = pageLifecycle()?.subscribe((presence) => {
    if (presence !== 'away') check()
  })
  return () => {
    cancel()
    unsubscribe?.()
  }
}
