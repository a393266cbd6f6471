/** What every binding shows of a query that an app may exchange or leave out. */
import { say } from '../messages.js'
import type { LiveQuery } from '../reading/live-query.js'
import type { LiveSnapshot } from '../reading/live-snapshot.js'

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
  | { readonly status: 'off'; readonly data: undefined; readonly error: undefined; readonly stale: false }

/** A query, or none: `id && shop.baskets.lines.liveRow(id)`. */
export type QuerySource<V> = LiveQuery<V> | null | undefined | false | '' | 0

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

const stales = new WeakMap<object, Live<unknown>>()

/** As what is shown of it when nothing follows it any more: the same object each time. */
export function staleOf<V>(live: Live<V>): Live<V> {
  if (live.status !== 'ready' || live.stale) return live
  const stale = (stales.get(live) as Live<V> | undefined) ?? { ...live, stale: true }
  stales.set(live, stale)
  return stale
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
  /** The former query, while its answer is shown. */
  let origin = former?.getSnapshot().status === 'ready' ? former.origin() : undefined
  return {
    source,
    origin: () => origin ?? source,
    subscribe: source.subscribe,
    getSnapshot() {
      const snapshot = source.getSnapshot()
      // As it is now, and not as it was: it may have become that of another user, while nothing followed this.
      const kept = origin?.getSnapshot()
      if (kept?.status === 'ready' && snapshot.status === 'loading') return staleOf(kept)
      // For good: after a change of user, queries are loading again, and nothing of the former user may be shown.
      origin = undefined
      return snapshot
    },
    getServerSnapshot: source.getServerSnapshot,
  }
}
