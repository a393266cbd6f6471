/** Values that stay up to date while they have subscribers. */
import { InvalidArgumentError, QueryTimeoutError } from '../errors.js'
import { say } from '../messages.js'
import { pauseBefore } from '../platform/backoff.js'
import type { Clock } from '../platform/clock.js'
import { startDeadline } from '../platform/deadline.js'
import { listenerSet, type Listeners } from '../platform/listeners.js'
import { answered, failed, loading, rested, type LiveAnswer, type LiveSnapshot } from './live-snapshot.js'
import { Replies } from './replies.js'

/**
 * Fits `useSyncExternalStore(live.subscribe, live.getSnapshot, live.getServerSnapshot)`; each method works detached.
 * Runs while it has a subscriber, and rests otherwise.
 *
 * A run that fails is made again at the next change, for each new subscriber, and after 5 s, 10 s, … 60 s. One that did
 * not settle within 30 s counts as failed (`QueryTimeoutError`), and its late result is dropped.
 *
 * @example
 * const stop = live.subscribe(() => render(live.getSnapshot()))
 */
export interface LiveQuery<V> {
  /** Calls back when the snapshot is another one. Returns how to stop that. */
  subscribe(listener: () => void): () => void
  /** The same object as long as it says the same. */
  getSnapshot(): LiveSnapshot<V>
  /**
   * For rendering on a server, and for the first render over its HTML: always the same snapshot, which is `'loading'`.
   */
  getServerSnapshot(): LiveSnapshot<V>
  /**
   * Resolves with the answer, which has what the rows have: also right after `caughtUp`. Runs the query for it if it has
   * no subscriber. The same promise until the next change, or, without a subscriber, for 30 s. Rejects with the error of
   * a run that failed, and the next call immediately tries again.
   *
   * @example
   * const rows = await view.baskets.live({ limit: 10 }).ready()
   */
  ready(): Promise<V>
}

/** Where a live value comes from. */
export interface LiveSource<V> {
  /**
   * Resolves with nothing if what was read does not belong to one commit. Each call of `progress` restarts the time that
   * a run may take.
   */
  evaluate(progress: () => void): Promise<LiveAnswer<V> | undefined>
  /**
   * Calls `changed` whenever the answer may be another one, and `ended` when there will never be another. `published`
   * resolves once every change before its call is shown; nothing if it is already. Returns how to stop that.
   */
  watch(changed: () => void, ended: () => void, published: () => Promise<unknown> | undefined): () => void
  /** Why there will never be another answer, if so. */
  end(): unknown
  /** The run under way may have read before the latest change. */
  isLate?(): boolean
  /** What is stored may be newer than the last run, which began before that: no notification came yet. */
  isBehind?(): boolean
  /** The run under way did not settle in its time: its late result is dropped. */
  givenUp?(): void
  /** Called when it rests. */
  rested?(): void
}

const isTrue = (snapshot: LiveSnapshot<unknown>): boolean => snapshot.status === 'ready' && !snapshot.stale

/** Before a failed run is made again, ms. */
const pauses = { delay: 5_000, maxDelay: 60_000 }
/** A run that does not settle within that is given up, ms. */
const runTimeout = 30_000

/** A run under way, and when it last made progress. */
interface Run {
  since: number
  /** The query has not come to its first `await`: for the development build. */
  isCalling: boolean
}

/** Makes a live query of a source: one run at a time, and one more if something changed meanwhile. */
export function liveQuery<V>(source: LiveSource<V>, clock: Clock): LiveQuery<V> {
  let snapshot: LiveSnapshot<V> = loading
  const listeners = listenerSet()
  let run: Run | undefined
  let again = false
  let ended = false
  let stop: (() => void) | undefined
  let cancelDeadline = () => {}
  const replies = new Replies<V>(clock, () => restIfUnused())
  const retry = retries(clock, () => run ?? evaluate())
  const set = (next: LiveSnapshot<V>) => {
    if (next === snapshot) return
    snapshot = next
    listeners.tell()
  }
  const isUnused = () => listeners.size === 0 && !replies.isAwaited
  const rest = () => {
    stop?.()
    stop = undefined
    cancelDeadline()
    retry.calm()
    snapshot = rested(snapshot)
    source.rested?.()
  }
  const restIfUnused = () => {
    if (stop === undefined || !isUnused() || replies.isHeld) return
    replies.drop()
    rest()
  }
  const end = () => {
    const error = source.end()
    if (error === undefined || ended) return ended
    ended = true
    rest()
    set(failed(snapshot, error))
    replies.drop(snapshot)
    return true
  }
  const finish = (mine: Run, next: LiveSnapshot<V> | undefined) => {
    if (run !== mine) return
    run = undefined
    cancelDeadline()
    if (stop === undefined || end()) return
    if (next?.status === 'ready') retry.calm()
    else retry.later()
    set(next ?? rested(snapshot))
    if (next !== undefined) replies.end(next, again)
    restIfUnused()
    if (again && stop !== undefined) changed()
  }
  const limit = (mine: Run) => {
    cancelDeadline = runDeadline(clock, mine, (error) => {
      source.givenUp?.()
      finish(mine, failed(snapshot, error))
    })
  }
  const evaluate = () => {
    again = true
    if (stop === undefined || run !== undefined) return
    again = false
    replies.begin()
    const mine: Run = (run = { since: clock.monotonic(), isCalling: __DEV__ })
    limit(mine)
    const progress = () => (mine.since = clock.monotonic())
    source.evaluate(progress).then(
      (answer) => finish(mine, answer && answered(snapshot, answer)),
      (error: unknown) => finish(mine, failed(snapshot, error)),
    )
    if (__DEV__) mine.isCalling = false
  }
  const changed = () => {
    if (isUnused()) replies.release() // It runs again with its next use.
    else evaluate()
    restIfUnused()
  }
  const reply = () => (again || source.isLate?.() === true ? replies.next() : replies.current())
  /** Follows the source; runs unless an answer is true or on its way. Subscribers are notified of more, calls are not. */
  const start = (isCall: boolean): boolean => {
    if (stop !== undefined) {
      if ((isCall && source.isBehind?.() === true) || (run === undefined && !isTrue(snapshot))) evaluate()
    } else if (!end()) {
      stop = source.watch(changed, end, () => (run === undefined ? undefined : reply()))
      if (run !== undefined) limit(run) // One that was under way before the rest.
      evaluate()
    }
    return !ended
  }
  return methods({
    listeners,
    replies,
    start,
    restIfUnused,
    shown() {
      if (stop === undefined) end() // With subscribers, the source reports its end.
      return snapshot
    },
    reply: () =>
      __DEV__ && run?.isCalling ? waitsForItself() : run === undefined ? replies.current(snapshot) : reply(),
  })
}

/** A query that waits for its own answer would be given up after 30 s: for the development build. */
const waitsForItself = (): Promise<never> =>
  Promise.reject(
    new InvalidArgumentError(
      'ready',
      say`is called by the query itself, which would wait for its own answer. Read the tables that it is given.`,
    ),
  )

/** What the methods of a live query work with. */
interface Inside<V> {
  readonly listeners: Listeners<[]>
  readonly replies: Replies<V>
  start(isCall: boolean): boolean
  restIfUnused(): void
  shown(): LiveSnapshot<V>
  /** Of the run that knows of everything that happened, or of what is shown. */
  reply(): Promise<V>
}

const methods = <V>({ listeners, replies, start, restIfUnused, shown, reply }: Inside<V>): LiveQuery<V> => ({
  subscribe(listener) {
    start(false)
    const remove = listeners.add(listener)
    return () => {
      if (!remove() || listeners.size > 0) return
      replies.release()
      restIfUnused()
    }
  },
  getSnapshot: shown,
  getServerSnapshot: () => loading,
  ready() {
    if (!start(true)) return replies.current(shown())
    replies.hold()
    return reply()
  },
})

/** Runs again after pauses that grow, until it is calm. */
function retries(clock: Clock, again: () => unknown): { later(): void; calm(): void } {
  let failures = 0
  let cancel: (() => void) | undefined
  return {
    /** A change does not put off the retry that waits. */
    later() {
      cancel ??= clock.schedule(pauseBefore(failures, pauses), () => {
        cancel = undefined
        failures += 1
        again()
      })
    },
    calm() {
      cancel?.()
      cancel = undefined
      failures = 0
    },
  }
}

/** Calls back once a run made no progress for its time. Returns how to stop that. */
function runDeadline(clock: Clock, run: Run, giveUp: (error: Error) => void): () => void {
  let cancel = () => {}
  const begin = () => {
    const { since } = run
    cancel = startDeadline(clock, since + runTimeout - clock.monotonic(), () => {
      if (run.since > since) begin()
      else giveUp(new QueryTimeoutError(runTimeout))
    })
  }
  begin()
  return () => cancel()
}
