/** How often to open a database that does not open: again after a short pause, later at intervals, never in a storm. */
import { StorageDamagedError, TidemarkError } from '../errors.js'
import { pauseBefore } from './backoff.js'
import { sleep, type Clock } from './clock.js'

/** One operation tries this often, each time with a new request, because the result of an old one never changes. */
const triesAtOnce = 3
/**
 * The pause before the second try, in ms, and the longer one before the third; random by half, so that tabs do not try
 * in step.
 */
const pauses = { delay: 50, maxDelay: 1_000, multiplier: 4, jitter: 0.5 }
/** This many tries in a row may fail, of all callers together … */
const mostTries = 9
/** … and one more after each of these spans, in ms: at most 29 in ten minutes. */
const tryAgainEvery = 30_000
/**
 * A call of the app is a try of its own, but not sooner than this after the one before, in ms: a loop of appends must
 * not make a storm.
 */
const urgentEvery = 250

/** Failures that were seen to pass: a lost server process, a busy backing store, a full disk, an upgrade under way. */
const passing: ReadonlySet<string> = new Set(['UnknownError', 'InvalidStateError', 'AbortError', 'QuotaExceededError'])

function mayPass(error: unknown): boolean {
  if (error instanceof StorageDamagedError) return true
  return error instanceof TidemarkError && passing.has((error.cause as { name?: string } | undefined)?.name ?? '')
}

/** Who asks for the database. */
export interface OpenOptions {
  /** The app itself asks: try immediately, however many tries failed before, but at most four times a second. */
  readonly urgent?: boolean
  /** At most one try: the caller pauses between its own tries, and the two would multiply. */
  readonly single?: boolean
}

export class OpeningTries {
  readonly #clock: Clock
  #left = mostTries
  /** When `#left` was last counted. */
  #since: number
  #lastFailure: unknown
  #urgent = false
  #urgentAt = -Infinity
  #pause: AbortController | undefined

  constructor(clock: Clock) {
    this.#clock = clock
    this.#since = clock.monotonic()
  }

  /** Resolves with the first try that works, or rejects with the last failure: immediately if there were too many. */
  async run<T>(attempt: () => Promise<T>, { single = false }: OpenOptions = {}): Promise<T> {
    for (let tried = 1; ; tried += 1) {
      const refusal = this.refusal()
      if (refusal !== undefined) throw refusal
      this.#urgent = false
      try {
        return await attempt()
      } catch (error) {
        this.failed(error)
        if (single || tried >= triesAtOnce || !mayPass(error)) throw error
      }
      this.#pause = new AbortController()
      await sleep(this.#clock, pauseBefore(tried - 1, pauses, this.#clock.random()), this.#pause.signal)
      this.#pause = undefined
    }
  }

  /** Makes the next try immediately, and ends a pause that a try waits in; unless this was asked for a moment ago. */
  tryNow(): void {
    const now = this.#clock.monotonic()
    if (now - this.#urgentAt < urgentEvery || (this.#pause === undefined && this.#mayTry())) return
    this.#urgentAt = now
    this.#urgent = true
    this.#pause?.abort()
  }

  /** The last failure, if no try may be made now. */
  refusal(): unknown {
    return this.#mayTry() || this.#urgent ? undefined : this.#lastFailure
  }

  /** A try failed, or a database that was open turned out to be dead. */
  failed(error: unknown): void {
    this.#lastFailure = error
    this.#left = Math.max(0, this.#left - 1)
  }

  /** The database works: earlier failures do not count any more. */
  worked(): void {
    this.#left = mostTries
  }

  #mayTry(): boolean {
    const now = this.#clock.monotonic()
    const regained = Math.floor((now - this.#since) / tryAgainEvery)
    this.#left = Math.min(mostTries, this.#left + regained)
    this.#since += regained * tryAgainEvery
    return this.#left > 0
  }
}
