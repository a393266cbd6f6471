/** What is in the file, read by its index. */
import type { LoggedCommit, LoggedEvent } from '../server/log-store.js'
import { chainStart, type FinalVerdict } from '../wire/protocol.js'
import type { StoredLog } from './decisions.js'
import type { LogFile } from './log-file.js'
import type { LogIndex } from './log-index.js'
import { chainIn, commitIn, eventIn, recordsOf, type Extent } from './file-records.js'

/** Events and bytes of one read, so that a page of large events fits into memory. */
const mostEvents = 1000
const mostBytes = 1 << 22

export class LogReading implements StoredLog {
  readonly #file: LogFile
  readonly #index: LogIndex

  constructor(file: LogFile, index: LogIndex) {
    this.#file = file
    this.#index = index
  }

  eventById(id: string): Promise<LoggedEvent | undefined> | undefined {
    return this.#first(this.#index.idCandidates(id), (event) => event.id === id)
  }

  lastOf(stream: string): Promise<LoggedEvent | undefined> | undefined {
    return this.#first(this.#index.streamCandidates(stream), (event) => event.stream === stream)
  }

  verdictOn(author: string, id: string): Promise<FinalVerdict | undefined> | undefined {
    const places = this.#index.verdictCandidates(author, id)
    return places.length === 0 ? undefined : this.#verdictIn(places.toReversed(), author, id)
  }

  async #verdictIn(places: readonly Extent[], author: string, id: string): Promise<FinalVerdict | undefined> {
    for (const place of places) {
      const [record] = recordsOf(await this.#file.read(place), place.at)
      if (record?.kind === 'verdict' && record.author === author && record.ids.includes(id)) return record.verdict
    }
    return undefined
  }

  async *after(position: number): AsyncGenerator<LoggedEvent> {
    for (let done = position; done < this.#index.head;) {
      for (const { events } of await this.#commits(this.#commitOf(done + 1), mostEvents)) {
        for (const event of events.filter((each) => each.position > done)) {
          yield event
          done = event.position
        }
      }
    }
  }

  read(after: number, limit: number): Promise<readonly LoggedCommit[]> {
    return this.#commits(this.#index.commitBehind(after), limit)
  }

  async chainAt(position: number): Promise<string | undefined> {
    if (position === 0) return chainStart
    if (position === this.#index.head) return this.#index.chain
    const commit = this.#index.commitEndingAt(position)
    return commit === undefined ? undefined : chainIn(await this.#file.read(this.#index.headLine(commit)))
  }

  /** The number of the commit that an event is in. */
  #commitOf(position: number): number {
    return this.#index.commitBehind(position) - 1
  }

  /** Whole commits from a number on: one, and more as long as they fit. */
  async #commits(first: number, limit: number): Promise<LoggedCommit[]> {
    const index = this.#index
    if (first >= index.commits) return []
    const begin = index.commit(first)
    const before = index.startOf(first) - 1
    const fits = (commit: number): boolean => {
      const { at, length } = index.commit(commit)
      return index.endOf(commit) - before <= limit && at + length - begin.at <= mostBytes
    }
    let last = first
    while (last + 1 < index.commits && fits(last + 1)) last += 1
    const end = index.commit(last)
    const bytes = await this.#file.read({ at: begin.at, length: end.at + end.length - begin.at })
    const commits: LoggedCommit[] = []
    for (let commit = first; commit <= last; commit += 1) {
      const { at, length } = index.commit(commit)
      commits.push(commitIn(bytes.subarray(at - begin.at, at - begin.at + length)))
    }
    return commits
  }

  #first(
    positions: readonly number[],
    is: (event: LoggedEvent) => boolean,
  ): Promise<LoggedEvent | undefined> | undefined {
    return positions.length === 0 ? undefined : this.#firstOf(positions, is)
  }

  async #firstOf(positions: readonly number[], is: (event: LoggedEvent) => boolean): Promise<LoggedEvent | undefined> {
    for (const position of positions) {
      const event = eventIn(await this.#file.read(this.#index.event(position)), position)
      if (is(event)) return event
    }
    return undefined
  }
}
