/** Live queries and statuses as reactive objects and stores, for Svelte 5.7 and newer. */
import { createSubscriber } from 'svelte/reactivity'
import type { Readable } from 'svelte/store'
import type { StatusStore } from '../running/status.js'
import type { SyncStatus } from '../sync/sync-status.js'
import { show, statusOf, type Live, type QuerySource, type Shown, type StatusSource, type SyncSource } from './shown.js'

/** A live query as reactive properties: an effect or a template that reads one of them follows the query. */
export interface LiveState<V> {
  /** The answer, or undefined before the first one. */
  readonly current: V | undefined
  /** `'off'` while there is no query. */
  readonly status: Live<V>['status']
  /** Why the query failed, if it did. It runs again by itself. */
  readonly error: unknown
  /** Whether `current` may be out of date, or is the answer of the former query. */
  readonly stale: boolean
  /** Whether `current` holds what this device did and the server has not confirmed. Only of an app that syncs. */
  readonly pending: boolean
}

/**
 * Follows a live query while an effect or a template reads one of its properties. Give it a function where the query
 * depends on state: it may return another query later, or none (`null`, `undefined` or `false`). On a server nothing is
 * followed, and the status is `'loading'`.
 *
 * Keep the object: `const { current } = live(query)` reads once.
 *
 * @example
 * const lines = live(() => shop.baskets.lines.live({ index: 'byItems', limit }))
 * // {#each lines.current ?? [] as line (line.sku)} … {/each}
 */
export function live<V>(query: QuerySource<V> | (() => QuerySource<V>)): LiveState<V> {
  const read = follower<Live<V>>()
  let shown: Shown<V> | undefined
  const snapshot = () => {
    const source = typeof query === 'function' ? query() : query
    if (!shown || shown.source !== source) shown = show(source, shown)
    return read(shown)
  }
  return {
    get current() {
      return snapshot().data
    },
    get status() {
      return snapshot().status
    },
    get error() {
      return snapshot().error
    },
    get stale() {
      return snapshot().stale
    },
    get pending() {
      return snapshot().pending === true
    },
  }
}

/**
 * A live query as a store, whose value is its snapshot: `{ status, data, error, stale, pending }`.
 *
 * @example
 * const lines = store(shop.baskets.lines.live())
 * // {#each $lines.data ?? [] as line (line.sku)} … {/each}
 */
export function store<V>(query: QuerySource<V>): Readable<Live<V>> {
  const shown = show(query)
  return {
    subscribe(run) {
      const tell = () => run(now(shown))
      const stop = onServer() ? () => {} : shown.subscribe(tell)
      tell()
      return stop
    },
  }
}

/**
 * The value of a status, followed while an effect or a template reads `current`.
 *
 * @param from what has a `status` (an app, a model, a running projection), the status itself, or a function that returns
 * one of them
 *
 * @example
 * const health = status(shop)
 * // {#if health.current.phase === 'stalled'} … {/if}
 */
export function status<S>(from: StatusSource<S> | (() => StatusSource<S>)): { readonly current: S } {
  const read = follower<S>()
  return {
    get current() {
      const given = typeof from === 'function' ? from() : from
      return read(statusOf(given))
    },
  }
}

/** Returns the value now, and lets the effect that asked run again when it is another one. */
function follower<S>(): (from: StatusStore<S>) => S {
  let followed: StatusStore<S> | undefined
  let follow = () => {}
  return (from) => {
    if (from !== followed) {
      followed = from
      follow = createSubscriber((update) => {
        let known = from.getSnapshot()
        return from.subscribe(() => {
          if (from.getSnapshot() === known) return
          known = from.getSnapshot()
          update()
        })
      })
    }
    follow()
    return now(from)
  }
}

function now<S>(from: StatusStore<S>): S {
  return onServer() ? from.getServerSnapshot() : from.getSnapshot()
}

/** Asked where it matters, as an import must not look at the page. */
function onServer(): boolean {
  return typeof document === 'undefined'
}

/**
 * How an app syncs: what it does, what the server has not confirmed, and what it refused.
 *
 * @example
 * const sync = syncStatus(shop) // {sync.current.pending}
 */
export const syncStatus = (app: SyncSource): { readonly current: SyncStatus } => status(app.sync)

export type { Live, QuerySource, StatusSource, SyncSource } from './shown.js'
