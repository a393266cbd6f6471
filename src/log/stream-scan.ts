/**
 * What reading one stream has found so far. Takes its records in order, and counts its versions; reads nothing itself.
 */
import { describe } from '../errors.js'
import { say } from '../messages.js'
import { Findings } from './findings.js'
import type { StoredEvent } from './record/record-text.js'
import { assertPlaced, decodeRecord, editedError, type CommitRecord } from './record/record.js'

export class StreamScan extends Findings {
  readonly stream: string
  /** Versions up to here were looked at. */
  after: number
  /** How many more events are wanted. */
  left: number
  /** The version that comes next. */
  #next: number

  constructor(stream: string, after: number, limit: number) {
    super()
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
    if (problem !== undefined) {
      // Which of them are in the stream is not known, and none of them can be read.
      this.add(events[0] as StoredEvent, problem)
      this.left = 0
      return undefined
    }
    for (const event of events) {
      if (this.left === 0 || event.stream !== stream || event.version <= after) continue
      if (event.version !== this.#next) return this.#outOfOrder(event)
      this.#next += 1
      this.left -= 1
      this.add(event, undefined)
    }
    // What was edited may be anything.
    const [, last] = record.heads.find((head: CommitRecord['heads'][number] | null) => head?.[0] === stream) ?? []
    if (last === undefined) return undefined
    if (!Number.isSafeInteger(last))
      return editedError(record.at, say`A record says that stream '${stream}' is at version ${describe(last)}`)
    this.after = Math.max(this.after, last)
    return undefined
  }

  get isDone(): boolean {
    return this.left === 0
  }

  /** A stream may end anywhere. */
  ended(): undefined {}

  #outOfOrder({ position, version }: StoredEvent): Error {
    return editedError(
      position,
      say`Stream '${this.stream}' has version ${describe(version)} at position ${position}, where ${this.#next} comes next`,
    )
  }
}
