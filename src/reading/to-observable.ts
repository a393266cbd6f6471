/** Live queries for RxJS, and for what else takes an observable. */
import type { LiveQuery } from './live-query.js'
import type { LiveSnapshot } from './live-snapshot.js'

declare global {
  interface SymbolConstructor {
    /** As RxJS and others declare it; engines do not have it. */
    readonly observable: symbol
  }
}

/** What may observe a {@link LiveObservable}: `next` is called with each snapshot. It never ends, and never fails. */
export interface LiveObserver<V> {
  next?(snapshot: LiveSnapshot<V>): void
}

/** A live query as an observable, for `from` of RxJS. */
export interface LiveObservable<V> {
  /**
   * Calls back with the snapshot there is, and then with each one that follows. Begins to run the query, if nothing else
   * did.
   */
  subscribe(observer: LiveObserver<V> | ((snapshot: LiveSnapshot<V>) => void)): { unsubscribe(): void }
  /** Returns this observable. */
  [Symbol.observable](): LiveObservable<V>
}

/**
 * A live query as an observable of its snapshots, the current one first. It takes part in the interoperation of
 * observables (`Symbol.observable`), so `from` of RxJS takes it, and so does `toSignal` of Angular. A query that fails is
 * a snapshot with `status: 'error'`, not an error of the observable, so that it can recover.
 *
 * @example
 * const rows = from(toObservable(live)).pipe(filter(({ status }) => status === 'ready'), map(({ data }) => data))
 */
export function toObservable<V>(live: LiveQuery<V>): LiveObservable<V> {
  const subscribe = (observer: LiveObserver<V> | ((snapshot: LiveSnapshot<V>) => void)) => {
    let shown: LiveSnapshot<V> | undefined
    const next = () => {
      const snapshot = live.getSnapshot()
      if (snapshot === shown) return
      shown = snapshot
      if (typeof observer === 'function') observer(snapshot)
      else observer.next?.(snapshot)
    }
    const unsubscribe = live.subscribe(next)
    try {
      next()
    } catch (error) {
      // The caller gets nothing by which to unsubscribe.
      unsubscribe()
      throw error
    }
    return { unsubscribe }
  }
  const itself = () => observable
  // The text is what is asked for if nothing defined the symbol before.
  const observable = { subscribe, '@@observable': itself, [Symbol.observable ?? '@@observable']: itself }
  return observable as unknown as LiveObservable<V>
}
