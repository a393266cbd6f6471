/** A live query that exists before its store is open, and outlives it. */
import { listenerSet } from '../platform/listeners.js'
import { optional } from '../platform/promises.js'
import { whileOpen } from './while-open.js'
import type { LiveQuery } from '../reading/live-query.js'
import { loading, type LiveSnapshot } from '../reading/live-snapshot.js'

/** What a lazy query knows of the view that it will belong to. `V` is the view. */
export interface LazySource<V extends object> {
  /** The view, while it is open. */
  readonly opened: V | undefined
  /** Opens it, for a call of the app. */
  use(): Promise<V>
  /** Another object once another store is to be opened. */
  of(): object
  /** Something subscribed: opens it. Calls back whenever `opened` or `failure` may be another one. */
  follow(listener: () => void): () => void
  /** Why there is no view: the last try to open it failed, or there will never be one. */
  failure(): unknown
  /** A query failed while it had subscribers, for the first time since it was ready. */
  failed(error: unknown): void
}

/** Is `'loading'` and starts nothing, until it is used. */
export function lazyLive<V extends object, A>(source: LazySource<V>, make: (view: V) => LiveQuery<A>): LiveQuery<A> {
  let inner: LiveQuery<A> | undefined
  /** The view that `inner` belongs to. */
  let of: V | undefined
  let unfollow: (() => void) | undefined
  let opening: Promise<A> | undefined
  let openingOf: object | undefined
  let failure: LiveSnapshot<A> | undefined
  let shown: LiveSnapshot<A> | undefined
  let blank: LiveSnapshot<A> = loading
  let isReported = false
  const listeners = listenerSet()

  const query = (): LiveQuery<A> | undefined => {
    const view = source.opened
    if (view === of) return inner
    // Another object, so that bindings, which may still show the rows of a former query, are notified.
    if (of !== undefined) blank = { ...loading }
    isReported = false
    of = view
    return (inner = view && make(view))
  }
  const getSnapshot = (): LiveSnapshot<A> => {
    const found = query()
    if (found !== undefined) return found.getSnapshot()
    const error = source.failure()
    if (error === undefined) return blank
    if (failure?.error !== error) failure = { status: 'error', data: undefined, error, stale: false }
    return failure
  }
  const tell = () => {
    const next = getSnapshot()
    if (next === shown) return
    shown = next
    if (next.status === 'ready') isReported = false
    // Why there is no view is reported elsewhere.
    else if (inner !== undefined && next.status === 'error' && !isReported) {
      isReported = true
      source.failed(next.error)
    }
    listeners.tell()
  }
  return {
    subscribe(listener) {
      const remove = listeners.add(listener)
      if (unfollow === undefined) {
        shown = getSnapshot()
        unfollow = whileOpen(source, source.follow, () => [query()?.subscribe(tell)], tell)
      }
      return () => {
        if (!remove() || listeners.size > 0) return
        unfollow?.()
        unfollow = undefined
      }
    },
    getSnapshot,
    getServerSnapshot: () => loading,
    ready() {
      const found = query()
      if (found !== undefined) return found.ready()
      // What was asked for before a reopening is the former user's.
      if (openingOf !== source.of()) opening = undefined
      openingOf = source.of()
      opening ??= optional(
        source.use().then((view) => {
          // Of the view that was asked for, also if another one is open by now.
          return view === source.opened ? (query() as LiveQuery<A>).ready() : make(view).ready()
        }),
      )
      const mine = opening
      const over = () => {
        if (opening === mine) opening = undefined
      }
      mine.then(over, over)
      return mine
    },
  }
}
