/**
 * How many records one request asks for: by how large the last ones were, and how long they took to arrive. Reads
 * nothing itself.
 */
import { sizeOf, type CommitRecord } from '../record/record.js'

/** What one request reads, at most, in characters of JSON and in records. */
const maxCharacters = 1024 * 1024
const maxRecords = 1024
/** How long the records of one request may take to arrive, in ms. That is one task, which cannot be cut. */
const maxArrival = 2
/** How many records of a stream are read together, at first and at most. */
const streamRecords = [128, 512] as const

const charactersOf = (records: readonly CommitRecord[]): number =>
  records.reduce((sum, record) => sum + sizeOf(record), 1)

export class RequestSizes {
  /** Per record, as last read. */
  #events = 64
  #characters = 0
  /** How long one record takes to arrive, in ms. */
  #arrival = 0.25
  #ofStream: number = streamRecords[0]

  /** How many records hold this many events, within the limits of one request. */
  recordsFor(events: number): number {
    const affordable = Math.ceil(maxCharacters / Math.max(1, this.#characters))
    const quick = Math.ceil(maxArrival / this.#arrival)
    return Math.max(1, Math.min(Math.ceil(events / Math.max(1, this.#events)), affordable, quick, maxRecords))
  }

  /** How many records of one stream to ask for. */
  get ofStream(): number {
    return this.#ofStream
  }

  /** These records of the log were read, one or more. */
  arrived(records: readonly CommitRecord[]): void {
    const { length } = records
    this.#events = records.reduce((sum, { n }) => sum + n, 0) / length
    this.#characters = charactersOf(records) / length
  }

  /** The same, of records of one stream. */
  streamArrived(records: readonly CommitRecord[]): void {
    const fitting = Math.floor((maxCharacters * records.length) / charactersOf(records))
    this.#ofStream = Math.max(1, Math.min(streamRecords[1], fitting))
  }

  /** `records` of them took `ms` to arrive. */
  took(ms: number, records: number): void {
    this.#arrival = (this.#arrival + ms / records) / 2
  }
}
