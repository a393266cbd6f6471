/** What a failure means: another try after a pause, or the end of the run. Pure. */
import { PoisonEventError, hasCode, messageOf, ProjectionFailedError } from '../errors.js'
import { say } from '../messages.js'
import type { RecordedEvent } from '../events/event.js'
import { pauseBefore } from '../platform/backoff.js'
import type { Settings } from './config.js'
import type { ReadModelFailureStrategy } from './target.js'

const longestPause = 30_000

/** Errors after which another try is useless: the store was closed or lost, refuses this build, or is of a newer one. */
export const isFinal = (error: unknown): boolean =>
  hasCode(error, 'closed', 'storage-lost', 'unsupported-format', 'invalid-argument', 'invalid-name', 'database-refused')

/** What of the storage failed. */
export type StorageWork = 'loading' | 'reading' | 'storing'

/**
 * Failures of the storage in a row. Each kind by itself, because a read that works does not show that storing works.
 */
export class StorageFailures {
  readonly #name: string
  readonly #settings: Settings
  readonly #inARow = { loading: 0, reading: 0, storing: 0 }

  constructor(name: string, settings: Settings) {
    this.#name = name
    this.#settings = settings
  }

  /**
   * How many there are now, and the pause before the next try.
   *
   * @throws ProjectionFailedError if there were too many, or where another try is useless
   */
  failed(
    what: StorageWork,
    error: unknown,
    final: boolean,
    position: number,
    random: number,
  ): { readonly failures: number; readonly delay: number } {
    const { mode, maxFailures, failureBackoff, retry } = this.#settings
    const before = this.#inARow[what]
    const failures = before + 1
    if (final || before >= maxFailures || (what === 'loading' && mode === 'batch')) {
      throw new ProjectionFailedError(
        say`Projection '${this.#name}' stopped at ${position}: ${what} failed ${final ? say`for good` : say`${failures} times in a row`}: ${messageOf(error)}`,
        { projector: this.#name, attempts: failures, position },
        error,
      )
    }
    this.#inARow[what] = failures
    const backoff = { delay: failureBackoff, maxDelay: longestPause, jitter: retry.jitter }
    return { failures, delay: pauseBefore(before, backoff, random) }
  }

  /** The last failure does not count: the app asked for a try, which makes no later pause longer. */
  forgetLast(what: StorageWork): void {
    this.#inARow[what] -= 1
  }

  worked(...what: readonly StorageWork[]): void {
    for (const each of what) this.#inARow[each] = 0
  }
}

/** When an event failed, and where the checkpoint was. */
export interface RetryMoment {
  readonly random: number
  readonly now: number
  readonly from: number
}

/**
 * How often the event that fails now was tried, and how long its next try has to wait. Kept by a context from one batch to
 * the next, if the pause is longer than what is left of the budget.
 */
export class Retries {
  readonly #settings: Settings
  #position = 0
  #count = 0
  /** The checkpoint when it failed. */
  #from = 0
  /** When the pause before the next try ends. */
  #due = -Infinity

  constructor(settings: Settings) {
    this.#settings = settings
  }

  of(position: number): number {
    return this.#position === position ? this.#count : 0
  }

  /**
   * The pause before the next try of an event; nothing if there is none. An event that ended two runs is not tried
   * again.
   */
  next(position: number, error: unknown, { random, now, from }: RetryMoment): number | undefined {
    const { retry } = this.#settings
    const count = this.of(position)
    this.waited()
    if (count >= retry.maxRetries || error instanceof PoisonEventError) return undefined
    this.#position = position
    this.#count = count + 1
    this.#from = from
    const pause = pauseBefore(count, retry, random)
    this.#due = now + pause
    return pause
  }

  /** What is left of the pause of an event, ms; 0 if there is none. */
  left(position: number, now: number): number {
    return this.#position === position ? this.pauseAt(now) : 0
  }

  /** The same of the event that failed last. */
  pauseAt(now: number): number {
    return Math.max(0, this.#due - now)
  }

  /** The pause is over. */
  waited(): void {
    this.#due = -Infinity
  }

  /** A rebuild begins with all tries of each event. */
  begin(position: number): void {
    if (position >= this.#from) return
    this.#position = this.#from = 0
    this.waited()
  }
}

/** What to do with an event that failed, once its policy was asked. `'retry'` where no retry is left is `'fatal'`. */
export type Verdict = Exclude<ReadModelFailureStrategy, 'retry'> | { readonly retryAfter: number }

export function verdictOn(
  strategy: ReadModelFailureStrategy,
  retries: Retries,
  position: number,
  error: unknown,
  moment: () => RetryMoment,
): Verdict {
  if (strategy !== 'retry') return ['skip', 'park', 'park-stream'].includes(strategy) ? strategy : 'fatal'
  const retryAfter = retries.next(position, error, moment())
  return retryAfter === undefined ? 'fatal' : { retryAfter }
}

/** The error of a run that an event stopped. */
export function stoppedBy(name: string, event: RecordedEvent, attempts: number, cause: unknown): ProjectionFailedError {
  const tries = attempts === 1 ? say`one attempt` : say`${attempts} attempts`
  return new ProjectionFailedError(
    say`Projection '${name}' stopped at position ${event.position} (${event.type} in '${event.stream}') after ${tries}: ${messageOf(cause)}`,
    { projector: name, attempts, event },
    cause,
  )
}
