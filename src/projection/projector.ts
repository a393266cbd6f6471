/** What a user of projections writes: projectors and their configuration. */
import { InvalidArgumentError } from '../errors.js'
import type { EventShape, RecordedEvent } from '../events/event.js'
import type { EventFilter } from '../log/event-store.js'
import { systemClock, type Clock } from '../platform/clock.js'
import type { FailureContext, FailureStrategy } from './target.js'

/** Any object that folds events somewhere. Its checkpoint is saved after its events: at least once. */
export interface Projector<E extends EventShape = EventShape, C = unknown> {
  /** Checkpoint key and lock name. */
  readonly name: string
  readonly filter?: EventFilter
  apply(event: RecordedEvent<E>, context: C): void | Promise<void>
  /** Asked at every failure of an event. @default 'fatal' */
  onError?(failure: FailureContext<E>): FailureStrategy | Promise<FailureStrategy>
}

export interface ProjectionConfig<C = unknown> {
  /** Handed to every `apply` of a plain projector; a function is called once per run. */
  readonly context?: C | (() => C)
  /** 'batch' ends at the head seen at its start. @default 'batch' */
  readonly mode?: 'batch' | 'continuous'
  readonly signal?: AbortSignal
  /** @default 'try' in batch mode (LeadershipError if held), 'wait' in continuous mode */
  readonly leadership?: 'try' | 'wait'
  readonly poll?: {
    /** Pause after a page that had events, ms. @default 0 */
    readonly interval?: number
    /** First pause when there is nothing to do, ms; doubles up to 5 s and is cut short by an append. @default 50 */
    readonly emptyBackoff?: number
    /** First pause after a failed read, ms; doubles up to 30 s. @default 100 */
    readonly failureBackoff?: number
    /** Failed reads in a row that are tolerated. @default 5 in batch mode, no limit in continuous mode */
    readonly maxConsecutiveFailures?: number
  }
  readonly retry?: {
    /** Retries of one event after its first failure. @default 3 */
    readonly maxAttempts?: number
    /** Before the first retry, ms. @default 100 */
    readonly delay?: number
    /** @default 2 */
    readonly backoffMultiplier?: number
    /** Cap, ms. @default 5000 */
    readonly maxDelay?: number
    /** The share of a delay that is added at random, at most; from 0 to 1. @default 0.1 */
    readonly jitter?: number
  }
  /** While behind, a commit comes after so many events or ms. */
  readonly batch?: { /** @default 100000 */ readonly maxEvents?: number; /** @default 300 */ readonly maxTime?: number }
  /** Of the whole run; at least one batch is always done (N38). */
  readonly budget?: { readonly maxTime?: number; readonly maxEvents?: number }
  /** For plain projectors. @default 'each-batch' */
  readonly checkpoint?: 'each-event' | 'each-batch'
  /** @default this context's clock */
  readonly clock?: Clock
}

/** How a run ended. */
export interface ProjectionResult {
  /** Everything up to here is done. */
  readonly position: number
  readonly applied: number
  readonly skipped: number
  readonly parked: number
  readonly reason: 'caught-up' | 'budget' | 'aborted'
}

/** A configuration with every default in place. */
export interface Settings {
  readonly mode: 'batch' | 'continuous'
  readonly interval: number
  readonly emptyBackoff: number
  readonly failureBackoff: number
  readonly maxFailures: number
  readonly retries: number
  readonly retryDelay: number
  readonly retryMultiplier: number
  readonly retryMaxDelay: number
  readonly jitter: number
  readonly batchEvents: number
  readonly batchTime: number
  readonly budgetTime: number
  readonly budgetEvents: number
  readonly clock: Clock
}

/** @throws InvalidArgumentError for a number outside its range (V19) */
export function settle(config: ProjectionConfig<never>, mode: 'batch' | 'continuous'): Settings {
  const number = (name: string, value: number | undefined, fallback: number, least: number, whole = false) => {
    if (value === undefined) return fallback
    if (typeof value !== 'number' || !(value >= least) || (whole && value !== Infinity && !Number.isSafeInteger(value))) {
      throw new InvalidArgumentError(name, `must be ${whole ? 'a whole number' : 'a number'} of at least ${least}.`)
    }
    return value
  }
  const { poll = {}, retry = {}, batch = {}, budget = {} } = config
  if (retry.jitter !== undefined && retry.jitter > 1) throw new InvalidArgumentError('retry.jitter', 'must be at most 1.')
  return {
    mode: config.mode ?? mode,
    interval: number('poll.interval', poll.interval, 0, 0),
    emptyBackoff: number('poll.emptyBackoff', poll.emptyBackoff, 50, 1),
    failureBackoff: number('poll.failureBackoff', poll.failureBackoff, 100, 0),
    maxFailures: number('poll.maxConsecutiveFailures', poll.maxConsecutiveFailures, (config.mode ?? mode) === 'batch' ? 5 : Infinity, 1, true),
    retries: number('retry.maxAttempts', retry.maxAttempts, 3, 0, true),
    retryDelay: number('retry.delay', retry.delay, 100, 0),
    retryMultiplier: number('retry.backoffMultiplier', retry.backoffMultiplier, 2, 1),
    retryMaxDelay: number('retry.maxDelay', retry.maxDelay, 5000, 0),
    jitter: number('retry.jitter', retry.jitter, 0.1, 0),
    batchEvents: number('batch.maxEvents', batch.maxEvents, 100_000, 1, true),
    batchTime: number('batch.maxTime', batch.maxTime, 300, 0),
    budgetTime: number('budget.maxTime', budget.maxTime, Infinity, 0),
    budgetEvents: number('budget.maxEvents', budget.maxEvents, Infinity, 1, true),
    clock: config.clock ?? systemClock,
  }
}
