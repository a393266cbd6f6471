/** Something that is opened at its first use, and again after a failure. */
import { pauseBefore } from '../platform/backoff.js'
import type { Clock } from '../platform/clock.js'

/** Between tries while something is subscribed, ms. */
const pauses = { delay: 1_000, maxDelay: 30_000 }

/** What {@link Attempts} opens, and what it notifies. */
export interface Attempted<T> {
  readonly clock: Clock
  open(): Promise<T>
  /** Something is subscribed, so that failures are tried again without a call. */
  isWanted(): boolean
  /** Whether the same try may succeed later. */
  mayPass(error: unknown): boolean
  changed(): void
  /** No promise that an app has carries this error. */
  unheard(error: unknown): void
}

export class Attempts<T extends object> {
  readonly #of: Attempted<T>
  #underWay: Promise<T> | undefined
  #heard = false
  #told: string | undefined
  #failures = 0
  #cancel: (() => void) | undefined
  #ended = false
  value: T | undefined
  /** Of the last try, until one succeeds. */
  error: unknown

  constructor(of: Attempted<T>) {
    this.#of = of
  }

  get isUnderWay(): boolean {
    return this.#underWay !== undefined
  }

  /** A call of the app: what failed is tried again immediately. */
  use(): Promise<T> {
    if (this.value !== undefined) return Promise.resolve(this.value)
    const trying = this.#underWay ?? this.#try()
    this.#heard = true
    return trying
  }

  /** A subscription: does not disturb the pause after a failure, nor repeat what cannot succeed. */
  want(): void {
    const { value, error } = this
    if (value !== undefined || this.#underWay !== undefined || this.#cancel !== undefined || this.#ended) return
    if (error === undefined || this.#of.mayPass(error)) void this.#try()
  }

  /** No try follows any more. Resolves with what the last one opened, if it did. */
  end(): Promise<T | undefined> {
    this.#ended = true
    this.#cancel?.()
    return Promise.resolve(this.#underWay ?? this.value).catch(() => undefined)
  }

  #try(): Promise<T> {
    this.#cancel?.()
    this.#cancel = undefined
    this.#heard = false
    const trying = (this.#underWay = this.#of.open().then(
      (value) => {
        this.#settled()
        this.value = value
        this.error = this.#told = undefined
        this.#failures = 0
        this.#of.changed()
        return value
      },
      (error: unknown) => {
        this.#settled()
        this.#failed(error)
        throw error
      },
    ))
    trying.catch(() => {})
    this.#of.changed()
    return trying
  }

  #settled(): void {
    this.#underWay = undefined
  }

  #failed(error: unknown): void {
    const { clock, isWanted, mayPass, unheard, changed } = this.#of
    this.error = error
    // A failure that lasts is reported once.
    if (!this.#heard && !this.#ended && this.#told !== String(error)) {
      this.#told = String(error)
      unheard(error)
    }
    if (mayPass(error) && isWanted() && !this.#ended) {
      this.#cancel = clock.schedule(pauseBefore(this.#failures, pauses), () => {
        this.#cancel = undefined
        if (isWanted()) this.want()
      })
      this.#failures += 1
    }
    changed()
  }
}
