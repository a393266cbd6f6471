/** What a live query shows, and how that changes. Pure: each function returns the snapshot that follows another one. */
import { frozen, share } from './share.js'

/**
 * What a live query shows. Every member has `data`, `error` and `stale`, so that they may be destructured before
 * `status` is compared.
 *
 * - `'loading'`: nothing was read yet
 * - `'ready'`: `data` is the answer
 * - `'error'`: the query failed; `data` is the last answer, if there was one. It runs again by itself, unless `error`
 * is a ClosedError: the view or the store was closed
 *
 * `stale` says that `data` may be out of date: it was read before the query rested, or before it failed or its view was
 * closed. While a query that has subscribers runs again after a change, it is not stale.
 *
 * @example
 * const { status, data, error, stale } = live.getSnapshot()
 * if (status === 'ready') show(data, { faded: stale })
 */
export type LiveSnapshot<V> =
  | {
      readonly status: 'loading'
      readonly data: undefined
      readonly error: undefined
      readonly stale: false
      readonly pending?: undefined
    }
  | {
      readonly status: 'ready'
      readonly data: V
      readonly error: undefined
      readonly stale: boolean
      /** Where this answer was first read: it may hold for later positions, too. */
      readonly position: number
      /**
       * It holds something of this device that the rows of the log do not hold yet, or lacks a row for such a reason.
       * Only of a store that syncs.
       */
      readonly pending?: true | undefined
    }
  | {
      readonly status: 'error'
      readonly data: V | undefined
      readonly error: unknown
      readonly stale: boolean
      readonly pending?: undefined
    }

/** What a run of a query came to. */
export interface LiveAnswer<V> {
  readonly data: V
  readonly position: number
  /** It is the library's: the development build freezes it. */
  readonly isShared?: boolean
  readonly pending?: true | undefined
}

/** Before the first run, and on a server. */
export const loading: LiveSnapshot<never> = Object.freeze({
  status: 'loading',
  data: undefined,
  error: undefined,
  stale: false,
})

/**
 * After a run that succeeded. What is the same in the data stays the same object, and a snapshot that says the same
 * stays the same one.
 */
export function answered<V>(
  before: LiveSnapshot<V>,
  { data: after, position, isShared, pending }: LiveAnswer<V>,
): LiveSnapshot<V> {
  const data = share(before.data, after)
  if (__DEV__ && isShared === true) frozen(data)
  if (before.status === 'ready' && Object.is(before.data, data) && before.pending === pending)
    return before.stale ? { ...before, stale: false } : before
  return { status: 'ready', data: data as V, error: undefined, stale: false, position, ...(pending && { pending }) }
}

/** After a run that failed, and at the end of the source. The same error again says the same. */
export function failed<V>(before: LiveSnapshot<V>, error: unknown): LiveSnapshot<V> {
  if (before.status === 'error' && Object.is(before.error, error)) return before
  return { status: 'error', data: before.data, error, stale: before.status === 'ready' || before.stale }
}

/** After the last unsubscription: changes are not followed any more. */
export function rested<V>(before: LiveSnapshot<V>): LiveSnapshot<V> {
  return before.status === 'ready' && !before.stale ? { ...before, stale: true } : before
}
