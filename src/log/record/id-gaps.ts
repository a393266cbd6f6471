/** Gaps between the UUIDv7 of the log: a given id in one of them need not be looked up. */
import { isUuidV7 } from '../../events/identifier.js'
import { otherIds } from './record.js'
import type { EventText } from './record-text.js'

/** Between two ids, without them. */
export interface IdGap {
  readonly after: string
  readonly before: string
}

/**
 * How many are kept: before and behind what a clock that was ahead has made, for several such clocks. The widest, since
 * new ids fall into those, and what is between two ids of one moment is not worth a place.
 */
const mostGaps = 4

export class IdGaps {
  #gaps: { after: string; before: string }[]

  constructor(gaps: readonly IdGap[]) {
    this.#gaps = widest(gaps.map((gap) => ({ ...gap })))
  }

  /** Whether the id is known not to be in the log. */
  isNew(id: string): boolean {
    for (const { after, before } of this.#gaps) if (id > after && id < before) return isUuidV7(id)
    return false
  }

  /** What both know, of the same log. */
  with(other: IdGaps | undefined): IdGaps {
    return other === undefined ? this : new IdGaps([...this.#gaps, ...other.#gaps])
  }

  /** These were stored. */
  stored(events: readonly EventText[]): void {
    const more: IdGap[] = []
    for (const gap of this.#gaps) {
      const { after, before } = gap
      let first = before
      let last = after
      for (const { id, idGiven } of events) {
        if (id <= after || id >= before || (idGiven && !isUuidV7(id))) continue
        if (id < first) first = id
        if (id > last) last = id
      }
      if (last === after) continue
      // Mostly they follow what was stored before, and what is between is not worth a place. Each append comes here.
      if (minuteOf(last) === minuteOf(before)) gap.before = first
      else {
        if (minuteOf(first) !== minuteOf(after)) more.push({ after, before: first })
        gap.after = last
      }
    }
    if (more.length > 0) this.#gaps = widest([...this.#gaps, ...more])
  }
}

/** The same for ids of the same 2 ** 16 ms. */
const minuteOf = (id: string): string => id.slice(0, 8)

function widest<G extends IdGap>(gaps: readonly G[]): G[] {
  return [...gaps].sort((left, right) => widthOf(right) - widthOf(left)).slice(0, mostGaps)
}

/** In ms. */
const widthOf = ({ after, before }: IdGap): number => timeOf(before) - timeOf(after)

function timeOf(id: string): number {
  return id === otherIds ? 2 ** 48 : Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16) || 0
}
