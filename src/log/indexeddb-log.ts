/** The log on IndexedDB: one record per commit, and no read before a warm append (docs/decisions/0001). */
import { ConditionFailedError, EventUnreadableError, IntegrityError, StorageDamagedError, StorageFailedError, StorageLostError, TidemarkError } from '../errors.js'
import type { CatalogueCore } from '../events/catalogue.js'
import type { EventShape, RecordedEvent } from '../events/event.js'
import { isUuidV7 } from '../events/identifier.js'
import { databaseName, streamName } from '../events/names.js'
import { Connection } from '../platform/connection.js'
import { commitWritten, mayCommitEarly, requested } from '../platform/indexeddb.js'
import type { AppendOptions, AppendResult, Durability, EventFilter, EventPage, ReadStreamOptions } from './event-store.js'
import { compileFilter } from './filter.js'
import { assertSupported, assertWhole, format, type LogMeta } from './format.js'
import { isLoss, mayBeLoss, readAround, readOneByOne } from './lost-records.js'
import { finishPage, maxScan, type CollectedRead, type PageReadOptions } from './pages.js'
import { duplicateResult, findConflict, wholeNumber, withoutKnown, type Codec, type KnownEvent, type PreparedAppend } from './prepare.js'
import { assertContiguous, decodeRecord, encodeRecords, idKey, otherIds, type CommitRecord, type StoredEvent } from './record.js'
import { assertAnswering } from './sentinel.js'

/** How many stream versions a writer remembers. */
const maxCachedVersions = 10_000
/** How many record boundaries a reader remembers, so that paging needs no search for where to go on. */
const maxBoundaries = 64
/** What one request reads at most, in characters of JSON and in records (H14). */
const maxReadCharacters = 4 * 1024 * 1024
const maxReadRecords = 1024
/** How many records a writer remembers for those in this context who follow it, and about how many characters of them. */
const maxTailRecords = 64
const maxTailCharacters = 256 * 1024
/** How many records of a stream are read at once. */
const streamPage = 128

/** What a writer believes of the log. Only a transaction decides whether it is true. */
interface WriterView {
  head: number
  /** No UUIDv7 above this one is in the log at `head`. */
  maxId: string
  versions: Map<string, number>
}

export interface IndexedDbLogOptions {
  readonly name: string
  readonly catalogue: CatalogueCore
  readonly codec: Codec | undefined
  readonly durability: Durability
  /** Called once if the database vanishes under this instance. */
  lost(): void
}

export class IndexedDbLog {
  readonly #options: IndexedDbLogOptions
  readonly connection: Connection
  #view: WriterView | undefined
  #boundaries = new Set<number>()
  /** The last records that this instance appended: one after the other, and nobody else's between them. */
  #tail: CommitRecord[] = []
  /** Events and characters per record, as last read: so that one request is likely to make a page. */
  #density = { events: 64, characters: 0 }
  #incarnation: string | undefined
  /** Of all who were heard of. */
  #newestFormat = format

  constructor(options: IndexedDbLogOptions) {
    this.#options = options
    this.connection = new Connection({
      name: databaseName(options.name),
      version: 1,
      label: `The event store '${options.name}'`,
      upgrade: (database) => {
        const meta = database.createObjectStore('meta', { keyPath: 'key' })
        const commits = database.createObjectStore('commits', { keyPath: 'at' })
        commits.createIndex('heads', 'heads', { multiEntry: true })
        commits.createIndex('commits', 'commits', { multiEntry: true, unique: true })
        commits.createIndex('ids', 'ids', { multiEntry: true })
        database.createObjectStore('checkpoints', { keyPath: 'name' })
        database.createObjectStore('letters', { keyPath: ['name', 'position'] })
        meta.put({ key: 'log', format, minReader: 1, minWriter: 1, incarnation: crypto.randomUUID() } satisfies LogMeta).catch(() => {})
      },
      verify: async (database) => {
        assertWhole(database, options.name)
        const meta = await requested(database.transaction('meta').objectStore('meta').get('log')) as LogMeta | undefined
        // Not "lost": some engines answer reads with nothing while a page goes away (H25), and this page may come back.
        if (meta === undefined) {
          throw new StorageFailedError(`The event store '${options.name}' does not show its identity: this page is going away, or the store was damaged. Retry.`, { outcome: 'not-written' })
        }
        assertSupported(meta, options.name)
        // A connection stays with one database for life, so asking once per connection is enough (H31).
        if (this.#incarnation !== undefined && this.#incarnation !== meta.incarnation) throw new StorageLostError('replaced')
        this.#incarnation = meta.incarnation
      },
      lost: () => {
        this.#view = undefined
        this.#tail = []
        options.lost()
      },
    })
  }

  /** The identity of the log; see {@link LogMeta.incarnation}. */
  async incarnation(): Promise<string> {
    // Also where it is known: nothing may be built for a log that is lost (H31).
    await this.connection.open()
    return this.#incarnation as string
  }

  /** Somebody else appended: what this writer believes is out of date. */
  headMoved(head: number, otherFormat: number = format): void {
    if (this.#view !== undefined && this.#view.head < head) this.#view = undefined
    if (endOf(this.#tail.at(-1)) < head) this.#tail = []
    if (otherFormat <= this.#newestFormat) return
    // The next connection tells whether a build of that format left the log to builds of this one (H41).
    this.#newestFormat = otherFormat
    this.connection.reopen()
  }

  /** Stores a prepared append. Calls must not overlap: the store queues them. */
  async append(prepared: PreparedAppend, options: AppendOptions): Promise<AppendResult> {
    const durability = options.durability ?? this.#options.durability
    const what = `appending to '${this.#options.name}'`
    const view = this.#view
    if (view !== undefined && this.#knowsEnough(view, prepared)) {
      try {
        return await this.#appendOptimistically(view, prepared, durability, what)
      } catch (error) {
        this.#view = undefined
        const refusedByKey = error instanceof TidemarkError && (error.cause as { name?: string } | undefined)?.name === 'ConstraintError'
        if (!refusedByKey) throw error
      }
    }
    // Inside a write transaction nobody else can move the head, so this second way always decides.
    const remembered = this.#view
    this.#view = undefined
    const fresh: WriterView = { head: 0, maxId: '', versions: new Map() }
    const writes = prepared.events.length > 0
    const decide = () => this.connection.transact(
      { stores: ['commits', 'meta'], mode: writes ? 'readwrite' : 'readonly', turns: 'several', isWrite: true, durability, what },
      async (transaction) => {
        const commits = transaction.objectStore('commits')
        const [last, topId, ...heads] = await Promise.all([
          requested(commits.openCursor(null, 'prev')),
          requested(commits.index('ids').openKeyCursor(IDBKeyRange.upperBound(otherIds, true), 'prev')),
          ...[...prepared.expected.keys()].map((stream) => requested(commits.index('heads').openKeyCursor(streamRange(stream, 0), 'prev'))),
        ])
        const lastRecord = last?.value as CommitRecord | undefined
        fresh.head = lastRecord === undefined ? 0 : lastRecord.at + lastRecord.n - 1
        // Every id of that millisecond counts as known.
        fresh.maxId = topId === null ? '' : `${String(topId.key)}~`
        ;[...prepared.expected.keys()].forEach((stream, index) => {
          const key = heads[index]?.key as [string, number] | undefined
          fresh.versions.set(stream, key?.[1] ?? 0)
        })
        const versionOf = (stream: string) => fresh.versions.get(stream) ?? 0
        const known = await findIds(commits, prepared, fresh.maxId)
        const { condition } = prepared
        const forbidden = condition === undefined ? undefined : await firstMatch(commits, condition.filter, condition.after)
        // Whoever was not first comes here, so no older build appends once a newer one did (H41).
        assertSupported(await assertAnswering(transaction), this.#options.name)
        const left = withoutKnown(prepared, known)
        const duplicate = left === prepared ? duplicateResult(prepared, known, versionOf) : undefined
        if (duplicate !== undefined) return duplicate
        const conflict = findConflict(prepared.expected, versionOf)
        if (conflict !== undefined) throw conflict
        if (forbidden !== undefined) throw new ConditionFailedError(forbidden)
        if (!writes) return { position: fresh.head, firstPosition: fresh.head, versions: versionsOf(prepared, versionOf), duplicate: false }
        const { records, versions } = encodeRecords(left, fresh.head + 1, versionOf)
        await commitWritten(transaction, records.map((record) => commits.add(record)))
        return { stored: left, records, versions }
      },
    )
    const outcome = await decide().catch((error: unknown) => {
      if (!isLoss(error)) throw error
      // Again: what was lost stays lost, and nothing else does.
      return decide()
    }).catch((error: unknown) => {
      if (!isLoss(error)) throw error
      throw new StorageDamagedError(`The browser lost a record that appending to '${this.#options.name}' depends on: verify() names it. Restore from an export.`, { cause: error.cause })
    })
    if (!('stored' in outcome)) return outcome
    if (remembered?.head === fresh.head) {
      // Nobody appended since, so what is remembered of other streams still holds.
      for (const [stream, version] of fresh.versions) remembered.versions.set(stream, version)
      fresh.versions = remembered.versions
    }
    this.#view = fresh
    return this.#appended(fresh, outcome.stored, outcome.records, outcome.versions)
  }

  #knowsEnough(view: WriterView, prepared: PreparedAppend): boolean {
    if (prepared.events.length === 0 || prepared.condition !== undefined) return false
    for (const stream of prepared.expected.keys()) if (!view.versions.has(stream)) return false
    for (const event of prepared.events) {
      if (event.idGiven && !(isUuidV7(event.id) && event.id > view.maxId)) return false
    }
    // What this writer knows may be old: only the storage may refuse.
    return findConflict(prepared.expected, (stream) => view.versions.get(stream) ?? 0) === undefined
  }

  async #appendOptimistically(view: WriterView, prepared: PreparedAppend, durability: Durability, what: string): Promise<AppendResult> {
    const { records, versions } = encodeRecords(prepared, view.head + 1, (stream) => view.versions.get(stream) ?? 0)
    await this.connection.transact({ stores: ['commits'], mode: 'readwrite', durability, what }, async (transaction) => {
      const commits = transaction.objectStore('commits')
      const writes = records.map((record) => commits.add(record))
      // A single record needs no more answer of the page, which a frozen one never gives (H6).
      if (writes.length === 1 && mayCommitEarly()) transaction.commit()
      else await commitWritten(transaction, writes)
    })
    return this.#appended(view, prepared, records, versions)
  }

  #appended(view: WriterView, prepared: PreparedAppend, records: readonly CommitRecord[], versions: ReadonlyMap<string, number>): AppendResult {
    const firstPosition = view.head + 1
    view.head += prepared.events.length
    for (const [stream, version] of versions) {
      view.versions.delete(stream)
      view.versions.set(stream, version)
    }
    for (const stream of view.versions.keys()) {
      if (view.versions.size <= maxCachedVersions) break
      view.versions.delete(stream)
    }
    for (const { id, idGiven } of prepared.events) if (id > view.maxId && (!idGiven || isUuidV7(id))) view.maxId = id
    for (const record of records) this.#rememberBoundary(record)
    this.#rememberTail(records)
    return { position: view.head, firstPosition, versions: versionsOf(prepared, (stream) => versions.get(stream) ?? 0), duplicate: false }
  }

  #rememberTail(records: readonly CommitRecord[]): void {
    const tail = endOf(this.#tail.at(-1)) + 1 === records[0]?.at ? [...this.#tail, ...records] : [...records]
    let characters = tail.reduce((sum, { events }) => sum + events.length, 0)
    while (tail.length > maxTailRecords || (characters > maxTailCharacters && tail.length > 0)) characters -= (tail.shift() as CommitRecord).events.length
    this.#tail = tail
  }

  #rememberBoundary(record: CommitRecord): void {
    this.#boundaries.add(record.at + record.n - 1)
    for (const old of this.#boundaries) {
      if (this.#boundaries.size <= maxBoundaries) break
      this.#boundaries.delete(old)
    }
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
        if (scannedTo === from - 1) this.#rememberBoundary(record)
      }
      bytes += taken.characters
      return taken
    }
    const finish = async (head: number): Promise<CollectedRead<E>> => {
      // Out here: what is thrown inside of the transaction would be taken for a failure of the storage.
      options.signal?.throwIfAborted()
      const answer = await finishPage<E>(found, broken, scannedTo, head, this.#options, options)
      return options.unreadable === 'collect' ? { ...answer, bytes } : answer
    }
    const own = options.own === true ? this.#tail.filter((record) => endOf(record) > after) : []
    if (own[0] !== undefined && own[0].at <= from) {
      take(own)
      return finish(endOf(own.at(-1)))
    }
    // Each read is a transaction of one turn: the log only grows, so nothing is lost between them (H6).
    const what = `reading '${this.#options.name}'`
    const read = <T>(work: (commits: IDBObjectStore) => Promise<T>): Promise<T> =>
      this.connection.transact({ stores: ['commits'], mode: 'readonly', what }, (transaction) => work(transaction.objectStore('commits')))
    const endNow = () => read(headOf).catch(async (error: unknown) => {
      if (!mayBeLoss(error)) throw error
      return endOf(await this.#lastRecord())
    })
    const keyBefore = (commits: IDBObjectStore, from: number) => requested(commits.openKeyCursor(IDBKeyRange.upperBound(from), 'prev'))
    let count = this.#recordsFor(limit)
    const atBoundary = after === 0 || this.#boundaries.has(after)
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
    if (firstEnd === 0 || inside === null) await assertAnswering(this.connection)
    let end = firstEnd
    let ready: CommitRecord[] | undefined = first
    if (inside !== undefined && inside !== null) from = inside.key as number
    while (scannedTo < end && found.length < limit && scannedTo - after < maxScan && options.signal?.aborted !== true) {
      const records: CommitRecord[] = ready ?? (await readAround(
        this.connection, what, (commits) => commits.getAll(IDBKeyRange.lowerBound(from), count), (commits) => commits.getAllKeys(IDBKeyRange.lowerBound(from), count)))
      ready = undefined
      if (records.length === 0) {
        await assertAnswering(this.connection)
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
      const records = await readAround(this.connection, `reading stream '${stream}'`,
        (commits) => commits.index('heads').getAll(range, streamPage), (commits) => commits.index('heads').getAllKeys(range, streamPage))
      if (records.length === 0) await assertAnswering(this.connection)
      for (const record of records) {
        const decoded = decodeRecord(record)
        const own = decoded.events.filter((event) => decoded.problem !== undefined || (event.stream === stream && event.version > after))
        const broken = new Map(decoded.problem === undefined ? [] : own.map((event) => [event.position, decoded.problem as string]))
        for (const event of own) {
          const page = await finishPage<E>([event], broken, event.position, event.position, this.#options, {})
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
    const head = await this.connection.transact({ stores: ['commits'], mode: 'readonly', what: `reading the head of '${this.#options.name}'` }, (transaction) =>
      headOf(transaction.objectStore('commits'))).catch(async (error: unknown) => {
      if (!isLoss(error)) throw error
      const last = await this.#lastRecord()
      // What can be read now was not lost.
      if (last?.lost === undefined) return endOf(last)
      throw new EventUnreadableError(last.at, 'the browser lost the last record of the log, and nobody knows how many events it held.', error.cause)
    })
    if (head === 0) await assertAnswering(this.connection)
    return head
  }

  /** The last record, read on its own; of one that is lost, what its key tells. */
  async #lastRecord(): Promise<CommitRecord | undefined> {
    const what = `reading the head of '${this.#options.name}'`
    const last = await this.connection.transact({ stores: ['commits'], mode: 'readonly', what }, (transaction) => requested(transaction.objectStore('commits').openKeyCursor(null, 'prev')))
    return last === null ? undefined : (await readOneByOne(this.connection, [last.key], what))[0]
  }

  async streamVersion(name: string): Promise<number> {
    const stream = streamName(name)
    const cursor = await this.connection.transact({ stores: ['commits'], mode: 'readonly', what: `reading the version of '${stream}'` }, (transaction) =>
      requested(transaction.objectStore('commits').index('heads').openKeyCursor(streamRange(stream, 0), 'prev')))
    if (cursor === null) await assertAnswering(this.connection)
    return (cursor?.key as [string, number] | undefined)?.[1] ?? 0
  }
}

/** The position of the last event; 0 if there is none, or if nothing answers. */
async function headOf(commits: IDBObjectStore): Promise<number> {
  return endOf((await requested(commits.openCursor(null, 'prev')))?.value as CommitRecord | undefined)
}

const endOf = (last: CommitRecord | undefined): number => (last === undefined ? 0 : last.at + last.n - 1)

/** The `heads` entries of a stream from a version on. An array sorts after every number. */
function streamRange(stream: string, from: number): IDBKeyRange {
  return IDBKeyRange.bound([stream, from], [stream, []])
}

function versionsOf(prepared: PreparedAppend, versionOf: (stream: string) => number): Record<string, number> {
  // No prototype, so that a stream named `__proto__` is a key like any other (H48).
  const versions: Record<string, number> = Object.create(null)
  for (const stream of prepared.expected.keys()) versions[stream] = versionOf(stream)
  return versions
}

/** Where the given ids of an append stand already. Ids above the largest one in the log need no look. */
async function findIds(commits: IDBObjectStore, prepared: PreparedAppend, maxId: string): Promise<Map<string, KnownEvent>> {
  const known = new Map<string, KnownEvent>()
  const wanted = new Set<string>()
  const keys = new Set<string>()
  for (const event of prepared.events) {
    if (!event.idGiven || (isUuidV7(event.id) && event.id > maxId)) continue
    wanted.add(event.id)
    keys.add(idKey(event.id))
  }
  if (wanted.size === 0) return known
  const seen = new Set<number>()
  const candidates = await Promise.all([...keys].map((key) => requested(commits.index('ids').getAll(key)) as Promise<CommitRecord[]>))
  for (const record of candidates.flat()) {
    if (seen.has(record.at)) continue
    seen.add(record.at)
    for (const { id, position, stream, version } of decodeRecord(record).events) {
      if (wanted.has(id)) known.set(id, { position, stream, version })
    }
  }
  return known
}

/** The first event after a position that a filter matches. */
async function firstMatch(commits: IDBObjectStore, filter: ReturnType<typeof compileFilter>, after: number): Promise<number | undefined> {
  const inside = await requested(commits.openKeyCursor(IDBKeyRange.upperBound(after + 1), 'prev'))
  let from = (inside?.key as number | undefined) ?? after + 1
  for (;;) {
    const records = await requested(commits.getAll(IDBKeyRange.lowerBound(from), 64)) as CommitRecord[]
    if (records.length === 0) return undefined
    for (const record of records) {
      for (const event of decodeRecord(record).events) if (event.position > after && filter.matches(event)) return event.position
      from = record.at + record.n
    }
  }
}
