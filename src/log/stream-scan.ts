/**
 * What reading one stream has found so far. Takes its records in order, and counts its versions; reads nothing itself.
 */
import { describe } from '../errors.js'
import { say } from '../messages.js'
import type { FoundEvents } from './pages.js'
import type { StoredEvent } from './record/record-text.js'
import { assertPlaced, decodeRecord, editedError, type CommitRecord } from './record/record.js'

export class StreamScan {
  readonly stream: string
  /** Versions up to here were looked at. */
  after: number
  /** How many more events are wanted. */
  left: number
  /** The version that comes next; not known behind an event that cannot be read. */
  #next: number | undefined
  #found: StoredEvent[] = []
  #broken = new Map<number, string>()

  constructor(stream: string, after: number, limit: number) {
    this.stream = stream
    this.after = after
    this.left = limit
    this.#next = after + 1
  }

  /**
   * Takes what a record holds of the stream. Returns the error of a record that was edited, with which the stream ends.
   */
  takeRecord(record: CommitRecord): Error | undefined {
    assertPlaced(record)
    const { stream, after } = this
    const { events, problem } = decodeRecord(record)
    const found = this.#found
    for (const event of events) {
      if (this.left === 0 || (problem === undefined && (event.stream !== stream || event.version <= after))) continue
      if (problem !== undefined) {
        this.#broken.set(event.position, problem)
        this.#next = undefined
      } else if (this.#next !== undefined) {
        if (event.version !== this.#next) return this.#outOfOrder(event, this.#next)
        this.#next += 1
      }
      found.push(event)
      this.left -= 1
    }
    // What was edited may be anything.
    const [, last] = record.heads.find((head: CommitRecord['heads'][number] | null) => head?.[0] === stream) ?? []
    if (last === undefined) return undefined
    if (!Number.isSafeInteger(last))
      return editedError(record.at, say`A record says that stream '${stream}' is at version ${describe(last)}`)
    this.after = Math.max(this.after, last)
    return undefined
  }

  #outOfOrder({ position, version }: StoredEvent, next: number): Error {
    return editedError(
      position,
      say`Stream '${this.stream}' has version ${describe(version)} at position ${position}, where ${next} comes next`,
    )
  }

  /** Hands over what was found since the last call. */
  take(): FoundEvents {
    const taken = { found: this.#found, broken: this.#broken }
    this.#found = []
    this.#broken = new Map()
    return taken
  }
}
