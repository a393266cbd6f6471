/** The configuration of a run: what may be said, and what it is when nothing is said. */
import { InvalidArgumentError } from '../errors.js'
import { say } from '../messages.js'
import { assertSignal, onlyKnown } from '../platform/arguments.js'
import { projectionRetry, retryPolicy, type RetryOptions, type RetryPolicy } from '../platform/backoff.js'
import { systemClock, type Clock } from '../platform/clock.js'
import type { ProjectionReport } from './report.js'

/** How a projection is run. Times are in ms. */
export interface ProjectionOptions<C = unknown> {
  /** Handed to every `apply` of a plain projector; a function is called once per run. */
  readonly context?: C | (() => C)
  /** `'batch'` ends at the head seen at its start; `'continuous'` when `signal` aborts. @default 'batch' ('continuous' for `startProjection`) */
  readonly mode?: 'batch' | 'continuous'
  /** Ends the run at its next seam; what was applied is stored first. */
  readonly signal?: AbortSignal | undefined
  /** What to do while another context leads. @default 'try' in batch mode (`AlreadyRunningError` if held), 'wait' in continuous mode */
  readonly leadership?: 'try' | 'wait'
  readonly poll?: {
    /** Pause after a page that had events, ms. There is none while behind. @default 0 */
    readonly interval?: number
    /** First pause when there is nothing to do, ms; doubles up to 5 s and is cut short by an append. @default 50 */
    readonly emptyBackoff?: number
    /** First pause after a failed read or commit, ms; doubles up to 30 s. @default 100 */
    readonly failureBackoff?: number
    /** Failures in a row that are tolerated; the next one ends the run. @default 5 in batch mode, no limit in continuous mode */
    readonly maxConsecutiveFailures?: number
  }
  /** Retries of an event that failed. @default { maxRetries: 3, delay: 100, multiplier: 2, maxDelay: 5000, jitter: 0.1 } */
  readonly retry?: RetryOptions
  /** While behind, a commit comes after so much of any of these; caught up, at once. */
  readonly batch?: {
    /** Events applied. @default 100000 */
    readonly maxEvents?: number
    /** Characters of JSON of the events read, looked at once a page. @default 67108864 */
    readonly maxBytes?: number
    /** ms since the last commit. @default 300, or nine times what the last commit took if that is more, up to 3000 */
    readonly maxTime?: number
  }
  /** Of the whole run, for service workers and idle callbacks; at least one event is always done. @default none */
  readonly budget?: {
    /** ms */
    readonly maxTime?: number
    readonly maxEvents?: number
  }
  /** When the checkpoint of a plain projector is saved. @default 'each-batch' */
  readonly checkpoint?: 'each-event' | 'each-batch'
  /** Called with everything that happens. What it throws is reported to the console and changes nothing. */
  readonly onReport?: (report: ProjectionReport) => void
  /** Time and chance, for tests: see `virtualClock` of `tidemark/testing`. @default this context's clock */
  readonly clock?: Clock
}

/** A configuration with every default in place. */
export interface Settings {
  readonly mode: 'batch' | 'continuous'
  readonly leadership: 'try' | 'wait'
  readonly interval: number
  readonly emptyBackoff: number
  readonly failureBackoff: number
  readonly maxFailures: number
  readonly retry: RetryPolicy
  readonly batchEvents: number
  readonly batchBytes: number
  /** At least, and at most where commits are slow. */
  readonly batchTime: readonly [least: number, most: number]
  readonly budgetTime: number
  readonly budgetEvents: number
  readonly clock: Clock
}

/** By the part of the configuration that they stand in. */
const names: Readonly<Record<string, readonly string[]>> = {
  poll: ['interval', 'emptyBackoff', 'failureBackoff', 'maxConsecutiveFailures'],
  batch: ['maxEvents', 'maxBytes', 'maxTime'],
  budget: ['maxTime', 'maxEvents'],
}
const configNames = [
  ...Object.keys(names),
  'retry',
  'context',
  'mode',
  'signal',
  'leadership',
  'checkpoint',
  'onReport',
  'clock',
]

/** @throws InvalidArgumentError for a value outside its range, and for an option that there is none of */
export function settle(config: ProjectionOptions<never>, defaultMode: 'batch' | 'continuous'): Settings {
  if (typeof config !== 'object' || config === null)
    throw new InvalidArgumentError('config', say`must be an object such as { mode: 'continuous' }.`)
  onlyKnown(config, configNames, 'config')
  for (const [part, known] of Object.entries(names)) onlyKnown(config[part as keyof typeof config], known, part)
  assertSignal(config.signal)
  if (config.onReport !== undefined && typeof config.onReport !== 'function')
    throw new InvalidArgumentError('onReport', say`must be a function.`)
  if (config.clock !== undefined && typeof config.clock?.monotonic !== 'function')
    throw new InvalidArgumentError('clock', say`must be a Clock.`)
  const number = (name: string, value: number | undefined, fallback: number, least: number, whole = false) => {
    if (value === undefined) return fallback
    if (
      typeof value !== 'number' ||
      !(value >= least) ||
      (whole && value !== Infinity && !Number.isSafeInteger(value))
    ) {
      throw new InvalidArgumentError(
        name,
        say`must be ${whole ? say`a whole number` : say`a number`} of at least ${least}.`,
      )
    }
    return value
  }
  const choice = <T extends string>(name: string, value: T | undefined, fallback: T, choices: readonly T[]): T => {
    if (value !== undefined && !choices.includes(value))
      throw new InvalidArgumentError(name, say`must be one of '${choices.join("', '")}'.`)
    return value ?? fallback
  }
  const { poll = {}, batch = {}, budget = {} } = config
  choice('checkpoint', config.checkpoint, 'each-batch', ['each-event', 'each-batch'])
  const mode = choice('mode', config.mode, defaultMode, ['batch', 'continuous'])
  return {
    mode,
    leadership: choice('leadership', config.leadership, mode === 'batch' ? 'try' : 'wait', ['try', 'wait']),
    interval: number('poll.interval', poll.interval, 0, 0),
    emptyBackoff: number('poll.emptyBackoff', poll.emptyBackoff, 50, 1),
    failureBackoff: number('poll.failureBackoff', poll.failureBackoff, 100, 0),
    maxFailures: number(
      'poll.maxConsecutiveFailures',
      poll.maxConsecutiveFailures,
      mode === 'batch' ? 5 : Infinity,
      1,
      true,
    ),
    retry: retryPolicy(config.retry, projectionRetry),
    batchEvents: number('batch.maxEvents', batch.maxEvents, 100_000, 1, true),
    batchBytes: number('batch.maxBytes', batch.maxBytes, 64 * 1024 * 1024, 1, true),
    batchTime: [number('batch.maxTime', batch.maxTime, 300, 0), batch.maxTime ?? 3000],
    budgetTime: number('budget.maxTime', budget.maxTime, Infinity, 0),
    budgetEvents: number('budget.maxEvents', budget.maxEvents, Infinity, 1, true),
    clock: config.clock ?? systemClock,
  }
}
