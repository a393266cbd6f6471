/** Time that leaves out what this process slept: it was stopped, its machine was paused, or it was held up as a whole. */
import type { Clock } from '../platform/clock.js'

/** How often it looks whether it has slept, and how late a timer is that was not only held up. In ms. */
const step = 5_000
const late = 1_000

/** Stops while a timer of {@link AwakeTime.schedule} is overdue: what the caller waits for could not arrive either. */
export class AwakeTime {
  readonly #clock: Clock
  #slept = 0
  /** When the next timer is due, by the clock. */
  #due = Infinity

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** In ms. After a sleep it may be asked before the timer fires that was due meanwhile. */
  now(): number {
    const now = this.#clock.monotonic()
    if (now - this.#due >= late) {
      this.#slept += now - this.#due
      this.#due = now
    }
    return now - this.#slept
  }

  /** Calls back once, after `ms` or 5 s, whichever is less. One at a time. Returns how to take that back. */
  schedule(ms: number, callback: () => void): () => void {
    const span = Math.max(0, Math.min(ms, step))
    this.#due = this.#clock.monotonic() + span
    const cancel = this.#clock.schedule(span, () => {
      this.now()
      this.#due = Infinity
      callback()
    })
    return () => {
      cancel()
      this.#due = Infinity
    }
  }
}
