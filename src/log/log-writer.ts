/** Appending to the log on IndexedDB: a warm writer does not read before it writes (docs/decisions/0001). */
import { ConditionFailedError, StorageDamagedError, TidemarkError } from '../errors.js'
import { isUuidV7 } from '../events/identifier.js'
import type { Connection } from '../platform/connection.js'
import { commitWritten, mayCommitEarly, requested } from '../platform/indexeddb.js'
import { RecentMap } from '../platform/recent-map.js'
import type { AppendOptions, AppendResult, Durability } from './event-store.js'
import type { CompiledFilter } from './filter.js'
import { assertSupported, raiseFormat } from './format.js'
import { isLoss } from './lost-records.js'
import { duplicateResult, findConflict, type KnownEvent, type PreparedAppend } from './prepare.js'
import { headOf, streamRange } from './queries.js'
import type { RecentRecords } from './recent-records.js'
import { decodeRecord, encodeRecords, idKey, otherIds, type CommitRecord } from './record.js'
import { assertAnswering } from './sentinel.js'

/** How many stream versions a writer remembers. */
const maxCachedVersions = 10_000

/** What a writer believes of the log. Only a transaction decides whether it is true. */
interface WriterView {
  head: number
  /** No UUIDv7 above this one is in the log at `head`. */
  maxId: string
  versions: RecentMap<string, number>
}

export class LogWriter {
  readonly #connection: Connection
  readonly #recent: RecentRecords
  readonly #about: { readonly name: string; readonly durability: Durability }
  #view: WriterView | undefined

  constructor(connection: Connection, recent: RecentRecords, about: { readonly name: string; readonly durability: Durability }) {
    this.#connection = connection
    this.#recent = recent
    this.#about = about
  }

  /** Somebody else appended: what this writer believes is out of date. */
  headMoved(head: number): void {
    if (this.#view !== undefined && this.#view.head < head) this.#view = undefined
  }

  forget(): void {
    this.#view = undefined
  }

  /** Stores a prepared append. Calls must not overlap: the store queues them. */
  async append(prepared: PreparedAppend, options: AppendOptions): Promise<AppendResult> {
    const durability = options.durability ?? this.#about.durability
    const what = `appending to '${this.#about.name}'`
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
    const fresh = { head: 0, maxId: '', versions: new Map<string, number>() }
    const writes = prepared.events.length > 0
    const decide = () => this.#connection.transact(
      { stores: ['commits', 'meta'], mode: writes ? 'readwrite' : 'readonly', turns: 'several', isWrite: true, durability, what, urgent: true },
      async (transaction) => {
        const commits = transaction.objectStore('commits')
        const [head, topId, ...heads] = await Promise.all([
          headOf(commits),
          requested(commits.index('ids').openKeyCursor(IDBKeyRange.upperBound(otherIds, true), 'prev')),
          ...[...prepared.expected.keys()].map((stream) => requested(commits.index('heads').openKeyCursor(streamRange(stream, 0), 'prev'))),
        ])
        fresh.head = head
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
        const meta = await assertAnswering(transaction)
        assertSupported(meta, this.#about.name)
        const left = prepared.imported?.without(known) ?? prepared
        const duplicate = left === prepared ? duplicateResult(prepared, known, versionOf) : undefined
        if (duplicate !== undefined) return duplicate
        const conflict = findConflict(prepared.expected, versionOf)
        if (conflict !== undefined) throw conflict
        if (forbidden !== undefined) throw new ConditionFailedError(forbidden)
        if (!writes) return { position: fresh.head, firstPosition: fresh.head, versions: versionsOf(prepared, versionOf), duplicate: false }
        raiseFormat(transaction, meta)
        const { requests, ...written } = write(commits, left, fresh.head + 1, versionOf)
        await commitWritten(transaction, requests)
        return { stored: left, ...written }
      },
    )
    const outcome = await decide().catch((error: unknown) => {
      if (!isLoss(error)) throw error
      // Again: what was lost stays lost, and nothing else does.
      return decide()
    }).catch((error: unknown) => {
      if (!isLoss(error)) throw error
      throw new StorageDamagedError(`The browser lost a record that appending to '${this.#about.name}' depends on: verifyEventStore() names it. Restore from an export.`, { cause: error.cause })
    })
    if (!('stored' in outcome)) return outcome
    // If nobody appended since, what is remembered of other streams still holds.
    const versions = remembered?.head === fresh.head ? remembered.versions : new RecentMap<string, number>(maxCachedVersions)
    for (const [stream, version] of fresh.versions) versions.set(stream, version)
    this.#view = { ...fresh, versions }
    return this.#appended(this.#view, outcome.stored, outcome.records, outcome.versions)
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
    const { records, versions } = await this.#connection.transact({ stores: ['commits'], mode: 'readwrite', durability, what, urgent: true }, async (transaction) => {
      const { requests, ...written } = write(transaction.objectStore('commits'), prepared, view.head + 1, (stream) => view.versions.get(stream) ?? 0)
      // A single record needs no more answer of the page, which a frozen one never gives (H6).
      if (requests.length === 1 && mayCommitEarly()) transaction.commit()
      else await commitWritten(transaction, requests)
      return written
    })
    return this.#appended(view, prepared, records, versions)
  }

  #appended(view: WriterView, prepared: PreparedAppend, records: readonly CommitRecord[], versions: ReadonlyMap<string, number>): AppendResult {
    const firstPosition = view.head + 1
    view.head += prepared.events.length
    for (const [stream, version] of versions) view.versions.set(stream, version)
    for (const { id, idGiven } of prepared.events) if (id > view.maxId && (!idGiven || isUuidV7(id))) view.maxId = id
    this.#recent.appended(records)
    return { position: view.head, firstPosition, versions: versionsOf(prepared, (stream) => versions.get(stream) ?? 0), duplicate: false }
  }
}

/** Adds the records of an append, and answers the requests. */
function write(commits: IDBObjectStore, prepared: PreparedAppend, at: number, versionOf: (stream: string) => number) {
  const records: CommitRecord[] = []
  const requests: IDBRequest[] = []
  const versions = encodeRecords(prepared, at, versionOf, (record) => {
    records.push(record)
    requests.push(commits.add(record))
  })
  return { records, versions, requests }
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
async function firstMatch(commits: IDBObjectStore, filter: CompiledFilter, after: number): Promise<number | undefined> {
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
