/** How often a database is opened that does not open: again at once, then now and then, never in a storm (H21, H22, H28). */
import { StorageDamagedError, TidemarkError } from '../errors.js'
import { sleep, type Clock } from './clock.js'

/** One operation tries so often, each time with a fresh request: a repeated answer of an old one heals nothing (H21). */
const triesAtOnce = 3
/** Before the second try, in ms; four times as long before the third. Halved or doubled by chance, so that tabs do not try in step. */
const firstPause = 50
/** So many tries may fail one after the other, whoever asks for them … */
const mostTries = 9
/** … and one more after so many ms: in ten minutes 29 at most. */
const tryAgainEvery = 30_000
/** An act of the app is a try of its own, ms after the one before: a loop of appends must not be a storm either. */
const urgentEvery = 250

/** Failures that were seen to pass: a lost server process, a busy backing store, a full disk, an upgrade under way (H21, H22, H29, H43). */
const passing: ReadonlySet<string> = new Set(['UnknownError', 'InvalidStateError', 'AbortError', 'QuotaExceededError'])

function mayPass(error: unknown): boolean {
  if (error instanceof StorageDamagedError) return true
  return error instanceof TidemarkError && passing.has((error.cause as { name?: string } | undefined)?.name ?? '')
}

/** Who asks. */
export interface OpenOptions {
  /** One try at once, however many failed before, but no more than four a second: the app itself asks for it. */
  readonly urgent?: boolean
  /** One try at most: who asks has pauses of its own, and two that multiply are too long. */
  readonly single?: boolean
}

export class OpeningTries {
  readonly #clock: Clock
  #left = mostTries
  /** Since when `left` counts. */
  #since: number
  #lastFailure: unknown
  #urgent = false
  #urgentAt = -Infinity
  #pause: AbortController | undefined

  constructor(clock: Clock) {
    this.#clock = clock
    this.#since = clock.monotonic()
  }

  /** The answer of one of the tries, or the failure of the last one: at once, if there were too many. */
  async run<T>(attempt: () => Promise<T>, { single = false }: OpenOptions = {}): Promise<T> {
    for (let tried = 1, pause = firstPause; ; tried += 1, pause *= 4) {
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
      await sleep(this.#clock, pause * 2 ** (2 * this.#clock.random() - 1), this.#pause.signal)
      this.#pause = undefined
    }
  }

  /** The next try is made at once, also where one waits for its pause to end; unless this was asked for a moment ago. */
  tryNow(): void {
    const now = this.#clock.monotonic()
    if (now - this.#urgentAt < urgentEvery || (this.#pause === undefined && this.#mayTry())) return
    this.#urgentAt = now
    this.#urgent = true
    this.#pause?.abort()
  }

  /** The last failure, where no try is made now. */
  refusal(): unknown {
    return this.#mayTry() || this.#urgent ? undefined : this.#lastFailure
  }

  /** Also for what was opened and turned out to be dead. */
  failed(error: unknown): void {
    this.#lastFailure = error
    this.#left = Math.max(0, this.#left - 1)
  }

  /** What was opened works: what failed before is over. */
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
