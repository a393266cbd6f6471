/** Appending to the log on IndexedDB: a warm writer does not read before it writes (docs/decisions/0001). */
import { ConditionFailedError, StorageDamagedError, TidemarkError, describe } from '../../errors.js'
import type { Clock } from '../../platform/clock.js'
import type { Connection } from '../../platform/connection.js'
import { commitWritten, mayCommitEarly, requested } from '../../platform/indexeddb.js'
import { RecentMap } from '../../platform/recent-map.js'
import { Slices } from '../../platform/slices.js'
import type { AppendOptions, AppendResult, Durability } from '../event-store.js'
import type { CompiledFilter } from '../filter.js'
import { assertSupported, raiseFormat } from './format.js'
import { hintPause } from '../head-watch.js'
import { IdGaps } from '../record/id-gaps.js'
import { isLoss } from './lost-records.js'
import { findConflict, type Codec, type PreparedAppend } from '../prepare.js'
import { headOf, streamRange } from './queries.js'
import type { RecentRecords } from './recent-records.js'
import type { StoredEvent } from '../record/record-text.js'
import { decodeRecord, editedError, encodeRecords, idKey, otherIds, type CommitRecord } from '../record/record.js'
import { assertSameEvents, duplicateResult, type KnownEvents } from '../repeated.js'
import { assertAnswering } from './sentinel.js'

/** How many stream versions a writer remembers. */
const maxCachedVersions = 10_000

/** What a writer believes of the log. Only a transaction decides whether it is true. */
interface WriterView {
  head: number
  /** Where in the log at `head` no id is. */
  ids: IdGaps
  versions: RecentMap<string, number>
}

export interface WriterContext {
  readonly name: string
  readonly durability: Durability
  readonly codec: Codec | undefined
  readonly clock: Pick<Clock, 'monotonic'>
}

export class LogWriter {
  readonly #connection: Connection
  readonly #recent: RecentRecords
  readonly #about: WriterContext
  #view: WriterView | undefined
  /** The largest head that was heard of since the writer last looked. */
  #claimed = 0
  /** Hints are ignored until then: one was not true. */
  #deafUntil = -Infinity

  constructor(connection: Connection, recent: RecentRecords, about: WriterContext) {
    this.#connection = connection
    this.#recent = recent
    this.#about = about
  }

  /**
   * A hint says that the log reaches so far. Returns whether it is followed up: the next append then looks before it writes, and what the
   * writer knows is forgotten only if the head did move. Where it did not, hints are ignored for a while: the unique keys refuse a
   * writer that is late (H63, H68).
   */
  headMoved(head: number): boolean {
    if (this.#about.clock.monotonic() < this.#deafUntil) return false
    this.#claimed = Math.max(this.#claimed, head)
    return this.#view === undefined || this.#view.head < head
  }

  forget(): void {
    this.#view = undefined
  }

  /** Stores a prepared append. Calls must not overlap: the store queues them. */
  async append(prepared: PreparedAppend, options: AppendOptions): Promise<AppendResult> {
    const durability = options.durability ?? this.#about.durability
    const what = `appending to '${this.#about.name}'`
    const view = this.#view
    if (view !== undefined && this.#claimed <= view.head && this.#knowsEnough(view, prepared)) {
      try {
        return await this.#appendOptimistically(view, prepared, durability, what)
      } catch (error) {
        this.#view = undefined
        const refusedByKey =
          error instanceof TidemarkError && (error.cause as { name?: string } | undefined)?.name === 'ConstraintError'
        if (!refusedByKey) throw error
      }
    }
    // Inside a write transaction nobody else can move the head, so this second way always decides.
    const remembered = this.#view
    this.#view = undefined
    const fresh = { head: 0, ids: new IdGaps([]), versions: new Map<string, number>() }
    // Heard before the look, and so true by then or never.
    const claimed = this.#claimed
    this.#claimed = 0
    const writes = prepared.events.length > 0
    const decide = () =>
      this.#connection.transact(
        {
          stores: ['commits', 'meta'],
          mode: writes ? 'readwrite' : 'readonly',
          turns: 'several',
          isWrite: true,
          durability,
          what,
          urgent: true,
        },
        async (transaction) => {
          const commits = transaction.objectStore('commits')
          const streams = [...prepared.expected.keys()]
          const [head, topId, heads] = await Promise.all([
            headOf(commits, 'not-written'),
            requested(commits.index('ids').openKeyCursor(IDBKeyRange.upperBound(otherIds, true), 'prev')),
            askEach(streams, (stream) => commits.index('heads').openKeyCursor(streamRange(stream, 0), 'prev')),
          ])
          fresh.head = head
          if (head < claimed) {
            this.#deafUntil = this.#about.clock.monotonic() + hintPause
            this.#claimed = 0
          }
          assertRoom(head + prepared.events.length)
          // If no other context appended since, what is remembered still holds.
          fresh.ids = new IdGaps([{ after: endOfKey(topId), before: otherIds }]).with(
            remembered?.head === head ? remembered.ids : undefined,
          )
          streams.forEach((stream, index) => {
            const key = heads[index]?.key as [string, number] | undefined
            assertVersion(stream, key?.[1] ?? 0, head)
            fresh.versions.set(stream, key?.[1] ?? 0)
          })
          const versionOf = (stream: string) => fresh.versions.get(stream) ?? 0
          const { known, gap } = await findIds(commits, prepared, fresh.ids)
          fresh.ids = fresh.ids.with(gap)
          const { condition } = prepared
          const forbidden =
            condition === undefined ? undefined : await firstMatch(commits, condition.filter, condition.after)
          // Whoever was not first comes here, so no older build appends once a newer one did (H41).
          const meta = await assertAnswering(transaction)
          assertSupported(meta, this.#about.name)
          assertSameEvents(prepared, known, this.#about.codec === undefined)
          const left = prepared.imported?.without(known, versionOf) ?? prepared
          const duplicate = left === prepared ? duplicateResult(prepared, known, versionOf) : undefined
          if (duplicate !== undefined) return duplicate
          const conflict = findConflict(prepared.expected, versionOf)
          if (conflict !== undefined) throw conflict
          if (forbidden !== undefined) throw new ConditionFailedError(forbidden)
          if (!writes)
            return {
              position: fresh.head,
              firstPosition: fresh.head,
              versions: versionsOf(prepared, versionOf),
              duplicate: false,
            }
          raiseFormat(transaction, meta)
          const { requests, ...written } = await write(commits, left, fresh.head + 1, versionOf)
          await commitWritten(transaction, requests)
          return { stored: left, ...written }
        },
      )
    const outcome = await decide()
      .catch((error: unknown) => {
        if (!isLoss(error)) throw error
        // Again: what was lost stays lost, and nothing else does.
        return decide()
      })
      .catch((error: unknown) => {
        if (!isLoss(error)) throw error
        throw new StorageDamagedError(
          `The browser lost a record that appending to '${this.#about.name}' depends on: verifyEventStore() names it. Restore from an export.`,
          { cause: error.cause },
        )
      })
    if (!('stored' in outcome)) return outcome
    const versions =
      remembered?.head === fresh.head ? remembered.versions : new RecentMap<string, number>(maxCachedVersions)
    for (const [stream, version] of fresh.versions) versions.set(stream, version)
    this.#view = { ...fresh, versions }
    return this.#appended(this.#view, outcome.stored, outcome.records, outcome.versions)
  }

  #knowsEnough(view: WriterView, prepared: PreparedAppend): boolean {
    // An import is checked against the log as it is.
    if (prepared.events.length === 0 || prepared.condition !== undefined || prepared.imported !== undefined)
      return false
    for (const stream of prepared.expected.keys()) if (!view.versions.has(stream)) return false
    if (prepared.events.some(({ id, idGiven }) => idGiven && !view.ids.isNew(id))) return false
    // What this writer knows may be old: only the storage may refuse.
    return findConflict(prepared.expected, (stream) => view.versions.get(stream) ?? 0) === undefined
  }

  async #appendOptimistically(
    view: WriterView,
    prepared: PreparedAppend,
    durability: Durability,
    what: string,
  ): Promise<AppendResult> {
    const { records, versions } = await this.#connection.transact(
      { stores: ['commits'], mode: 'readwrite', durability, what, urgent: true },
      async (transaction) => {
        assertRoom(view.head + prepared.events.length)
        const writing = write(
          transaction.objectStore('commits'),
          prepared,
          view.head + 1,
          (stream) => view.versions.get(stream) ?? 0,
        )
        // Not a turn later where there was no pause.
        const { requests, ...written } = writing instanceof Promise ? await writing : writing
        // A single record needs no more answer of the page, which a frozen one never gives (H6).
        if (requests.length === 1 && mayCommitEarly()) transaction.commit()
        else await commitWritten(transaction, requests)
        return written
      },
    )
    return this.#appended(view, prepared, records, versions)
  }

  #appended(
    view: WriterView,
    prepared: PreparedAppend,
    records: readonly CommitRecord[],
    versions: ReadonlyMap<string, number>,
  ): AppendResult {
    const firstPosition = view.head + 1
    view.head += prepared.events.length
    for (const [stream, version] of versions) view.versions.set(stream, version)
    view.ids.stored(prepared.events)
    this.#recent.appended(records)
    return {
      position: view.head,
      firstPosition,
      versions: versionsOf(prepared, (stream) => versions.get(stream) ?? 0),
      duplicate: false,
    }
  }
}

/** How many requests are made in one go. */
const askedAtOnce = 256

/** Asks for each. Between many the page gets its turn, while the storage is at work. */
async function askEach<T, R>(items: readonly T[], ask: (item: T) => IDBRequest<R>): Promise<R[]> {
  const answers: R[] = []
  for (let from = 0; from < items.length; from += askedAtOnce) {
    for (const answer of await Promise.all(items.slice(from, from + askedAtOnce).map((item) => requested(ask(item)))))
      answers.push(answer)
  }
  return answers
}

interface Written {
  readonly records: readonly CommitRecord[]
  readonly versions: ReadonlyMap<string, number>
  readonly requests: readonly IDBRequest[]
}

/** Adds the records of an append. Between many of them the page gets its turn, while the storage is at work. */
function write(
  commits: IDBObjectStore,
  prepared: PreparedAppend,
  at: number,
  versionOf: (stream: string) => number,
): Written | Promise<Written> {
  const records: CommitRecord[] = []
  const requests: IDBRequest[] = []
  const encoded = encodeRecords(prepared, at, versionOf)
  const slices = new Slices()
  let left = prepared.events.length
  const writeOn = (): Written | Promise<Written> => {
    for (;;) {
      const step = encoded.next()
      if (step.done === true) {
        for (const [stream, version] of step.value) assertVersion(stream, version, at)
        return { records, requests, versions: step.value }
      }
      records.push(step.value)
      const request = commits.add(step.value)
      requests.push(request)
      left -= step.value.n
      if (left === 0 || !slices.isOver) continue
      return requested(request).then(() => {
        slices.began()
        return writeOn()
      })
    }
  }
  return writeOn()
}

/** @throws LogInconsistentError where the last position would be the last whole number: a record was edited */
function assertRoom(head: number): void {
  if (head >= Number.MAX_SAFE_INTEGER)
    throw editedError(head, 'No position is left behind the last record', 'not-written')
}

/** @throws LogInconsistentError for what is not a version, or the last whole number: a record was edited */
function assertVersion(stream: string, version: number, head: number): void {
  if (!Number.isSafeInteger(version) || version < 0 || version >= Number.MAX_SAFE_INTEGER) {
    throw editedError(head, `A record says that stream '${stream}' is at version ${describe(version)}`, 'not-written')
  }
}

function versionsOf(prepared: PreparedAppend, versionOf: (stream: string) => number): Record<string, number> {
  // No prototype, so that a stream named `__proto__` is a key like any other (H48).
  const versions: Record<string, number> = Object.create(null)
  for (const stream of prepared.expected.keys()) versions[stream] = versionOf(stream)
  return versions
}

/** Every id of the millisecond that a key of the index `ids` names counts as known. */
const endOfKey = (cursor: IDBCursor | null): string => (cursor === null ? '' : `${String(cursor.key)}~`)

/** The events of the log that have given ids of an append, where those may be there, and around the first of them where no id is. */
async function findIds(
  commits: IDBObjectStore,
  prepared: PreparedAppend,
  ids: IdGaps,
): Promise<{ known: KnownEvents; gap?: IdGaps }> {
  const known = new Map<string, StoredEvent>()
  const wanted = new Set<string>()
  const keys = new Set<string>()
  let lowest = otherIds
  for (const event of prepared.events) {
    if (!event.idGiven || ids.isNew(event.id)) continue
    const key = idKey(event.id)
    if (key < lowest) lowest = key
    wanted.add(event.id)
    keys.add(key)
  }
  if (wanted.size === 0) return { known }
  const index = commits.index('ids')
  const neighbour = (range: IDBKeyRange, direction: IDBCursorDirection) =>
    requested(index.openKeyCursor(range, direction))
  const [below, above, candidates] = await Promise.all([
    // Behind an id that a clock made which was ahead (H52), there is room for those of today: the next append need not ask.
    lowest === otherIds ? null : neighbour(IDBKeyRange.upperBound(lowest), 'prev'),
    lowest === otherIds ? null : neighbour(IDBKeyRange.bound(lowest, otherIds, true, true), 'next'),
    askEach([...keys], (key) => index.getAll(key) as IDBRequest<CommitRecord[]>),
  ])
  const seen = new Set<number>()
  for (const record of candidates.flat()) {
    if (seen.has(record.at)) continue
    seen.add(record.at)
    for (const event of decodeRecord(record).events) if (wanted.has(event.id)) known.set(event.id, event)
  }
  return {
    known,
    ...(lowest === otherIds
      ? {}
      : { gap: new IdGaps([{ after: endOfKey(below), before: above === null ? otherIds : String(above.key) }]) }),
  }
}

/** The first event after a position that a filter matches. */
async function firstMatch(commits: IDBObjectStore, filter: CompiledFilter, after: number): Promise<number | undefined> {
  const inside = await requested(commits.openKeyCursor(IDBKeyRange.upperBound(after + 1), 'prev'))
  let from = (inside?.key as number | undefined) ?? after + 1
  for (;;) {
    const records = (await requested(commits.getAll(IDBKeyRange.lowerBound(from), 64))) as CommitRecord[]
    if (records.length === 0) return undefined
    for (const record of records) {
      for (const event of decodeRecord(record).events)
        if (event.position > after && filter.matches(event)) return event.position
      from = record.at + record.n
    }
  }
}
