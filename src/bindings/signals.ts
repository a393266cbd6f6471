/** Live queries as signals, for `@preact/signals-core` 1.9 and newer. */
import { computed, signal, type ReadonlySignal } from '@preact/signals-core'
import type { LiveQuery } from '../reading/live-query.js'
import type { LiveSnapshot } from '../reading/live-snapshot.js'
import type { StatusStore } from '../running/status.js'
import { show, statusOf, type Live, type QuerySource, type StatusSource } from './shown.js'

/**
 * A live query as a signal. The query runs while an effect or a component reads the signal, and rests otherwise: it is
 * `'loading'` then, since what was shown last may be the rows of a former user.
 *
 * Given a function, it follows the query that the function returns, and calls it again when a signal that it reads
 * changes. Without a query (`null`, `undefined` or `false`) the status is `'off'`. After a change of query, the answer
 * of the former one is shown, `stale`, until there is a new one.
 *
 * @example
 * const lines = toSignal(shop.baskets.lines.live())
 * const chosen = toSignal(() => id.value && shop.baskets.lines.liveRow(id.value))
 * effect(() => console.log(lines.value.data, chosen.value.status))
 */
export function toSignal<V>(live: LiveQuery<V>): ReadonlySignal<LiveSnapshot<V>>
/** The same, of the query that a function returns, or of none. */
export function toSignal<V>(live: () => QuerySource<V>): ReadonlySignal<Live<V>>
export function toSignal<V>(live: LiveQuery<V> | (() => QuerySource<V>)): ReadonlySignal<Live<V>> {
  if (typeof live !== 'function') return follow(show(live))
  let shown = show<V>(null)
  let followed = follow(shown)
  return computed(() => {
    const source = live()
    if (source !== shown.source) followed = follow((shown = show(source, shown)))
    return followed.value
  })
}

function follow<S>(shown: StatusStore<S>): ReadonlySignal<S> {
  let stop = () => {}
  const read = () => {
    followed.value = shown.getSnapshot()
  }
  const followed = signal(shown.getSnapshot(), {
    watched() {
      stop = shown.subscribe(read)
      read()
    },
    unwatched() {
      stop()
      // Not what was shown last: the app may be reopened, by another user, while nothing follows it.
      followed.value = shown.getServerSnapshot()
    },
  })
  return followed
}

/**
 * A status as a signal, which is followed while an effect or a component reads it.
 *
 * @param from what has a `status` (an app, a model, `app.sync`), or the status itself
 *
 * @example
 * const sync = toStatusSignal(shop.sync) // sync.value.pending
 */
export const toStatusSignal = <S>(from: StatusSource<S>): ReadonlySignal<S> => follow(statusOf(from))

export type { Live, QuerySource, StatusSource } from './shown.js'
