/** What one page of the log has found so far. Takes events and records in order of position; reads nothing itself. */
import { wholeNumber } from '../platform/arguments.js'
import type { PageRequest } from './event-store.js'
import { compileFilter, type CompiledFilter } from './filter.js'
import { Findings } from './findings.js'
import type { StoredEvent } from './record/record-text.js'
import {
  assertContiguous,
  decodeRecord,
  endOf,
  sizeOf,
  type CommitRecord,
  type RecordProblem,
} from './record/record.js'

/** How many events one call looks at, at most: so that a rare type cannot make it run for ever. */
export const maxScan = 32_768

/**
 * The scan that a request asks for.
 *
 * @throws InvalidArgumentError, and the reason of the signal
 */
export function scanFor({ filter = {}, after = 0, limit, signal }: PageRequest, before?: number): PageScan {
  const scan = new PageScan(compileFilter(filter), wholeNumber(after, 'after'), wholeNumber(limit, 'limit'), before)
  signal?.throwIfAborted()
  return scan
}

export class PageScan extends Findings {
  readonly #filter: CompiledFilter
  readonly after: number
  readonly limit: number
  /** Every event up to here was looked at. */
  scannedTo: number
  /** How many characters of JSON were looked at. */
  characters = 0
  readonly #before: number
  #lastWhole: CommitRecord | undefined

  constructor(filter: CompiledFilter, after: number, limit: number, before = Infinity) {
    super()
    this.#filter = filter
    this.#before = before
    this.after = this.scannedTo = after
    this.limit = limit
  }

  /** Whether the page ends here, whatever follows in the log. */
  get isFull(): boolean {
    const { found, limit, scannedTo, after } = this
    return found.length >= limit || scannedTo - after >= maxScan || scannedTo >= this.#before - 1
  }

  /** The record that ends where the page does, if one does. */
  get endsWith(): CommitRecord | undefined {
    return this.#lastWhole !== undefined && this.scannedTo === endOf(this.#lastWhole) ? this.#lastWhole : undefined
  }

  /** The share of the events looked at that the filter matched: 1 before the first one, and never 0. */
  get share(): number {
    const scanned = this.scannedTo - this.after
    return scanned === 0 ? 1 : Math.max(this.found.length / scanned, 1 / maxScan)
  }

  takeEvent(event: StoredEvent, problem?: RecordProblem): void {
    // Whether the filter matches what cannot be decoded is not known.
    if (problem !== undefined || this.#filter.matches(event)) this.add(event, problem)
    this.scannedTo = event.position
  }

  /**
   * Takes what the page needs of a record. Events that cannot be decoded are part of every page.
   *
   * @throws LogInconsistentError if positions are missing before the record
   */
  takeRecord(record: CommitRecord): void {
    assertContiguous(record, this.scannedTo + 1)
    this.characters += sizeOf(record)
    const { events, problem } = decodeRecord(record)
    for (const event of events) {
      if (event.position <= this.scannedTo) continue
      if (this.found.length >= this.limit || event.position >= this.#before) return
      this.takeEvent(event, problem)
    }
    this.#lastWhole = record
  }
}
