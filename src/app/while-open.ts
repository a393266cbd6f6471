/** Keeps something attached to whatever is open, across reopenings. */
import type { StatusStore } from '../running/status.js'

/** Calls back whenever something changes. Returns how to stop that. */
export type Subscribe = (listener: () => void) => () => void

/**
 * Attaches something to what is open, whatever is open.
 *
 * @param opened returns the same object as long as that is open
 * @param watch calls back whenever it may be another one
 * @param attach returns how to detach it
 * @param looked called after each look
 * @returns how to end that
 */
export function whileOpen<O extends object>(
  opened: () => O | undefined,
  watch: Subscribe,
  attach: (opened: O) => () => void,
  looked?: () => void,
): () => void {
  let of: O | undefined
  let detach: (() => void) | undefined
  const look = () => {
    const now = opened()
    if (of !== now) {
      detach?.()
      of = now
      detach = now && attach(now)
    }
    looked?.()
  }
  const unwatch = watch(look)
  look()
  return () => {
    unwatch()
    detach?.()
  }
}

/**
 * Follows what is open, and calls back if the snapshot is another one. Not before `subscribe` returns: the listener may
 * want to unsubscribe.
 *
 * @param blank what is shown on a server
 */
export function storeOf<S>(
  watch: Subscribe,
  opened: () => { subscribe: Subscribe } | undefined,
  blank: S,
  getSnapshot: () => S,
): StatusStore<S> {
  return {
    getSnapshot,
    getServerSnapshot: () => blank,
    subscribe(listener) {
      let shown = getSnapshot()
      let mayTell = false
      let told: (() => void) | undefined = listener
      const tell = () => {
        const next = getSnapshot()
        if (!mayTell || next === shown) return
        shown = next
        told?.()
      }
      const unfollow = whileOpen(opened, watch, (store) => store.subscribe(tell), tell)
      queueMicrotask(() => {
        mayTell = true
        tell()
      })
      return () => {
        told = undefined
        unfollow()
      }
    },
  }
}
