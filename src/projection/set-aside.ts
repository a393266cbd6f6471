/** Events that are not applied like others: left out by hand, or parked because their stream is blocked. Pure. */
import type { RecordedEvent } from '../events/event.js'
import { isForNewerBuilds, type ProjectionState } from './target.js'

export class SetAside {
  /** Streams whose events are parked without being tried. */
  #blocked = new Set<string>()
  /** Events that were left out by hand, which a rebuild leaves out as well. */
  #skipped: ReadonlySet<number> = new Set()
  /** Events that were left out by hand in earlier versions: left out here if they fail. */
  #carried: ReadonlySet<number> = new Set()

  /** The state was loaded. */
  begin({ skipped, carried }: Pick<ProjectionState, 'skipped' | 'carried'>, blocked?: ReadonlySet<string>): void {
    this.#blocked = new Set(blocked)
    this.#skipped = new Set(skipped)
    this.#carried = new Set(carried)
  }

  /** Why an event is not applied; nothing if it is. */
  reason({ position, stream }: RecordedEvent): 'skipped' | 'blocked' | undefined {
    return this.#skipped.has(position) ? 'skipped' : this.#blocked.has(stream) ? 'blocked' : undefined
  }

  /** Later events of this stream wait behind one that was parked. */
  block(stream: string): void {
    this.#blocked.add(stream)
  }

  /**
   * An event that failed is left out without asking: that was decided in an earlier version. Not where a newer build
   * can apply it.
   */
  leavesOut(position: number, error: unknown): boolean {
    return this.#carried.has(position) && !isForNewerBuilds(error)
  }

  /**
   * Where a run of events that are applied one after the other ends; it begins at `from`. `broken`: positions that
   * cannot be read.
   */
  runFrom(events: readonly RecordedEvent[], from: number, count: number, broken: ReadonlyMap<number, unknown>): number {
    if (this.#blocked.size + this.#skipped.size + broken.size === 0) return count
    let to = from
    while (to < count) {
      const event = events[to] as RecordedEvent
      if (broken.has(event.position) || this.reason(event) !== undefined) break
      to += 1
    }
    return to
  }
}
