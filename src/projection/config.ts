/** The options of a run, and their defaults. */
import { InvalidArgumentError } from '../errors.js'
import { say } from '../messages.js'
import { assertSignal, onlyKnown } from '../platform/arguments.js'
import { projectionRetry, retryPolicy, type RetryOptions, type RetryPolicy } from '../platform/backoff.js'
import { systemClock, type Clock } from '../platform/clock.js'
import type { ProjectionReport } from './report.js'
import { isObject } from '../platform/objects.js'

/** How a projection is run. Times are in ms. */
export interface ProjectionOptions {
  /**
   * `'batch'` ends at the head seen at its start; `'continuous'` when `signal` aborts.
   * @default 'batch' ('continuous' for `startProjection`)
   */
  readonly mode?: 'batch' | 'continuous'
  /** Stops the run at the next safe point; what was applied is stored first. */
  readonly signal?: AbortSignal | undefined
  /**
   * What to do while another context leads. A batch that waits ends as soon as the head as of the call is covered.
   * @default 'try' in batch mode (`AlreadyRunningError` if held), 'wait' in continuous mode
   */
  readonly leadership?: 'try' | 'wait'
  readonly poll?: {
    /** Pause after a page that had events, ms; no pause while catching up. @default 0 */
    readonly interval?: number
    /** First pause when there is nothing to do, ms; doubles up to 5 s, and an append ends it early. @default 50 */
    readonly emptyBackoff?: number
    /** First pause after a failed read or commit, ms; doubles up to 30 s. @default 100 */
    readonly failureBackoff?: number
    /**
     * Failures in a row that are tolerated; the next one ends the run.
     * @default 5 in batch mode, no limit in continuous mode
     */
    readonly maxConsecutiveFailures?: number
  }
  /**
   * Retries of an event that failed.
   * @default { maxRetries: 3, delay: 100, multiplier: 2, maxDelay: 5000, jitter: 0.1 }
   */
  readonly retry?: RetryOptions
  /** While catching up, commit as soon as one of these limits is reached; when caught up, commit immediately. */
  readonly batch?: {
    /** Events applied. @default 100000 */
    readonly maxEvents?: number
    /** Characters of JSON of the events that were read, counted page by page. @default 67108864 */
    readonly maxCharacters?: number
    /** ms since the last commit. @default 300, or nine times what the last commit took if that is more, up to 3000 */
    readonly maxTime?: number
  }
  /**
   * Of the whole run, for service workers and idle callbacks: waiting for another context counts. A run that leads
   * applies at least one event. @default none
   */
  readonly budget?: {
    /** ms */
    readonly maxTime?: number
    readonly maxEvents?: number
  }
  /**
   * Called with everything that happens. An error that it throws is reported to the console and changes nothing.
   * @default none
   */
  readonly onReport?: (report: ProjectionReport) => void
  /** Time and randomness, for tests: see `virtualClock` of `tidemark/testing`. @default this context's clock */
  readonly clock?: Clock
}

/**
 * How a plain projector is run. A read model has neither option: its handlers get the tables, and its checkpoint is
 * stored with the rows.
 */
export interface ProjectorOptions<C = unknown> extends ProjectionOptions {
  /** Passed to every `apply`; a function is called once per run. @default undefined */
  readonly context?: C | (() => C)
  /** When the checkpoint is saved. @default 'each-batch' */
  readonly checkpoint?: 'each-event' | 'each-batch'
}

/** Options that are checked, with every default in place. */
export interface Settings {
  readonly mode: 'batch' | 'continuous'
  readonly leadership: 'try' | 'wait'
  readonly interval: number
  readonly emptyBackoff: number
  readonly failureBackoff: number
  readonly maxFailures: number
  readonly retry: RetryPolicy
  readonly batchEvents: number
  readonly batchCharacters: number
  /** At least, and at most where commits are slow. */
  readonly batchTime: readonly [least: number, most: number]
  readonly budgetTime: number
  readonly budgetEvents: number
  readonly clock: Clock
}

/** What a number must be. */
interface Bounds {
  readonly least: 0 | 1
  readonly whole?: boolean
}

const fromZero: Bounds = { least: 0 }
const count: Bounds = { least: 1, whole: true }

/** The options of each group: all of them are numbers. */
const numbers: Readonly<Record<string, Readonly<Record<string, Bounds>>>> = {
  poll: { interval: fromZero, emptyBackoff: { least: 1 }, failureBackoff: fromZero, maxConsecutiveFailures: count },
  batch: { maxEvents: count, maxCharacters: count, maxTime: fromZero },
  budget: { maxTime: fromZero, maxEvents: count },
}
const optionNames = [...Object.keys(numbers), 'retry', 'mode', 'signal', 'leadership', 'onReport', 'clock']

/**
 * @param isPlain whether the options of plain projectors are known as well
 * @throws InvalidArgumentError for a value outside its range, and for an unknown option
 */
export function settle(
  options: ProjectionOptions & Pick<ProjectorOptions, 'checkpoint'>,
  defaultMode: 'batch' | 'continuous',
  isPlain = true,
): Settings {
  if (!isObject(options))
    throw new InvalidArgumentError('options', say`must be an object such as { mode: 'continuous' }.`)
  onlyKnown(options, isPlain ? [...optionNames, 'context', 'checkpoint'] : optionNames)
  for (const [part, known] of Object.entries(numbers)) {
    const given = options[part as keyof ProjectionOptions] as Readonly<Record<string, unknown>> | undefined
    onlyKnown(given, Object.keys(known), part)
    for (const [name, bounds] of Object.entries(known)) assertNumber(`${part}.${name}`, given?.[name], bounds)
  }
  assertSignal(options.signal)
  if (options.onReport !== undefined && typeof options.onReport !== 'function')
    throw new InvalidArgumentError('onReport', say`must be a function.`)
  if (options.clock !== undefined && typeof options.clock?.monotonic !== 'function')
    throw new InvalidArgumentError('clock', say`must be a Clock.`)
  const choice = <T extends string>(name: string, value: T | undefined, fallback: T, choices: readonly T[]): T => {
    if (value !== undefined && !choices.includes(value))
      throw new InvalidArgumentError(name, say`must be one of '${choices.join("', '")}'.`)
    return value ?? fallback
  }
  const { poll = {}, batch = {}, budget = {} } = options
  choice('checkpoint', options.checkpoint, 'each-batch', ['each-event', 'each-batch'])
  const mode = choice('mode', options.mode, defaultMode, ['batch', 'continuous'])
  return {
    mode,
    leadership: choice('leadership', options.leadership, mode === 'batch' ? 'try' : 'wait', ['try', 'wait']),
    interval: poll.interval ?? 0,
    emptyBackoff: poll.emptyBackoff ?? 50,
    failureBackoff: poll.failureBackoff ?? 100,
    maxFailures: poll.maxConsecutiveFailures ?? (mode === 'batch' ? 5 : Infinity),
    retry: retryPolicy(options.retry, projectionRetry),
    batchEvents: batch.maxEvents ?? 100_000,
    batchCharacters: batch.maxCharacters ?? 64 * 1024 * 1024,
    batchTime: [batch.maxTime ?? 300, batch.maxTime ?? 3000],
    budgetTime: budget.maxTime ?? Infinity,
    budgetEvents: budget.maxEvents ?? Infinity,
    clock: options.clock ?? systemClock,
  }
}

function assertNumber(name: string, value: unknown, { least, whole = false }: Bounds): void {
  if (value === undefined) return
  if (typeof value !== 'number' || !(value >= least) || (whole && value !== Infinity && !Number.isSafeInteger(value)))
    throw new InvalidArgumentError(
      name,
      say`must be ${whole ? say`a whole number` : say`a number`} of at least ${least}.`,
    )
}
