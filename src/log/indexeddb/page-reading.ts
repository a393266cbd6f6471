/**
 * One page of the log on its way: asks for records, a request ahead of the one that is decoded, until the page is full
 * or the log ends.
 */
import { LogInconsistentError } from '../../errors.js'
import { say } from '../../messages.js'
import { systemClock } from '../../platform/clock.js'
import type { Connection } from '../../platform/connection.js'
import { requested, requestedAll } from '../../platform/indexeddb.js'
import { optional } from '../../platform/promises.js'
import { maxScan, type PageScan } from '../page-scan.js'
import { endOf, sizeOf, type CommitRecord } from '../record/record.js'
import type { RecordsAhead } from '../records-ahead.js'
import { readAround, readOneByOne, unlessLost } from './lost-records.js'
import { beginOf, headOf, lastKey, readCommits } from './queries.js'
import type { RecentRecords } from './recent-records.js'
import type { RequestSizes } from './request-sizes.js'
import { assertAnswering } from './sentinel.js'

/** The clock is asked after decoding this many characters: that takes as long as decoding a small record. */
const stride = 8 * 1024
/** How often one page searches for the record that holds a position, if no record begins there. */
const maxSearches = 4

/** The log that pages are read from, and what is known of it. */
export interface PageSource {
  readonly connection: Connection
  /** For messages. */
  readonly what: string
  readonly recent: RecentRecords
  readonly sizes: RequestSizes
}

/** Records from a position on, and before it what is not a whole position, so that it is noticed. */
const recordsFrom = (from: number): IDBKeyRange | null => (from === 1 ? null : IDBKeyRange.lowerBound(from - 1, true))

export class PageReading {
  readonly #source: PageSource
  readonly #scan: PageScan
  readonly #ahead: RecordsAhead
  /** The caller keeps `ahead` for its next page. */
  readonly #continues: boolean
  /** The first position whose record was not read yet. */
  #from: number
  #searches = maxSearches
  /** `ahead.end` was read for this page. */
  #isFresh = false

  constructor(source: PageSource, scan: PageScan, ahead: RecordsAhead, continues: boolean) {
    this.#source = source
    this.#scan = scan
    this.#ahead = ahead
    this.#continues = continues
    this.#from = scan.after + 1
  }

  /**
   * Fills the page. Resolves with the head of the log.
   *
   * @param own the records that this context appended last may make the page, without a request
   */
  async run(own: boolean, signal: AbortSignal | undefined): Promise<number> {
    const scan = this.#scan
    const ahead = this.#ahead
    if (ahead.follows(scan.after)) this.#from = Math.max(this.#from, ahead.through + 1)
    else {
      ahead.forget()
      const records = own ? this.#source.recent.ownAfter(scan.after) : []
      if (records.length > 0) {
        for (const record of records) if (scan.found.length < scan.limit) scan.takeRecord(record)
        return endOf(records.at(-1))
      }
      await this.#begin()
    }
    await this.#fill(signal)
    if (!this.#isFresh && (!this.#continues || scan.scannedTo >= ahead.end))
      ahead.end = Math.max(scan.scannedTo, await this.#readHead())
    return ahead.end
  }

  /** The first request: the head, and the first records, or where the record begins that holds the first position. */
  async #begin(): Promise<void> {
    const { connection, recent, sizes } = this.#source
    const ahead = this.#ahead
    const isBoundary = recent.isBoundary(this.#scan.after)
    const [begin, records, end] = await unlessLost(
      this.#read((commits) =>
        Promise.all([
          isBoundary ? this.#from : beginOf(commits, this.#from),
          isBoundary ? this.#ask(commits, this.#from, sizes.recordsFor(this.#scan.limit)) : [],
          headOf(commits),
        ]),
      ),
      async () => {
        // In this order: what is found up to an end is also there if the log has grown since.
        const end = await this.#readLastOne()
        return [isBoundary ? this.#from : await this.#beginOf(), [], end] as const
      },
    )
    if (end === 0 || begin === undefined) await assertAnswering(connection)
    this.#from = begin ?? this.#from
    ahead.end = end
    this.#isFresh = true
    if (records.length > 0 && (await this.#beginsRight(records as CommitRecord[])))
      this.#arrived(records as CommitRecord[])
    ahead.slices.began()
  }

  async #fill(signal: AbortSignal | undefined): Promise<void> {
    const scan = this.#scan
    const ahead = this.#ahead
    let unclocked = 0
    while (scan.scannedTo < ahead.end && !scan.isFull && signal?.aborted !== true) {
      const record = ahead.records.at(-1)
      this.#askAhead()
      if (record === undefined) {
        // The caller can work on what was found while the next records are read.
        if (this.#continues && scan.found.length > 0) return
        await this.#receive()
        continue
      }
      scan.takeRecord(record)
      if (scan.scannedTo < endOf(record)) return
      ahead.records.pop()
      unclocked += sizeOf(record)
      if (unclocked < stride) continue
      unclocked = 0
      if (this.#continues && ahead.slices.halfOver) return
      if (ahead.slices.isOver) await ahead.slices.turn()
    }
  }

  /**
   * Asks for what the page needs in addition to the records that are here, so that the next ones are read while these
   * are decoded.
   */
  #askAhead(): void {
    const scan = this.#scan
    const ahead = this.#ahead
    const from = this.#from
    if (ahead.coming !== undefined || from > ahead.end) return
    // The share of matching events so far tells how far to look for the rest.
    const { share } = scan
    const missing = scan.limit - scan.found.length - Math.max(0, from - 1 - scan.scannedTo) * share
    if (missing <= 0) return
    const { connection, what, sizes } = this.#source
    const count = sizes.recordsFor(Math.min((this.#continues ? scan.limit : missing) / share, maxScan))
    // Optional: the caller may never come back for it.
    ahead.coming = optional(
      readAround(
        connection,
        what,
        (commits) => this.#ask(commits, from, count),
        (commits) => requested(commits.getAllKeys(recordsFrom(from), count)),
      ),
    )
  }

  /** Waits for the records that were asked for. */
  async #receive(): Promise<void> {
    const ahead = this.#ahead
    const coming = ahead.coming as Promise<readonly CommitRecord[]>
    ahead.coming = undefined
    const records = await coming
    ahead.slices.began()
    if (!(await this.#beginsRight(records))) return
    if (records.length > 0) return this.#arrived(records)
    await assertAnswering(this.#source.connection)
    const next = this.#scan.scannedTo + 1
    throw new LogInconsistentError(
      next,
      say`The log ends at position ${ahead.end}, but nothing is found from position ${next} on. Restore from an export; do not append to it.`,
    )
  }

  #arrived(records: readonly CommitRecord[]): void {
    const ahead = this.#ahead
    ahead.records = [...records].reverse()
    ahead.through = endOf(records.at(-1))
    this.#from = ahead.through + 1
    // The log has grown. What was read of it may end in the middle of a commit, and a head never does.
    if (ahead.through > ahead.end) this.#isFresh = false
    ahead.end = Math.max(ahead.end, ahead.through)
    this.#source.sizes.arrived(records)
  }

  /**
   * Whether the records begin where they should, or no record can be found that does. If not, the next request begins
   * elsewhere: compaction may have put the next events into a record that begins before them.
   */
  async #beginsRight(records: readonly CommitRecord[]): Promise<boolean> {
    if ((records[0]?.at ?? Infinity) <= this.#from || this.#searches === 0) return true
    this.#searches -= 1
    this.#from = (await this.#beginOf()) ?? this.#from
    return false
  }

  #read<T>(work: (commits: IDBObjectStore) => Promise<T>): Promise<T> {
    return readCommits(this.#source.connection, this.#source.what, work)
  }

  #beginOf(): Promise<number | undefined> {
    return this.#read((commits) => beginOf(commits, this.#from))
  }

  #readHead(): Promise<number> {
    return unlessLost(this.#read(headOf), () => this.#readLastOne())
  }

  async #readLastOne(): Promise<number> {
    return endOf(await readLastOne(this.#source.connection, this.#source.what))
  }

  /**
   * Asks for records from a position on, and measures how long they take to arrive: the first look at a result is what
   * makes it.
   */
  #ask(commits: IDBObjectStore, from: number, count: number): Promise<unknown[]> {
    // The browser keeps a request and its listeners for long, so this one does not hold the page: see `requested`.
    const { sizes } = this.#source
    const request: IDBRequest<unknown[]> = commits.getAll(recordsFrom(from), count)
    request.addEventListener('success', () => {
      const start = systemClock.monotonic()
      const { length } = request.result
      if (length > 0) sizes.took(systemClock.monotonic() - start, length)
    })
    return requestedAll(request)
  }
}

/** The last record, read on its own; if it is lost, what its key tells. */
export async function readLastOne(connection: Connection, what: string): Promise<CommitRecord | undefined> {
  const key = await readCommits(connection, what, (commits) => lastKey(commits, null))
  return key === undefined ? undefined : (await readOneByOne(connection, [key as IDBValidKey], what))[0]
}
