/**
 * Records that were read before their turn. They are not decoded before it: a text is cheap to keep, its events are
 * not.
 */
import { Slices } from '../platform/slices.js'
import { endOf, type CommitRecord } from './record/record.js'

/** What one who reads page after page keeps between pages. */
export class RecordsAhead {
  readonly slices: Slices
  /** In reverse: the next one is the last. */
  #records: CommitRecord[] = []
  #coming: Promise<readonly CommitRecord[]> | undefined
  /** What is here reaches to this position. */
  #through = 0
  /** The head of the log when the first of them was read. */
  end = 0

  constructor(slices = new Slices()) {
    this.slices = slices
  }

  /** Whether a page behind this position begins with what is here, or comes next. */
  follows(position: number): boolean {
    const { next } = this
    return (
      position < this.end &&
      (next === undefined ? position === this.#through : next.at <= position + 1 && position < endOf(next))
    )
  }

  /** The record whose turn it is stays until it is done. */
  get next(): CommitRecord | undefined {
    return this.#records.at(-1)
  }

  get through(): number {
    return this.#through
  }

  get isComing(): boolean {
    return this.#coming !== undefined
  }

  done(): void {
    this.#records.pop()
  }

  /** None may be left. */
  arrived(records: readonly CommitRecord[]): void {
    this.#records = [...records].reverse()
    this.#through = endOf(records.at(-1))
  }

  ask(answer: Promise<readonly CommitRecord[]>): void {
    // Its failure reaches `receive`, which may never be called.
    answer.catch(() => {})
    this.#coming = answer
  }

  /** Those that were asked for. */
  async receive(): Promise<readonly CommitRecord[]> {
    const coming = this.#coming as Promise<readonly CommitRecord[]>
    this.#coming = undefined
    const records = await coming
    this.slices.began()
    return records
  }

  forget(): void {
    this.#records = []
    this.#coming = undefined
    this.#through = this.end = 0
  }
}
