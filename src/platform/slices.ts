/** Work in slices of time, so that no task keeps the page from input and painting for long. */
import { systemClock } from './clock.js'
import { nextTask } from './tasks.js'

/** How long one may take, ms: on a processor four times slower an input still gets its answer within a frame. */
const length = 5

export class Slices {
  readonly #now: () => number
  #since: number

  constructor(now: () => number = systemClock.monotonic) {
    this.#now = now
    this.#since = now()
  }

  /** Something was waited for, so this is another task. */
  began(): void {
    this.#since = this.#now()
  }

  /** ms of this slice that are left; below zero when it is over. */
  left(): number {
    return length - (this.#now() - this.#since)
  }

  get isOver(): boolean {
    return this.left() <= 0
  }

  /** Half of it is for reading, and half for what is done with what was read. */
  get halfOver(): boolean {
    return this.left() <= length / 2
  }

  /** The page's turn, if this slice is over. */
  async turn(): Promise<void> {
    if (!this.isOver) return
    await nextTask()
    this.began()
  }
}
