/** Looks at the stored state of a projection, once for everything in this context that wants to know. */
import type { Clock } from '../platform/clock.js'
import { listenerSet } from '../platform/listeners.js'
import { lookOut } from '../platform/lookout.js'
import { optional } from '../platform/promises.js'

/** A lost hint is made up for within this many ms (H66). */
const slowPoll = 5_000

/** Calls back with each look, when it begins. Returns how to stop that. */
export type Lookout<S> = (looked: (state: Promise<S>) => void) => () => void

/** Reads the state every few seconds, and when the page is shown, while there is a listener. */
export function modelLookout<S>(read: () => Promise<S>, clock: Clock): Lookout<S> {
  const listeners = listenerSet<[state: Promise<S>]>()
  let stop: (() => void) | undefined
  return (looked) => {
    const remove = listeners.add(looked)
    // A listener may be gone.
    stop ??= lookOut(clock, slowPoll, () => listeners.tell(optional(read())))
    return () => {
      if (!remove() || listeners.size > 0) return
      stop?.()
      stop = undefined
    }
  }
}
