/** Values that keep themselves up to date while somebody looks at them. */
import { QueryTimeoutError } from '../errors.js'
import type { Clock } from '../platform/clock.js'
import { startDeadline } from '../platform/deadline.js'
import { listenerSet } from '../platform/listeners.js'
import { equal } from '../read-model/equal.js'

/** What a live query shows. */
export type LiveSnapshot<V> =
  | { readonly status: 'loading' }
  | {
      readonly status: 'ready'
      readonly data: V
      /** Where this answer was first read: it may hold for later positions, too. */ readonly position: number
    }
  /** `data`: the last answer, if there was one. Runs again by itself, unless `error` is a ClosedError: the view or store was closed. */
  | { readonly status: 'error'; readonly error: unknown; readonly data?: V }

/**
 * Fits `useSyncExternalStore(live.subscribe, live.getSnapshot, live.getServerSnapshot)`; each works detached. Runs while it has a
 * subscriber, and rests otherwise.
 *
 * A run that fails is made again at the next change, for each new subscriber, and after 5 s, 10 s, … 60 s. One that did not settle
 * within 30 s counts as failed (`QueryTimeoutError`), and its late result is dropped.
 */
export interface LiveQuery<V> {
  /** Calls back when the snapshot is another one. Returns how to stop that. */
  subscribe(listener: () => void): () => void
  /** The same object as long as the answer is the same. */
  getSnapshot(): LiveSnapshot<V>
  /** For rendering on a server, and for the first render over its HTML: always the same `{ status: 'loading' }`. */
  getServerSnapshot(): LiveSnapshot<V>
}

/** Where a live value comes from. */
export interface LiveSource<V> {
  /** Resolves with nothing if what was read does not belong together. Each call of `progress` puts off the end of its time. */
  evaluate(progress: () => void): Promise<{ readonly data: V; readonly position: number } | undefined>
  /** Calls `changed` whenever the answer may be another one, and `ended` when there will never be another. Returns how to stop that. */
  watch(changed: () => void, ended: () => void): () => void
  /** Why there will never be another answer, if so. */
  end(): unknown
}

/** The pause before a failed run is repeated, at first and at most, ms. */
const pauses = [5_000, 60_000] as const
/** A run that does not settle within that is given up, ms. */
const runTimeout = 30_000

const loading = Object.freeze({ status: 'loading' as const })

/** Makes a live query of a source: one evaluation at a time, and one more if something changed in between. */
export function liveQuery<V>(source: LiveSource<V>, clock: Clock): LiveQuery<V> {
  let snapshot: LiveSnapshot<V> = loading
  const listeners = listenerSet()
  /** The evaluation under way, and when it last got on. Of one that was given up nothing is heard any more. */
  let run: { since: number } | undefined
  let again = false
  let ended = false
  let stop: (() => void) | undefined
  let pause: number = pauses[0]
  let cancelRetry: (() => void) | undefined
  let cancelDeadline = () => {}

  const set = (next: LiveSnapshot<V>) => {
    snapshot = next
    listeners.tell()
  }
  const failed = (error: unknown): LiveSnapshot<V> => ({
    status: 'error',
    error,
    ...('data' in snapshot ? { data: snapshot.data } : {}),
  })
  const rest = () => {
    stop?.()
    stop = undefined
    cancelDeadline()
    calm()
  }
  const calm = () => {
    cancelRetry?.()
    cancelRetry = undefined
    pause = pauses[0]
  }
  /** Shows that the source ended, if it did. */
  const end = (): boolean => {
    const error = source.end()
    if (error === undefined || ended) return ended
    ended = true
    rest()
    set(failed(error))
    return true
  }
  /** A change does not put off the retry that waits. */
  const retryLater = () => {
    cancelRetry ??= clock.schedule(pause, () => {
      cancelRetry = undefined
      pause = Math.min(2 * pause, pauses[1])
      if (run === undefined) evaluate()
    })
  }
  /** Gives a run up that does not get on. */
  const limit = (mine: { since: number }) => {
    const { since } = mine
    cancelDeadline = startDeadline(clock, since + runTimeout - clock.monotonic(), () => {
      if (mine.since > since) limit(mine)
      else finish(mine, failed(new QueryTimeoutError(runTimeout)))
    })
  }
  const finish = (mine: { since: number }, next: LiveSnapshot<V> | undefined) => {
    if (run !== mine) return
    run = undefined
    cancelDeadline()
    if (stop === undefined || end()) return
    if (next?.status === 'ready') calm()
    else retryLater()
    if (next !== undefined && next !== snapshot) set(next)
    if (again) evaluate()
  }
  const evaluate = () => {
    again = true
    if (stop === undefined || run !== undefined) return
    again = false
    const mine = (run = { since: clock.monotonic() })
    limit(mine)
    source
      .evaluate(() => (mine.since = clock.monotonic()))
      .then(
        (answer) =>
          finish(
            mine,
            answer &&
              (snapshot.status === 'ready' && equal(snapshot.data, answer.data)
                ? snapshot
                : { status: 'ready', ...answer }),
          ),
        (error: unknown) => finish(mine, failed(error)),
      )
  }
  return {
    subscribe(listener) {
      if (stop !== undefined) {
        if (run === undefined && snapshot.status !== 'ready') evaluate()
      } else if (!end()) {
        stop = source.watch(evaluate, end)
        // One that was under way before the rest.
        if (run !== undefined) limit(run)
        evaluate()
      }
      const remove = listeners.add(listener)
      return () => {
        if (remove() && listeners.size === 0) rest()
      }
    },
    getSnapshot() {
      // Those who subscribed are told by the source.
      if (stop === undefined) end()
      return snapshot
    },
    getServerSnapshot: () => loading,
  }
}
