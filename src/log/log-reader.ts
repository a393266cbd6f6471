/** Reading the log on IndexedDB: pages, streams, and the head. */
import { EventUnreadableError, IntegrityError } from '../errors.js'
import type { CatalogueCore } from '../events/catalogue.js'
import type { EventShape, RecordedEvent } from '../events/event.js'
import { streamName } from '../events/names.js'
import type { Connection } from '../platform/connection.js'
import { requested } from '../platform/indexeddb.js'
import type { EventFilter, EventPage, ReadStreamOptions } from './event-store.js'
import { compileFilter } from './filter.js'
import { isLoss, mayBeLoss, readAround, readOneByOne } from './lost-records.js'
import { finishPage, maxScan, type CollectedRead, type PageReadOptions } from './pages.js'
import { wholeNumber, type Codec } from './prepare.js'
import { headOf, streamRange } from './queries.js'
import type { RecentRecords } from './recent-records.js'
import { assertContiguous, decodeRecord, endOf, type CommitRecord, type StoredEvent } from './record.js'
import { assertAnswering } from './sentinel.js'

/** What one request reads at most, in characters of JSON and in records (H14). */
const maxReadCharacters = 4 * 1024 * 1024
const maxReadRecords = 1024
/** How many records of a stream are read at once. */
const streamPage = 128

export class LogReader {
  readonly #connection: Connection
  readonly #recent: RecentRecords
  readonly #about: { readonly name: string; readonly catalogue: CatalogueCore; readonly codec: Codec | undefined }
  /** Events and characters per record, as last read: so that one request is likely to make a page. */
  #density = { events: 64, characters: 0 }

  constructor(connection: Connection, recent: RecentRecords, about: { readonly name: string; readonly catalogue: CatalogueCore; readonly codec: Codec | undefined }) {
    this.#connection = connection
    this.#recent = recent
    this.#about = about
  }

  async readEvents<E extends EventShape>(filter: EventFilter, page: EventPage, options: PageReadOptions = {}): Promise<CollectedRead<E>> {
    const compiled = compileFilter(filter)
    const after = page.after === undefined ? 0 : wholeNumber(page.after, 'page.after')
    const limit = wholeNumber(page.limit, 'page.limit')
    options.signal?.throwIfAborted()
    // `getAll(range, 0)` would answer with everything (H15).
    if (limit === 0) return { events: [], scannedTo: after, head: await this.head() }
    const found: StoredEvent[] = []
    const broken = new Map<number, string>()
    let bytes = 0
    let scannedTo = after
    let from = after + 1
    /** Takes what belongs on the page. Answers how many records were looked at. */
    const take = (records: readonly CommitRecord[]): { looked: number; events: number; characters: number } => {
      const taken = { looked: 0, events: 0, characters: 0 }
      for (const record of records) {
        if (found.length >= limit) break
        assertContiguous(record, scannedTo + 1)
        taken.looked += 1
        taken.events += record.n
        taken.characters += record.events.length
        const decoded = decodeRecord(record)
        for (const event of decoded.events) {
          if (event.position <= after) continue
          if (found.length >= limit) break
          if (decoded.problem !== undefined) {
            broken.set(event.position, decoded.problem)
            found.push(event)
          } else if (compiled.all || compiled.matches(event)) found.push(event)
          scannedTo = event.position
        }
        from = record.at + record.n
        if (scannedTo === from - 1) this.#recent.sawEnd(record)
      }
      bytes += taken.characters
      return taken
    }
    const finish = async (head: number): Promise<CollectedRead<E>> => {
      // Out here: what is thrown inside of the transaction would be taken for a failure of the storage.
      options.signal?.throwIfAborted()
      const answer = await finishPage<E>(found, broken, scannedTo, head, this.#about, options)
      return options.unreadable === 'collect' ? { ...answer, bytes } : answer
    }
    const own = options.own === true ? this.#recent.ownAfter(after) : []
    if (own.length > 0) {
      take(own)
      return finish(endOf(own.at(-1)))
    }
    // Each read is a transaction of one turn: the log only grows, so nothing is lost between them (H6).
    const what = `reading '${this.#about.name}'`
    const read = <T>(work: (commits: IDBObjectStore) => Promise<T>): Promise<T> =>
      this.#connection.transact({ stores: ['commits'], mode: 'readonly', what }, (transaction) => work(transaction.objectStore('commits')))
    const endNow = () => read(headOf).catch(async (error: unknown) => {
      if (!mayBeLoss(error)) throw error
      return endOf(await this.#lastRecord())
    })
    const keyBefore = (commits: IDBObjectStore, from: number) => requested(commits.openKeyCursor(IDBKeyRange.upperBound(from), 'prev'))
    let count = this.#recordsFor(limit)
    const atBoundary = this.#recent.isBoundary(after)
    const [inside, first, firstEnd] = await read((commits) => Promise.all([
      atBoundary ? undefined : keyBefore(commits, from),
      atBoundary ? requested(commits.getAll(IDBKeyRange.lowerBound(from), count)) as Promise<CommitRecord[]> : undefined,
      // Last: were it rejected while one of the others throws, nobody would hear of it (H5).
      headOf(commits),
    ])).catch(async (error: unknown) => {
      if (!mayBeLoss(error)) throw error
      // In this order: what is found up to an end is there also when the log has grown since.
      const end = endOf(await this.#lastRecord())
      return [atBoundary ? undefined : await read((commits) => keyBefore(commits, from)), undefined, end] as const
    })
    if (firstEnd === 0 || inside === null) await assertAnswering(this.#connection)
    let end = firstEnd
    let ready: CommitRecord[] | undefined = first
    if (inside !== undefined && inside !== null) from = inside.key as number
    while (scannedTo < end && found.length < limit && scannedTo - after < maxScan && options.signal?.aborted !== true) {
      const records: CommitRecord[] = ready ?? (await readAround(
        this.#connection, what, (commits) => commits.getAll(IDBKeyRange.lowerBound(from), count), (commits) => commits.getAllKeys(IDBKeyRange.lowerBound(from), count)))
      ready = undefined
      if (records.length === 0) {
        await assertAnswering(this.#connection)
        throw new IntegrityError(from, `The log ends at position ${end}, but nothing is found from position ${from} on. Restore from an export; do not go on.`)
      }
      const { looked, events, characters } = take(records)
      this.#density = { events: events / looked, characters: characters / looked }
      // What a filter lets through so far tells how far to look for the rest.
      const share = found.length / Math.max(1, scannedTo - after)
      count = Math.min(count * 4, this.#recordsFor(Math.min((limit - found.length) / Math.max(share, 1 / maxScan), maxScan)))
      // The log grew meanwhile. What was read of it may end in the middle of a commit, and a head never does.
      if (scannedTo > end) end = Math.max(scannedTo, await endNow())
    }
    return finish(end)
  }

  /** How many records to ask for, for so many events: by what the records of the last read were like. */
  #recordsFor(events: number): number {
    const affordable = Math.ceil(maxReadCharacters / Math.max(1, this.#density.characters))
    return Math.max(1, Math.min(Math.ceil(events / Math.max(1, this.#density.events)), affordable, maxReadRecords))
  }

  async *readStream<E extends EventShape>(name: string, options: ReadStreamOptions = {}): AsyncGenerator<RecordedEvent<E>, void, undefined> {
    const stream = streamName(name)
    let after = options.after === undefined ? 0 : wholeNumber(options.after, 'after')
    let left = options.limit === undefined ? Infinity : wholeNumber(options.limit, 'limit')
    while (left > 0) {
      options.signal?.throwIfAborted()
      const range = streamRange(stream, after + 1)
      const records = await readAround(this.#connection, `reading stream '${stream}'`,
        (commits) => commits.index('heads').getAll(range, streamPage), (commits) => commits.index('heads').getAllKeys(range, streamPage))
      if (records.length === 0) await assertAnswering(this.#connection)
      for (const record of records) {
        const decoded = decodeRecord(record)
        const own = decoded.events.filter((event) => decoded.problem !== undefined || (event.stream === stream && event.version > after))
        const broken = new Map(decoded.problem === undefined ? [] : own.map((event) => [event.position, decoded.problem as string]))
        for (const event of own) {
          const page = await finishPage<E>([event], broken, event.position, event.position, this.#about, {})
          options.signal?.throwIfAborted()
          yield page.events[0] as RecordedEvent<E>
          after = event.version
          left -= 1
          if (left <= 0) return
        }
        after = Math.max(after, record.heads.find(([name]) => name === stream)?.[1] ?? after)
      }
      if (records.length < streamPage) return
    }
  }

  async head(): Promise<number> {
    const head = await this.#connection.transact({ stores: ['commits'], mode: 'readonly', what: `reading the head of '${this.#about.name}'` }, (transaction) =>
      headOf(transaction.objectStore('commits'))).catch(async (error: unknown) => {
      if (!isLoss(error)) throw error
      const last = await this.#lastRecord()
      // What can be read now was not lost.
      if (last?.lost === undefined) return endOf(last)
      throw new EventUnreadableError(last.at, 'the browser lost the last record of the log, and nobody knows how many events it held.', error.cause)
    })
    if (head === 0) await assertAnswering(this.#connection)
    return head
  }

  /** The last record, read on its own; of one that is lost, what its key tells. */
  async #lastRecord(): Promise<CommitRecord | undefined> {
    const what = `reading the head of '${this.#about.name}'`
    const last = await this.#connection.transact({ stores: ['commits'], mode: 'readonly', what }, (transaction) => requested(transaction.objectStore('commits').openKeyCursor(null, 'prev')))
    return last === null ? undefined : (await readOneByOne(this.#connection, [last.key], what))[0]
  }

  async streamVersion(name: string): Promise<number> {
    const stream = streamName(name)
    const cursor = await this.#connection.transact({ stores: ['commits'], mode: 'readonly', what: `reading the version of '${stream}'` }, (transaction) =>
      requested(transaction.objectStore('commits').index('heads').openKeyCursor(streamRange(stream, 0), 'prev')))
    if (cursor === null) await assertAnswering(this.#connection)
    return (cursor?.key as [string, number] | undefined)?.[1] ?? 0
  }
}
