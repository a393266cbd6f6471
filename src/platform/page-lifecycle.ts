/** Whether this context can be relied on to go on running: pages get hidden, frozen and put into the back/forward cache (H54, H58). */

/** `'away'`: frozen, in the back/forward cache, or about to end. Nothing should be held then. */
export type Presence = 'visible' | 'hidden' | 'away'

/** The presence of this context, and its changes. */
export interface PageLifecycle {
  presence(): Presence
  /** Calls back after every change. Returns how to stop that. */
  subscribe(listener: (presence: Presence) => void): () => void
}

/**
 * The lifecycle of this page; `undefined` in workers and in Node, which are neither shown nor hidden.
 * Hidden is not leaving: a hidden page goes on (H26).
 */
export function pageLifecycle(): PageLifecycle | undefined {
  if (typeof document === 'undefined' || typeof addEventListener !== 'function') return undefined
  let away = false
  const presence = (): Presence => (away ? 'away' : document.visibilityState === 'hidden' ? 'hidden' : 'visible')
  return {
    presence,
    subscribe(listener) {
      const changed = () => listener(presence())
      const leave = () => {
        away = true
        changed()
      }
      const comeBack = () => {
        away = false
        changed()
      }
      const events: readonly (readonly [EventTarget, string, () => void])[] = [
        [document, 'visibilitychange', changed],
        [document, 'freeze', leave],
        [document, 'resume', comeBack],
        [globalThis, 'pagehide', leave],
        [globalThis, 'pageshow', comeBack],
      ]
      for (const [target, type, handler] of events) target.addEventListener(type, handler)
      return () => {
        for (const [target, type, handler] of events) target.removeEventListener(type, handler)
      }
    },
  }
}
