/** What reading backwards has found so far. Takes records from the last one on; reads nothing itself. */
import { describe } from '../errors.js'
import { say } from '../messages.js'
import type { ReadAllOptions, ReadStreamOptions } from './event-store.js'
import { compileFilter, type CompiledFilter } from './filter.js'
import type { FoundEvents } from './pages.js'
import type { StoredEvent } from './record/record-text.js'
import { assertPlaced, decodeRecord, editedError, endOf, holeError, type CommitRecord } from './record/record.js'

/** How many events a request looks for at most, at first and later. A caller that stops early has not paid for much. */
const wanted = [1024, 4096] as const

/** A scan of the log, or of one stream. */
export abstract class BackwardScan {
  /** In a log positions, in a stream versions: only what is after this is wanted, … */
  readonly after: number
  /** … and before this, which moves down with what was looked at. */
  before: number
  /** How many more events are wanted. */
  left: number
  /** Whether a record was taken: until then it is not known whether `before` is within the log, or the stream. */
  begun = false
  #found: StoredEvent[] = []
  #broken = new Map<number, string>()

  constructor({ after = 0, before = Infinity, limit = Infinity }: ReadStreamOptions) {
    this.after = after
    this.before = before
    this.left = limit
  }

  get isDone(): boolean {
    return this.left === 0 || this.before <= this.after + 1
  }

  /** How many events the next request should look at. */
  get wanted(): number {
    return Math.min(this.left / this.share, this.before - 1 - this.after, wanted[this.begun ? 1 : 0])
  }

  /** The share of the events looked at that are wanted: never 0. */
  abstract get share(): number

  /** Takes what a record holds. Returns the error of what was edited or is missing, with which the reading ends. */
  abstract takeRecord(record: CommitRecord): Error | undefined

  /** Nothing comes before what was taken. Returns the error of what is missing. */
  abstract ended(): Error | undefined

  /** Hands over what was found since the last call. */
  take(): FoundEvents {
    const taken = { found: this.#found, broken: this.#broken }
    this.#found = []
    this.#broken = new Map()
    return taken
  }

  protected found(event: StoredEvent, problem?: string): void {
    if (problem !== undefined) this.#broken.set(event.position, problem)
    this.#found.push(event)
    this.left -= 1
  }
}

export class LogBackwards extends BackwardScan {
  readonly #filter: CompiledFilter
  /** The record that comes next is the last one of the log: `before` may be beyond it. */
  isLast: boolean
  #scanned = 0
  #matched = 0

  constructor(options: ReadAllOptions) {
    super(options)
    this.#filter = compileFilter(options.filter ?? {})
    this.isLast = this.before === Infinity
  }

  get share(): number {
    return this.#scanned === 0 ? 1 : Math.max(this.#matched, 1) / this.#scanned
  }

  takeEvent(event: StoredEvent, problem?: string): void {
    this.before = event.position
    this.#scanned += 1
    // Whether the filter matches what cannot be decoded is not known.
    if (problem === undefined && !this.#filter.all && !this.#filter.matches(event)) return
    this.#matched += 1
    this.found(event, problem)
  }

  takeRecord(record: CommitRecord): Error | undefined {
    assertPlaced(record)
    this.begun = true
    const next = endOf(record) + 1
    if (this.isLast) this.before = Math.min(this.before, next)
    this.isLast = false
    if (next < this.before) return holeError(next, this.before - 1)
    const { events, problem } = decodeRecord(record)
    for (const event of events.reverse()) {
      if (event.position >= this.before) continue
      if (this.isDone) break
      this.takeEvent(event, problem)
    }
    return undefined
  }

  ended(): Error | undefined {
    return this.begun ? holeError(1, this.before - 1) : undefined
  }
}

export class StreamBackwards extends BackwardScan {
  readonly stream: string
  /** Of the event that was taken last. */
  #position = 0

  constructor(stream: string, options: ReadStreamOptions) {
    super(options)
    this.stream = stream
  }

  get share(): number {
    return 1
  }

  takeRecord(record: CommitRecord): Error | undefined {
    assertPlaced(record)
    const { stream } = this
    const { events, problem } = decodeRecord(record)
    if (problem !== undefined) {
      // Which of them are in the stream is not known, and none of them can be read.
      this.found(events.at(-1) as StoredEvent, problem)
      return undefined
    }
    // What was edited may be anything.
    const [, last] = record.heads.find((head: CommitRecord['heads'][number] | null) => head?.[0] === stream) ?? []
    if (!Number.isSafeInteger(last))
      return editedError(record.at, say`A record says that stream '${stream}' is at version ${describe(last)}`)
    if (!this.begun) this.before = Math.min(this.before, (last as number) + 1)
    this.begun = true
    const { before } = this
    for (const event of events.reverse()) {
      if (event.stream !== stream || event.version >= before) continue
      if (this.isDone) break
      if (event.version !== this.before - 1)
        return this.#missing(event.position, say`version ${describe(event.version)}`)
      this.before = event.version
      this.#position = event.position
      this.found(event)
    }
    return this.before < before || this.isDone ? undefined : this.#missing(record.at, say`nothing`)
  }

  ended(): Error | undefined {
    return this.begun ? this.#missing(this.#position, say`nothing more`) : undefined
  }

  #missing(position: number, there: string): Error {
    return editedError(
      position,
      say`Stream '${this.stream}' has ${there} at position ${position}, where version ${this.before - 1} is expected`,
    )
  }
}
