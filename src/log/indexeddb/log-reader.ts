/** Reading the log on IndexedDB: pages, streams, and the head. */
import { describe, EventUnreadableError, LogInconsistentError } from '../../errors.js'
import type { CatalogueCore } from '../../events/catalogue.js'
import type { EventShape, RecordedEvent } from '../../events/event.js'
import { streamName } from '../../events/names.js'
import { systemClock } from '../../platform/clock.js'
import type { Connection } from '../../platform/connection.js'
import { requested, requestedAll } from '../../platform/indexeddb.js'
import { Slices } from '../../platform/slices.js'
import type { EventFilter, PageRequest, ReadStreamOptions } from '../event-store.js'
import { compileFilter } from '../filter.js'
import { isLoss, mayBeLoss, readAround, readOneByOne } from './lost-records.js'
import { finishPage, finishStream, maxScan, type CollectedPage, type PageReadOptions } from '../pages.js'
import { wholeNumber, type Codec } from '../prepare.js'
import { headOf, streamRange } from './queries.js'
import type { RecentRecords } from './recent-records.js'
import { RecordsAhead } from './records-ahead.js'
import type { StoredEvent } from '../record/record-text.js'
import {
  assertContiguous,
  assertPlaced,
  decodeRecord,
  editedError,
  endOf,
  sizeOf,
  type CommitRecord,
} from '../record/record.js'
import { assertAnswering } from './sentinel.js'

/** What one request reads at most, in characters of JSON and in records (H14). */
const maxReadCharacters = 1024 * 1024
const maxReadRecords = 1024
/** The clock is asked after decoding so many characters. */
const stride = 8 * 1024
/** How long the records of one request may take to arrive, ms. It is one task, and cannot be cut. */
const maxArrival = 2
/** How often one page searches for the record that holds a position, where none begins there. */
const maxSearches = 4
/** How many records of a stream are read at once, at first and at most. */
const streamPage = [128, 512] as const

/** Records from a position on, and before it what is not a whole position, so that it is noticed. */
const recordsFrom = (from: number): IDBKeyRange | null => (from === 1 ? null : IDBKeyRange.lowerBound(from - 1, true))

const charactersOf = (records: readonly CommitRecord[]): number =>
  records.reduce((sum, record) => sum + sizeOf(record), 1)

export class LogReader {
  readonly #connection: Connection
  readonly #recent: RecentRecords
  readonly #about: { readonly name: string; readonly catalogue: CatalogueCore; readonly codec: Codec | undefined }
  /** Events and characters per record, as last read: so that one request is likely to make a page. */
  #density = { events: 64, characters: 0 }
  /** How long one takes to arrive, ms. */
  #arrival = 0.25
  /** How many records of a stream to ask for: by how large those were that were read last. */
  #streamPage: number = streamPage[0]

  constructor(
    connection: Connection,
    recent: RecentRecords,
    about: { readonly name: string; readonly catalogue: CatalogueCore; readonly codec: Codec | undefined },
  ) {
    this.#connection = connection
    this.#recent = recent
    this.#about = about
  }

  async readEvents<E extends EventShape>(
    filter: EventFilter,
    page: PageRequest,
    options: PageReadOptions = {},
  ): Promise<CollectedPage<E>> {
    const compiled = compileFilter(filter)
    const after = page.after === undefined ? 0 : wholeNumber(page.after, 'page.after')
    const limit = wholeNumber(page.limit, 'page.limit')
    options.signal?.throwIfAborted()
    // `getAll(range, 0)` would answer with everything (H15).
    if (limit === 0) return { events: [], scannedTo: after, head: await this.head() }
    const ahead = options.ahead ?? new RecordsAhead()
    const { slices } = ahead
    const found: StoredEvent[] = []
    const broken = new Map<number, string>()
    let bytes = 0
    let scannedTo = after
    let last: CommitRecord | undefined
    const take = (record: CommitRecord) => {
      assertContiguous(record, scannedTo + 1)
      bytes += sizeOf(record)
      const decoded = decodeRecord(record)
      for (const event of decoded.events) {
        if (event.position <= scannedTo) continue
        if (found.length >= limit) return
        if (decoded.problem !== undefined) {
          broken.set(event.position, decoded.problem)
          found.push(event)
        } else if (compiled.all || compiled.matches(event)) found.push(event)
        scannedTo = event.position
      }
      last = record
    }
    const finish = async (head: number): Promise<CollectedPage<E>> => {
      // Out here: what is thrown inside of the transaction would be taken for a failure of the storage.
      options.signal?.throwIfAborted()
      // Where pages end, the next ones begin. To remember each record takes as long as reading it, in Firefox.
      if (last !== undefined && scannedTo === endOf(last)) this.#recent.sawEnd(last)
      const answer = await finishPage<E>(found, broken, scannedTo, head, this.#about, options)
      return options.unreadable === 'collect' ? { ...answer, bytes } : answer
    }
    // Each read is a transaction of one turn: the log only grows, so nothing is lost between them (H6).
    const what = `reading '${this.#about.name}'`
    const read = <T>(work: (commits: IDBObjectStore) => Promise<T>): Promise<T> =>
      this.#connection.transact({ stores: ['commits'], mode: 'readonly', what }, (transaction) =>
        work(transaction.objectStore('commits')),
      )
    const endNow = () =>
      read(headOf).catch(async (error: unknown) => {
        if (!mayBeLoss(error)) throw error
        return endOf(await this.#lastRecord())
      })
    const arrived = (records: readonly CommitRecord[]) => {
      ahead.arrived(records)
      from = ahead.through + 1
      // The log grew meanwhile. What was read of it may end in the middle of a commit, and a head never does.
      if (ahead.through > ahead.end) fresh = false
      ahead.end = Math.max(ahead.end, ahead.through)
      this.#density = {
        events: (from - (records[0] as CommitRecord).at) / records.length,
        characters: charactersOf(records) / records.length,
      }
    }
    /** The first position that is not here yet. */
    let from = after + 1
    const keyBefore = (commits: IDBObjectStore) =>
      requested(commits.openKeyCursor(IDBKeyRange.upperBound(from), 'prev'))
    let searches = maxSearches
    /** Whether records begin where they should, or could not be found to. Compaction may have put what comes next into a record that begins before it. */
    const begins = async (records: readonly CommitRecord[]): Promise<boolean> => {
      if ((records[0]?.at ?? Infinity) <= from || searches === 0) return true
      searches -= 1
      from = ((await read(keyBefore))?.key as number | undefined) ?? from
      return false
    }
    /** The head that is known was read for this page. */
    let fresh = false
    if (ahead.follows(after)) from = Math.max(from, ahead.through + 1)
    else {
      ahead.forget()
      const own = options.own === true ? this.#recent.ownAfter(after) : []
      if (own.length > 0) {
        for (const record of own) if (found.length < limit) take(record)
        return finish(endOf(own.at(-1)))
      }
      const atBoundary = this.#recent.isBoundary(after)
      const [inside, first, end] = await read((commits) =>
        Promise.all([
          atBoundary ? undefined : keyBefore(commits),
          atBoundary
            ? (requestedAll(this.#ask(commits, from, this.#recordsFor(limit))) as Promise<CommitRecord[]>)
            : undefined,
          // Last: were it rejected while one of the others throws, nobody would hear of it (H5).
          headOf(commits),
        ]),
      ).catch(async (error: unknown) => {
        if (!mayBeLoss(error)) throw error
        // In this order: what is found up to an end is there also when the log has grown since.
        const end = endOf(await this.#lastRecord())
        return [atBoundary ? undefined : await read(keyBefore), undefined, end] as const
      })
      if (end === 0 || inside === null) await assertAnswering(this.#connection)
      if (inside !== undefined && inside !== null) from = inside.key as number
      ahead.end = end
      fresh = true
      if (first !== undefined && first.length > 0 && (await begins(first))) arrived(first)
      slices.began()
    }
    /** Asks for what a page will need besides what is here, so that it is on its way while that is decoded. */
    const askAhead = () => {
      if (ahead.isComing || from > ahead.end) return
      // What a filter lets through so far tells how far to look for the rest.
      const share = scannedTo === after ? 1 : Math.max(found.length / (scannedTo - after), 1 / maxScan)
      const missing = limit - found.length - Math.max(0, from - 1 - scannedTo) * share
      if (missing <= 0) return
      const next = from
      const count = this.#recordsFor(Math.min((options.ahead === undefined ? missing : limit) / share, maxScan))
      ahead.ask(
        readAround(
          this.#connection,
          what,
          (commits) => this.#ask(commits, next, count),
          (commits) => commits.getAllKeys(recordsFrom(next), count),
        ),
      )
    }
    let unclocked = 0
    while (
      scannedTo < ahead.end &&
      found.length < limit &&
      scannedTo - after < maxScan &&
      options.signal?.aborted !== true
    ) {
      const record = ahead.next
      if (record === undefined) {
        askAhead()
        // What was found can be worked on meanwhile.
        if (options.ahead !== undefined && found.length > 0) break
        const records = await ahead.receive()
        if (!(await begins(records))) continue
        if (records.length === 0) {
          await assertAnswering(this.#connection)
          throw new LogInconsistentError(
            scannedTo + 1,
            `The log ends at position ${ahead.end}, but nothing is found from position ${scannedTo + 1} on. Restore from an export; do not go on.`,
          )
        }
        arrived(records)
        continue
      }
      askAhead()
      take(record)
      if (scannedTo < endOf(record)) break
      ahead.done()
      // Asking the clock takes as long as decoding a small record.
      unclocked += sizeOf(record)
      if (unclocked < stride) continue
      unclocked = 0
      if (options.ahead !== undefined && slices.halfOver) break
      if (slices.isOver) await slices.turn()
    }
    if (!fresh && (options.ahead === undefined || scannedTo >= ahead.end))
      ahead.end = Math.max(scannedTo, await endNow())
    return finish(ahead.end)
  }

  /** How many records to ask for, for so many events: by what the records of the last read were like. */
  #recordsFor(events: number): number {
    const affordable = Math.ceil(maxReadCharacters / Math.max(1, this.#density.characters))
    const quick = Math.ceil(maxArrival / this.#arrival)
    return Math.max(
      1,
      Math.min(Math.ceil(events / Math.max(1, this.#density.events)), affordable, quick, maxReadRecords),
    )
  }

  /** Records from a position on. Measures how long they take to arrive: the first look at a result is what makes it. */
  #ask(commits: IDBObjectStore, from: number, count: number): IDBRequest<unknown[]> {
    const request: IDBRequest<unknown[]> = commits.getAll(recordsFrom(from), count)
    request.addEventListener('success', () => {
      const start = systemClock.monotonic()
      const { length } = request.result
      if (length > 0) this.#arrival = (this.#arrival + (systemClock.monotonic() - start) / length) / 2
    })
    return request
  }

  async *readStream<E extends EventShape>(
    name: string,
    { signal, ...options }: ReadStreamOptions = {},
  ): AsyncGenerator<readonly RecordedEvent<E>[], void, undefined> {
    const stream = streamName(name)
    let after = options.after === undefined ? 0 : wholeNumber(options.after, 'after')
    let left = options.limit === undefined ? Infinity : wholeNumber(options.limit, 'limit')
    /** The version that comes next; none behind an event that cannot be read. */
    let next: number | undefined = after + 1
    const slices = new Slices()
    let found: StoredEvent[] = []
    let broken = new Map<number, string>()
    while (left > 0) {
      signal?.throwIfAborted()
      const range = streamRange(stream, after + 1)
      // Each holds at least one event of the stream.
      const most = Math.min(this.#streamPage, left)
      const records = await readAround(
        this.#connection,
        `reading stream '${stream}'`,
        (commits) => commits.index('heads').getAll(range, most),
        (commits) => commits.index('heads').getAllKeys(range, most),
      )
      if (records.length > 0)
        this.#streamPage = Math.max(
          1,
          Math.min(streamPage[1], Math.floor((maxReadCharacters * records.length) / charactersOf(records))),
        )
      if (records.length === 0) await assertAnswering(this.#connection)
      slices.began()
      for (const record of records) {
        assertPlaced(record)
        const { events, problem } = decodeRecord(record)
        for (const event of events) {
          if (left === 0 || (problem === undefined && (event.stream !== stream || event.version <= after))) continue
          if (problem !== undefined) {
            broken.set(event.position, problem)
            next = undefined
          } else if (next !== undefined && event.version !== next) {
            yield* finishStream<E>(found, broken, this.#about, signal)
            throw editedError(
              event.position,
              `Stream '${stream}' has version ${describe(event.version)} at position ${event.position}, where ${next} comes next`,
            )
          } else if (next !== undefined) next += 1
          found.push(event)
          left -= 1
        }
        const last: unknown = record.heads.find(
          (head: CommitRecord['heads'][number] | null) => head?.[0] === stream,
        )?.[1]
        if (last !== undefined && !Number.isSafeInteger(last)) {
          yield* finishStream<E>(found, broken, this.#about, signal)
          throw editedError(record.at, `A record says that stream '${stream}' is at version ${describe(last)}`)
        }
        after = Math.max(after, (last as number | undefined) ?? after)
        if (!slices.isOver && record !== records.at(-1)) continue
        yield* finishStream<E>(found, broken, this.#about, signal)
        found = []
        broken = new Map()
        await slices.turn()
      }
      if (records.length < most) return
    }
  }

  async head(): Promise<number> {
    const head = await this.#connection
      .transact(
        { stores: ['commits'], mode: 'readonly', what: `reading the head of '${this.#about.name}'` },
        (transaction) => headOf(transaction.objectStore('commits')),
      )
      .catch(async (error: unknown) => {
        if (!isLoss(error)) throw error
        const last = await this.#lastRecord()
        // What can be read now was not lost.
        if (last?.lost === undefined) return endOf(last)
        throw new EventUnreadableError(
          last.at,
          'the browser lost the last record of the log, and nobody knows how many events it held.',
          error.cause,
        )
      })
    if (head === 0) await assertAnswering(this.#connection)
    return head
  }

  /** The last record, read on its own; of one that is lost, what its key tells. */
  async #lastRecord(): Promise<CommitRecord | undefined> {
    const what = `reading the head of '${this.#about.name}'`
    const last = await this.#connection.transact({ stores: ['commits'], mode: 'readonly', what }, (transaction) =>
      requested(transaction.objectStore('commits').openKeyCursor(null, 'prev')),
    )
    return last === null ? undefined : (await readOneByOne(this.#connection, [last.key], what))[0]
  }

  async streamVersion(name: string): Promise<number> {
    const stream = streamName(name)
    const cursor = await this.#connection.transact(
      { stores: ['commits'], mode: 'readonly', what: `reading the version of '${stream}'` },
      (transaction) =>
        requested(transaction.objectStore('commits').index('heads').openKeyCursor(streamRange(stream, 0), 'prev')),
    )
    if (cursor === null) await assertAnswering(this.#connection)
    return (cursor?.key as [string, number] | undefined)?.[1] ?? 0
  }
}
