/** Deadlines that leave out the time in which no context could respond. */
import type { Clock } from './clock.js'
import { feature } from './features.js'

/** A deadline that passes after this many times its span passed while this context slept, or its timers did. */
const lateness = 1.5

/**
 * The page, while it is being prerendered: locks and messages wait for its activation, so a leader that makes no
 * progress meanwhile is not stalled.
 */
export function prerendered(): Document | undefined {
  const page = feature(({ document }) => document as Document & { readonly prerendering?: boolean })
  return page?.prerendering === true ? page : undefined
}

/**
 * Calls back once after `ms`; returns how to take that back. The time of a page that is being prerendered does not
 * count: locks and messages wait for its activation there, and in some designs the storage does, too. And where
 * everything slept, the time begins once more, because the context that should have responded slept as well: once,
 * because the timers of hidden pages are always late.
 */
export function startDeadline(clock: Clock, ms: number, callback: () => void): () => void {
  let cancel = () => {}
  const begin = (again: boolean) => {
    const since = clock.monotonic()
    cancel = clock.schedule(ms, () => (again && clock.monotonic() - since >= ms * lateness ? begin(false) : callback()))
  }
  const page = prerendered()
  if (page === undefined) begin(true)
  else {
    const activated = () => begin(true)
    page.addEventListener('prerenderingchange', activated, { once: true })
    cancel = () => page.removeEventListener('prerenderingchange', activated)
  }
  return () => cancel()
}

/** The promise, or what `expired` returns if it does not settle in time. What it settles with after that is dropped. */
export function withDeadline<T>(clock: Clock, ms: number, promise: Promise<T>, expired: () => Error): Promise<T> {
  return new Promise((resolve, reject) => {
    const cancel = startDeadline(clock, ms, () => reject(expired()))
    promise.then(resolve, reject).finally(cancel)
  })
}
