/** Live queries and status for React 18.2 and newer. */
'use client'
import { useState, useSyncExternalStore } from 'react'
import { say } from '../messages.js'
import type { LiveQuery } from '../reading/live-query.js'
import type { SyncStatus } from '../sync/sync-status.js'
import { assertLive, show, statusOf, type Live, type QuerySource, type StatusSource, type SyncSource } from './shown.js'

/**
 * What a live query shows, and a new render whenever that changes. Without a query (`null`, `undefined` or `false`) the
 * status is `'off'`. After a change of query, the answer of the former one is shown, `stale`, until there is a new one.
 *
 * Give it the same query in each render: one of a model (equal options are the same query), or one made outside of
 * components. On a server, and in the first render over its HTML, the status is `'loading'`.
 *
 * @example
 * const { status, data, error, stale } = useLiveQuery(shop.baskets.lines.live({ index: 'byItems', limit: 10 }))
 */
export function useLiveQuery<V>(live: QuerySource<V>): Live<V> {
  const [before, setShown] = useState(() => show(live))
  let shown = before
  if (shown.source !== live) {
    setShown((shown = show(live, before)))
    if (__DEV__) {
      const changes = (exchanged.get(before) ?? 0) + 1
      // React gives up at 25.
      if (changes > 15) throw madeAgain('useLiveQuery')
      exchanged.set(shown, changes)
    }
  } else if (__DEV__) exchanged.delete(shown)
  return useSyncExternalStore(shown.subscribe, shown.getSnapshot, shown.getServerSnapshot)
}

/** How often in a row a render had another query than the one before: for the development build. */
const exchanged = new WeakMap<object, number>()

const madeAgain = (hook: string): Error =>
  new Error(
    say`${hook} is given another live query in each render, which would render again without end. Use live(options) of a table, give a key: live(key, query), or make the query outside of the component.`,
  )

/** Queries that were waited for: for the development build. */
const waited = new WeakSet<object>()
/** The query that was waited for last has an answer, and no render asked for that. */
let isIgnored = false
/** How many queries in a row had an answer that no render asked for, before another one was made. */
let ignored = 0

/** @throws an Error if one query after the other is waited for, and not used once it has its answer */
function wait<V>(live: LiveQuery<V>): void {
  if (waited.has(live)) return
  if (isIgnored) ignored += 1
  isIgnored = false
  if (ignored > 20) {
    // React tries once more, immediately, before it comes to an error boundary: that is refused, too.
    setTimeout(() => (ignored = 0))
    throw madeAgain('useLiveSuspenseQuery')
  }
  waited.add(live)
  const answered = () => {
    isIgnored = true
  }
  live.ready().then(answered, answered)
}

/** Of queries whose `ready` rejected: React renders again then, which must not wait again, without end. */
const rejected = new WeakMap<object, { readonly reason: unknown }>()
/** Snapshots of failures that an error boundary has had. */
const old = new WeakSet<object>()
/** After that, ms, a render of a query that failed tries again. React needs less to come to its error boundary. */
const pause = 1_000

/**
 * The answer of a live query, for a component inside of `<Suspense>`, which waits for the first answer. If the query
 * fails, its error is thrown, for an error boundary. When that is reset, a second later or more, the query runs again.
 *
 * Give it the same query in each render, also in the first one, of which React keeps nothing while it waits: one of a
 * model (equal options are the same query), or one made outside of components.
 *
 * A server has no answer: there it throws, so that React sends the fallback, and renders the component in the browser.
 *
 * @throws the error of the query
 *
 * @example
 * const lines = useLiveSuspenseQuery(shop.baskets.lines.live({ index: 'byItems', limit: 10 }))
 */
export function useLiveSuspenseQuery<V>(live: LiveQuery<V>): V {
  if (__DEV__) {
    assertLive(live)
    // Known, so its answer is not ignored.
    if (waited.has(live)) {
      isIgnored = false
      ignored = 0
    }
  }
  const snapshot = useSyncExternalStore(live.subscribe, live.getSnapshot, notHere)
  if (snapshot.status === 'ready') return snapshot.data
  const failure = rejected.get(live)
  const isFailed = snapshot.status === 'error' && !old.has(snapshot)
  if (failure || isFailed) {
    // A failure that was waited for is in both, and must not be thrown once more when the other one is over.
    if (isFailed) setTimeout(() => old.add(snapshot), pause)
    throw failure ? failure.reason : snapshot.error
  }
  if (__DEV__) wait(live)
  // React waits for what is thrown.
  throw live.ready().then(undefined, (reason: unknown) => {
    // The app was reopened meanwhile: the next render waits for the answer of the new user.
    if ((reason as { code?: unknown } | undefined)?.code === 'closed' && live.getSnapshot().status !== 'error') return
    rejected.set(live, { reason })
    setTimeout(() => rejected.delete(live), pause)
  })
}

function notHere(): never {
  throw new Error('useLiveSuspenseQuery: browser only')
}

/**
 * The value of a status, and a new render whenever it changes.
 *
 * @param from what has a `status` (an app, a model, a running projection), or the status itself
 *
 * @example
 * const { phase, behind } = useStatus(projection)
 */
export function useStatus<S>(from: StatusSource<S>): S {
  const status = statusOf(from)
  return useSyncExternalStore(status.subscribe, status.getSnapshot, status.getServerSnapshot)
}

/**
 * How an app syncs: what it does, what the server has not confirmed, and what it refused.
 *
 * @example
 * const { status, pending, refused } = useSyncStatus(shop)
 */
export const useSyncStatus = (app: SyncSource): SyncStatus => useStatus(app.sync)

export type { Live, QuerySource, StatusSource, SyncSource } from './shown.js'
