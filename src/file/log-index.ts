/** Where everything is in the file: about 30 bytes in memory for an event, whatever its size. */
import { say } from '../messages.js'
import { chainStart } from '../wire/protocol.js'
import { Column } from './number-column.js'
import { hashOf, HashIndex } from './hash-index.js'
import type { CommitRecord, EventPlace, Extent, VerdictRecord } from './file-records.js'

/** Positions are kept in 32 bits. */
export const mostEvents = 0xffff_ffff

export const verdictKey = (author: string, id: string): string => JSON.stringify([author, id])

export class LogIndex {
  head = 0
  /** Of the head. */
  chain: string = chainStart

  readonly #eventAt = new Column('offsets')
  readonly #eventLength = new Column('counts')
  readonly #commitAt = new Column('offsets')
  readonly #commitStart = new Column('counts')
  readonly #verdictAt = new Column('offsets')
  readonly #verdictLength = new Column('counts')
  readonly #ids = new HashIndex()
  readonly #streams = new HashIndex()
  readonly #verdicts = new HashIndex()
  readonly #streamAt: (place: Extent) => string

  /** @param streamAt reads the stream of an event, for the rare streams whose hashes are equal */
  constructor(streamAt: (place: Extent) => string) {
    this.#streamAt = streamAt
  }

  get commits(): number {
    return this.#commitAt.size
  }

  addCommit({ at, start, chain, events }: CommitRecord): void {
    if (start !== this.head + 1) throw new Error(say`The commit of position ${start} follows position ${this.head}.`)
    this.#commitAt.push(at)
    this.#commitStart.push(start)
    for (const event of events) this.#addEvent(event)
    this.chain = chain
  }

  addVerdict({ at, length, author, ids }: VerdictRecord): void {
    this.#verdictAt.push(at)
    this.#verdictLength.push(length)
    for (const id of ids) this.#verdicts.add(hashOf(verdictKey(author, id)), this.#verdictAt.size)
  }

  /** Positions that an event of this id may have. */
  idCandidates(id: string): number[] {
    return this.#ids.find(hashOf(id))
  }

  /** Positions, one of which is the last of the stream, if there is such a stream. */
  streamCandidates(stream: string): number[] {
    return this.#streams.find(hashOf(stream))
  }

  /** Records that may hold the verdict, the newest last. */
  verdictCandidates(author: string, id: string): Extent[] {
    // No hash for each id that is pushed, where nothing was ever refused.
    if (this.#verdictAt.size === 0) return []
    const entries = this.#verdicts.find(hashOf(verdictKey(author, id))).toSorted((a, b) => a - b)
    return entries.map((entry) => ({ at: this.#verdictAt.at(entry - 1), length: this.#verdictLength.at(entry - 1) }))
  }

  event(position: number): Extent {
    return { at: this.#eventAt.at(position - 1), length: this.#eventLength.at(position - 1) }
  }

  /** The number of the commit that begins behind a position, or of the next one that does. */
  commitBehind(position: number): number {
    return this.#commitStart.lastUpTo(position) + 1
  }

  /** The number of the commit that ends at a position above 0; `undefined` if none does. */
  commitEndingAt(position: number): number | undefined {
    const commit = this.#commitStart.lastUpTo(position)
    return commit >= 0 && this.endOf(commit) === position ? commit : undefined
  }

  /** The position of its first event. */
  startOf(commit: number): number {
    return this.#commitStart.at(commit)
  }

  /** The position of its last event. */
  endOf(commit: number): number {
    return commit + 1 < this.commits ? this.#commitStart.at(commit + 1) - 1 : this.head
  }

  /** All of its bytes. */
  commit(commit: number): Extent {
    const at = this.#commitAt.at(commit)
    const last = this.event(this.endOf(commit))
    return { at, length: last.at + last.length - at }
  }

  /** Its first line, without the line feed. */
  headLine(commit: number): Extent {
    const at = this.#commitAt.at(commit)
    return { at, length: this.event(this.#commitStart.at(commit)).at - 1 - at }
  }

  #addEvent({ at, length, id, stream, version }: EventPlace): void {
    const position = this.head + 1
    this.#eventAt.push(at)
    this.#eventLength.push(length)
    this.#ids.add(hashOf(id), position)
    const hash = hashOf(stream)
    if (version === 1) this.#streams.add(hash, position)
    else {
      const known = this.#streams.find(hash)
      const last = known.length === 1 ? known[0] : known.find((each) => this.#streamAt(this.event(each)) === stream)
      if (last === undefined) throw new Error(say`The stream of position ${position} has no version before ${version}.`)
      this.#streams.replace(hash, last, position)
    }
    this.head = position
  }
}
