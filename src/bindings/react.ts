/** Live queries and status for React 18.2 and newer. */
'use client'
import { useState, useSyncExternalStore } from 'react'
import type { StatusStore } from '../running/status.js'
import { show, type Live, type QuerySource } from './shown.js'

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
  if (shown.source !== live) setShown((shown = show(live, before.getSnapshot())))
  return useSyncExternalStore(shown.subscribe, shown.getSnapshot, shown.getServerSnapshot)
}

/**
 * The value of a status, and a new render whenever it changes.
 *
 * @param from what has a `status` (an app, a model, a running projection), or the status itself
 *
 * @example
 * const { phase, behind } = useStatus(projection)
 */
export function useStatus<S>(from: StatusStore<S> | { readonly status: StatusStore<S> }): S {
  const status = 'status' in from ? from.status : from
  return useSyncExternalStore(status.subscribe, status.getSnapshot, status.getServerSnapshot)
}

export type { Live, QuerySource } from './shown.js'
