/**
 * What an instance remembers of the records that it read and appended last. Records never change, so it is true for
 * ever.
 */
import { RecentMap } from '../../platform/recent-map.js'
import { endOf, type CommitRecord } from '../record/record.js'

/** How many record boundaries are remembered, so that the next page needs no search for its first record. */
const maxBoundaries = 64
/**
 * How many own records are remembered for those in this context who follow them, and about how many characters of them.
 */
const maxTailRecords = 64
const maxTailCharacters = 256 * 1024

export class RecentRecords {
  #boundaries = new RecentMap<number, true>(maxBoundaries)
  /** The last records that this instance appended: one after the other, and no other writer's between them. */
  #tail: CommitRecord[] = []
  #tailCharacters = 0

  /** Whether a record is known to begin behind this position. */
  isBoundary(position: number): boolean {
    return position === 0 || this.#boundaries.has(position)
  }

  /** A record was read to its end. */
  sawEnd(record: CommitRecord): void {
    this.#boundaries.set(endOf(record), true)
  }

  /** This instance appended these. */
  appended(records: readonly CommitRecord[]): void {
    this.sawEnd(records.at(-1) as CommitRecord)
    if (endOf(this.#tail.at(-1)) + 1 !== records[0]?.at) this.forgetOwn()
    const tail = this.#tail
    for (const record of records) {
      tail.push(record)
      this.#tailCharacters += record.events.length
    }
    while (tail.length > maxTailRecords || this.#tailCharacters > maxTailCharacters)
      this.#tailCharacters -= (tail.shift() as CommitRecord).events.length
  }

  /** The own records that follow a position without a gap, up to the last one. */
  ownAfter(position: number): readonly CommitRecord[] {
    const own = this.#tail.filter((record) => endOf(record) > position)
    return own[0] !== undefined && own[0].at <= position + 1 ? own : []
  }

  /** The log reaches so far. */
  headMoved(head: number): void {
    if (endOf(this.#tail.at(-1)) < head) this.forgetOwn()
  }

  /** The log was lost, or taken back: other records are there. */
  forget(): void {
    this.#boundaries = new RecentMap(maxBoundaries)
    this.forgetOwn()
  }

  forgetOwn(): void {
    this.#tail = []
    this.#tailCharacters = 0
  }
}
