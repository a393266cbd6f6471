/** What reading backwards has found so far. Takes records from the last one on; reads nothing itself. */
import { describe } from '../errors.js'
import { say } from '../messages.js'
import type { ReadAllOptions } from './event-store.js'
import { compileFilter, type CompiledFilter } from './filter.js'
import { Findings } from './findings.js'
import type { StoredEvent } from './record/record-text.js'
import {
  assertPlaced,
  decodeRecord,
  editedError,
  endOf,
  holeError,
  type CommitRecord,
  type RecordProblem,
} from './record/record.js'

/** How many events a request looks for at most, at first and later. A caller that stops early has not paid for much. */
const most = [1024, 4096] as const

/** Of the log, or of one stream: places are positions, or versions. */
export class BackwardScan extends Findings {
  readonly stream: string | undefined
  readonly #filter: CompiledFilter
  /** Only what is after this place is wanted, … */
  readonly after: number
  /** … and before this one, which moves down with what was looked at. */
  before: number
  /** How many more events are wanted. */
  #left: number
  /** Whether a record was taken: until then `before` may be behind the end. */
  begun = false
  #scanned = 0
  #matched = 0
  /** Of the event that was taken last. */
  #position = 0

  constructor({ after = 0, before = Infinity, limit = Infinity, filter = {} }: ReadAllOptions, stream?: string) {
    super()
    this.stream = stream
    this.after = after
    this.before = before
    this.#left = limit
    this.#filter = compileFilter(filter)
  }

  get isDone(): boolean {
    return this.#left === 0 || this.before <= this.after + 1
  }

  /** How many events the next request should look at; by the share that was wanted so far. */
  get wanted(): number {
    const share = this.#scanned === 0 ? 1 : Math.max(this.#matched, 1) / this.#scanned
    return Math.min(this.#left / share, this.before - 1 - this.after, most[this.begun ? 1 : 0])
  }

  takeEvent(event: StoredEvent, problem?: RecordProblem): void {
    this.before = this.#placeOf(event)
    this.#position = event.position
    this.#scanned += 1
    // Whether the filter matches what cannot be decoded is not known.
    if (problem === undefined && !this.#filter.matches(event)) return
    this.#matched += 1
    this.#left -= 1
    this.add(event, problem)
  }

  /** Takes what a record holds. Returns the error of what was edited or is missing, with which the reading ends. */
  takeRecord(record: CommitRecord): Error | undefined {
    assertPlaced(record)
    const { stream } = this
    const { events, problem } = decodeRecord(record)
    if (stream !== undefined && problem !== undefined) {
      // Which of them are in the stream is not known, and none of them can be read.
      this.takeEvent(events.at(-1) as StoredEvent, problem)
      return undefined
    }
    // What was edited may be anything.
    const end: unknown =
      stream === undefined
        ? endOf(record)
        : record.heads.find((head: CommitRecord['heads'][number] | null) => head?.[0] === stream)?.[1]
    if (!Number.isSafeInteger(end))
      return editedError(record.at, say`A record says that stream '${stream}' is at version ${describe(end)}`)
    if (!this.begun) this.before = Math.min(this.before, (end as number) + 1)
    this.begun = true
    const { before } = this
    for (const event of events.reverse()) {
      const place = this.#placeOf(event)
      if (place >= before || (stream !== undefined && event.stream !== stream)) continue
      if (this.isDone) break
      if (place !== this.before - 1) return this.#missing(event.position)
      this.takeEvent(event, problem)
    }
    // A record of a stream was asked for because it says that it holds a version.
    return stream === undefined || this.before < before || this.isDone ? undefined : this.#missing(record.at)
  }

  /** Nothing comes before what was taken. Returns the error of what is missing. */
  ended(): Error | undefined {
    return this.begun ? this.#missing(this.stream === undefined ? 0 : this.#position) : undefined
  }

  #placeOf({ position, version }: StoredEvent): number {
    return this.stream === undefined ? position : version
  }

  /** @param position of what is there instead */
  #missing(position: number): Error {
    const { stream, before } = this
    return stream === undefined
      ? holeError(position + 1, before - 1)
      : editedError(
          position,
          say`Stream '${stream}' lacks version ${before - 1}, which position ${position} should hold`,
        )
  }
}
