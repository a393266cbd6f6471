/** Where no UUIDv7 of the log stands, so that a given id there need not be looked up. */
import { isUuidV7 } from '../events/identifier.js'
import { otherIds } from './record.js'
import type { EventText } from './record-text.js'

/** Between two ids, without them. */
export interface IdGap {
  readonly after: string
  readonly before: string
}

/**
 * So many are kept: before and behind what a clock that was ahead has made, for several such clocks. The widest, since new ids fall into
 * those, and what is between two ids of one moment is not worth a place.
 */
const mostGaps = 4

export class IdGaps {
  #gaps: readonly IdGap[]

  constructor(gaps: readonly IdGap[]) {
    this.#gaps = widest(gaps)
  }

  /** Whether the id is known not to be in the log. */
  isNew(id: string): boolean {
    return this.#gaps.some(({ after, before }) => id > after && id < before) && isUuidV7(id)
  }

  /** What both know, of the same log. */
  with(other: IdGaps | undefined): IdGaps {
    return other === undefined ? this : new IdGaps([...this.#gaps, ...other.#gaps])
  }

  /** These were stored. */
  stored(events: readonly EventText[]): void {
    const spans = this.#gaps.map((gap) => ({ ...gap, first: gap.before, last: gap.after }))
    for (const { id, idGiven } of events) {
      for (const span of spans) {
        if (id <= span.after || id >= span.before || (idGiven && !isUuidV7(id))) continue
        if (id < span.first) span.first = id
        if (id > span.last) span.last = id
      }
    }
    this.#gaps = widest(spans.flatMap(({ after, before, first, last }) => (first > last ? [{ after, before }] : [{ after, before: first }, { after: last, before }])))
  }
}

function widest(gaps: readonly IdGap[]): readonly IdGap[] {
  return gaps.length <= 1 ? gaps : [...gaps].sort((left, right) => widthOf(right) - widthOf(left)).slice(0, mostGaps)
}

/** In ms. */
const widthOf = ({ after, before }: IdGap): number => timeOf(before) - timeOf(after)

function timeOf(id: string): number {
  return id === otherIds ? 2 ** 48 : Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16) || 0
}
