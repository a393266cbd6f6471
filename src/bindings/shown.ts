/** What every binding shows of a query that an app may exchange or leave out. */
import { say } from '../messages.js'
import type { LiveQuery } from '../reading/live-query.js'
import type { LiveSnapshot } from '../reading/live-snapshot.js'
import type { StatusStore } from '../running/status.js'
import type { SyncStatus } from '../sync/sync-status.js'

/**
 * What a binding shows: the snapshot of a live query, or `'off'` if it was given none (`null`, `undefined` or `false`).
 *
 * After a change of query, the answer of the former one is shown, `stale`, until the new one has an answer or fails.
 *
 * @example
 * const { status, data, stale } = useLiveQuery(id && shop.baskets.lines.liveRow(id))
 * if (status === 'off') return 'Choose a basket'
 */
export type Live<V> =
  | LiveSnapshot<V>
  | {
      readonly status: 'off'
      readonly data: undefined
      readonly error: undefined
      readonly stale: false
      readonly pending?: undefined
    }

/** A query, or none: `id && shop.baskets.lines.liveRow(id)`. */
export type QuerySource<V> = LiveQuery<V> | null | undefined | false | '' | 0

/** What has a status (an app, a model, a running projection), or the status itself. */
export type StatusSource<S> = StatusStore<S> | { readonly status: StatusStore<S> }

/** Its status. */
export const statusOf = <S>(from: StatusSource<S>): StatusStore<S> => ('status' in from ? from.status : from)

/** An app that syncs: what the `tidemark()` of `tidemark/sync` returns. */
export interface SyncSource {
  readonly sync: { readonly status: StatusStore<SyncStatus> }
}

/** A query as a binding follows it, or none. */
export interface Shown<V> {
  /** What `show` was given. */
  readonly source: QuerySource<V>
  /** The query whose answer is shown: `source`, or a former one. */
  origin(): LiveQuery<V> | undefined
  subscribe(listener: () => void): () => void
  getSnapshot(): Live<V>
  getServerSnapshot(): Live<V>
}

const off: Live<never> = Object.freeze({ status: 'off', data: undefined, error: undefined, stale: false })
const showOff = (): Live<never> => off

/** As what is shown of it when nothing follows it any more. */
export function staleOf<V>(live: Live<V>): Live<V> {
  return live.status === 'ready' && !live.stale ? { ...live, stale: true } : live
}

/** For the development build. @throws TypeError for what is no live query, such as a table */
export function assertLive(source: unknown): void {
  if (__DEV__ && typeof (source as Partial<LiveQuery<unknown>> | null)?.subscribe !== 'function')
    throw new TypeError(
      say`This is no live query. Of a table, call live(), liveRow(key), liveCount() or livePages(options); of a model, live(key, query).`,
    )
}

/** Begins to show a query, or none, after what was shown before. Subscribes to nothing by itself. */
export function show<V>(source: QuerySource<V>, former?: Shown<V>): Shown<V> {
  if (!source)
    return {
      source,
      origin: () => undefined,
      subscribe: () => () => {},
      getSnapshot: showOff,
      getServerSnapshot: showOff,
    }
  if (__DEV__) assertLive(source)
  const last = former?.getSnapshot()
  let kept = last?.status === 'ready' ? staleOf(last) : undefined
  /** The former query, while its answer is shown. */
  let origin = kept && former?.origin()
  return {
    source,
    origin: () => origin ?? source,
    subscribe: source.subscribe,
    getSnapshot() {
      const snapshot = source.getSnapshot()
      // As it is now, and not as it was: it may have become that of another user, while nothing followed this.
      const now = origin?.getSnapshot()
      if (snapshot.status === 'loading' && now?.status === 'ready')
        return now.data === kept?.data ? kept : (kept = staleOf(now))
      // For good: after a change of user, queries are loading again, and nothing of the former user may be shown.
      kept = origin = undefined
      return snapshot
    },
    getServerSnapshot: source.getServerSnapshot,
  }
}
