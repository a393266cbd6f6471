/**
 * Whether this context can be relied on to keep running: pages get hidden, frozen and put into the back/forward cache.
 */

import { feature } from './features.js'
import { listenerSet } from './listeners.js'

/** `'away'`: frozen, in the back/forward cache, or about to end. Nothing should be held then. */
export type Presence = 'visible' | 'hidden' | 'away'

/** The presence of this context, and its changes. */
export interface PageLifecycle {
  presence(): Presence
  /** Calls back after every change. Returns how to stop that. */
  subscribe(listener: (presence: Presence) => void): () => void
}

let shared: { readonly of: Document; readonly lifecycle: PageLifecycle } | undefined

/**
 * The lifecycle of this page, the same for all who ask; `undefined` in workers and in Node, which are neither shown nor
 * hidden. Hidden is not leaving: a hidden page keeps running.
 */
export function pageLifecycle(): PageLifecycle | undefined {
  const page = feature(({ document }) => document)
  if (page === undefined || typeof addEventListener !== 'function') return undefined
  if (shared?.of !== page) shared = { of: page, lifecycle: follow(page) }
  return shared.lifecycle
}

/** Listens to the page while it has a subscriber. */
function follow(page: Document): PageLifecycle {
  let away = false
  const listeners = listenerSet<[presence: Presence]>()
  // What happens without a subscriber is not known; but the code that asks is running, and so is the page.
  const presence = (): Presence =>
    away && listeners.size > 0 ? 'away' : page.visibilityState === 'hidden' ? 'hidden' : 'visible'
  const tellAll = () => listeners.tell(presence())
  const leave = () => {
    away = true
    tellAll()
  }
  const comeBack = () => {
    away = false
    tellAll()
  }
  const events: readonly (readonly [EventTarget, string, () => void])[] = [
    [page, 'visibilitychange', tellAll],
    [page, 'freeze', leave],
    [page, 'resume', comeBack],
    [globalThis, 'pagehide', leave],
    [globalThis, 'pageshow', comeBack],
  ]
  return {
    presence,
    subscribe(listener) {
      if (listeners.size === 0) {
        away = false
        for (const [target, type, handler] of events) target.addEventListener(type, handler)
      }
      const remove = listeners.add(listener)
      return () => {
        if (!remove() || listeners.size > 0) return
        for (const [target, type, handler] of events) target.removeEventListener(type, handler)
      }
    },
  }
}
