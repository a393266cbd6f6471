/** Events as a scan finds them. */
import type { FoundEvents } from './pages.js'
import type { StoredEvent } from './record/record-text.js'
import type { RecordProblem } from './record/record.js'

export class Findings implements FoundEvents {
  found: StoredEvent[] = []
  /** Why some of them cannot be read, by position. */
  broken = new Map<number, RecordProblem>()

  /** @param problem why it cannot be read */
  protected add(event: StoredEvent, problem: RecordProblem | undefined): void {
    if (problem !== undefined) this.broken.set(event.position, problem)
    this.found.push(event)
  }

  /** Hands over what was found since the last call. */
  take(): FoundEvents {
    const { found, broken } = this
    this.found = []
    this.broken = new Map()
    return { found, broken }
  }
}
