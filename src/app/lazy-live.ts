/** A live query that exists before its store is open, and outlives it. */
import type { LiveQuery } from '../reading/live-query.js'
import { failed, loading, type LiveSnapshot } from '../reading/live-snapshot.js'
import type { AppPorts } from './app-kind.js'
import type { Attempts } from './attempts.js'
import { storeOf } from './while-open.js'

/**
 * Is `'loading'` and starts nothing, until it is used. `V` is the view of an open app that it belongs to.
 *
 * @param identity by which newer code of the app knows the same query
 */
export function lazyLive<O, V extends object, A>(
  core: AppPorts<O>,
  viewOf: (opened: O) => Pick<Attempts<V>, 'value' | 'error' | 'use'>,
  make: (view: V) => LiveQuery<A>,
  identity?: string,
): LiveQuery<A> {
  let inner: LiveQuery<A> | undefined
  /** The view that `inner` belongs to. */
  let of: V | undefined
  let blank: LiveSnapshot<A> = loading
  let failure: LiveSnapshot<A> = loading
  /** What was asked for before a reopening is the former user's. */
  const opening = new WeakMap<Promise<O>, Promise<A>>()

  const view = () => core.opened && viewOf(core.opened)
  const query = (): LiveQuery<A> | undefined => {
    const now = view()?.value()
    if (now === of) return inner
    // Another object, so that bindings, which may still show the rows of a former query, are notified.
    if (of !== undefined) blank = { ...loading }
    of = now
    return (inner = now && told(make(now), core.failed))
  }
  const own = (): LiveSnapshot<A> => {
    const found = query()
    if (found !== undefined) return found.getSnapshot()
    const error = core.failure ?? view()?.error()
    return error === undefined ? blank : (failure = failed(failure, error))
  }
  const getSnapshot = (): LiveSnapshot<A> =>
    __DEV__ && core.formerRows && identity !== undefined
      ? (core.formerRows.shown(identity, own()) as LiveSnapshot<A>)
      : own()
  return {
    ...storeOf(core.follow, query, loading, getSnapshot),
    ready() {
      const found = query()
      if (found !== undefined) return found.ready()
      const opened = core.use()
      let asked = opening.get(opened)
      if (asked === undefined) {
        asked = opened
          .then((open) => viewOf(open).use())
          // Of the view that was asked for, also if another one is open by now.
          .then((open) => ((open === view()?.value() && query()) || make(open)).ready())
        opening.set(opened, asked)
        asked.catch(() => opening.delete(opened))
      }
      return asked
    },
  }
}

/** Calls back when the query fails while it has subscribers, once until it is ready. */
function told<A>(live: LiveQuery<A>, failed: (error: unknown) => void): LiveQuery<A> {
  let isTold = false
  return {
    ...live,
    subscribe: (listener) =>
      live.subscribe(() => {
        const { status, error } = live.getSnapshot()
        if (status === 'error' && !isTold) failed(error)
        isTold = status === 'error'
        listener()
      }),
  }
}
