/** How fast a projection moves, and for how long it has not moved. */
import type { Clock } from '../platform/clock.js'

/** The rate is measured over about this time, ms. */
const rateSpan = 3_000

/** The positions of one projection over time, as this context learns of them. */
export class Progress {
  readonly #clock: Clock
  /** The last move that is known. What happened before the first look is not known. */
  #moved: { readonly at: number; readonly position: number }
  #measured: { readonly at: number; readonly position: number }
  /** Since when it is known to be behind. */
  #behindSince: number | undefined

  constructor(clock: Clock) {
    this.#clock = clock
    this.#moved = this.#measured = { at: clock.monotonic(), position: -1 }
  }

  /** Notes a position. Returns the rate in events per second, or `undefined` while there is too little to measure. */
  movedTo(position: number): number | undefined {
    const now = this.#clock.monotonic()
    if (position !== this.#moved.position) this.#moved = { at: now, position }
    const { at, position: from } = this.#measured
    if (from < 0 || position < from || now - at > rateSpan) this.#measured = { at: now, position }
    const seconds = (now - this.#measured.at) / 1000
    return seconds < 0.05 ? undefined : Math.round((position - this.#measured.position) / seconds)
  }

  /** Notes whether there is anything to do: a projection at the head is not one that does not move. */
  isBehind(behind: boolean): void {
    this.#behindSince = behind ? (this.#behindSince ?? this.#clock.monotonic()) : undefined
  }

  /** ms since the position last changed, or since it is known to be behind if that is later. */
  get stillFor(): number {
    const now = this.#clock.monotonic()
    return now - Math.max(this.#moved.at, this.#behindSince ?? now)
  }

  /** The time until now does not count: nothing could move. */
  excuse(): void {
    this.#moved = { ...this.#moved, at: this.#clock.monotonic() }
  }
}
