/**
 * Records that were read before their turn. They are not decoded before it: a text is cheap to keep, its events are
 * not.
 */
import { Slices } from '../platform/slices.js'
import { endOf, type CommitRecord } from './record/record.js'

/** What one who reads page after page keeps between pages. */
export class RecordsAhead {
  readonly slices: Slices
  /** In reverse: the next one is the last. The one whose turn it is stays until it is done. */
  records: CommitRecord[] = []
  /** Those that were asked for. */
  coming: Promise<readonly CommitRecord[]> | undefined
  /** What is here reaches to this position. */
  through = 0
  /** The head of the log when the first of them was read. */
  end = 0

  constructor(slices = new Slices()) {
    this.slices = slices
  }

  /** Whether a page behind this position begins with what is here, or comes next. */
  follows(position: number): boolean {
    const next = this.records.at(-1)
    return (
      position < this.end &&
      (next === undefined ? position === this.through : next.at <= position + 1 && position < endOf(next))
    )
  }

  forget(): void {
    this.records = []
    this.coming = undefined
    this.through = this.end = 0
  }
}
