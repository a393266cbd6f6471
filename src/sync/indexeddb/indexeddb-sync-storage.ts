/** A synced store's outbox, cursor and log in one database: every change is one transaction. */
import {
  describe,
  LogInconsistentError,
  StorageDamagedError,
  TidemarkError,
  UnsupportedFormatError,
} from '../../errors.js'
import type { Durability } from '../../log/event-store.js'
import { assertSupported, logShape } from '../../log/indexeddb/format.js'
import { addRecords } from '../../log/indexeddb/log-writer.js'
import { beginOf, headOf, lastKey, readCommits, streamHead } from '../../log/indexeddb/queries.js'
import { readLogState } from '../../log/indexeddb/read-log-state.js'
import { assertAnswering } from '../../log/indexeddb/sentinel.js'
import type { PreparedAppend } from '../../log/prepared-append.js'
import { decodeRecord, endOf, recordError, type CommitRecord } from '../../log/record/record.js'
import { say } from '../../messages.js'
import { lastRecord } from '../../platform/backwards.js'
import type { Connection } from '../../platform/connection.js'
import { commitWritten, requested, requestedAll } from '../../platform/indexeddb.js'
import { Slices } from '../../platform/slices.js'
import { completed, isBehind, isNext, joinedOwn, snapshotAfter, spansOf, withoutNeeds } from '../change-rules.js'
import { areSoundOwn, isNewer, isSoundRow, isSoundState, isWhole } from '../sound-rows.js'
import type { ConfirmedFacts, DeviceStorage, OutboxStamp, StreamEnd } from '../device-storage.js'
import type { OutboxRow, OwnRow, PulledEvents, SyncChange, SyncRule, SyncSnapshot, SyncState } from '../sync-state.js'
import type { Changed, ConfirmedEvents } from '../sync-storage.js'
import { syncShape } from './synced-database.js'
import { takenBack } from './taken-back.js'

export class IndexedDbSyncStorage implements DeviceStorage {
  readonly #connection: Connection
  readonly #name: string
  /** The versions that streams had come to in a turn: pages in a row do not look each of them up. */
  #ends: { readonly turn: number; readonly versions: Map<string, number> } = { turn: -1, versions: new Map() }

  constructor(connection: Connection, name: string) {
    this.#connection = connection
    this.#name = name
  }

  async load(): Promise<SyncSnapshot> {
    const [state, outbox] = await this.#read(['sync', 'outbox'], (transaction) =>
      Promise.all([stateIn(transaction), rowsIn(transaction, 'outbox', null)]),
    )
    return this.#snapshot(state, outbox)
  }

  async loadOwn(after: number): Promise<SyncSnapshot & { own: readonly OwnRow[] }> {
    const [state, outbox, before, behind] = await this.#read(['sync', 'outbox', 'own'], (transaction) =>
      Promise.all([
        stateIn(transaction),
        rowsIn(transaction, 'outbox', null),
        // One that begins before the position may end behind it.
        lastOwn(transaction, after),
        rowsIn(transaction, 'own', IDBKeyRange.lowerBound(after, true)),
      ]),
    )
    const snapshot = await this.#snapshot(state, outbox)
    const own = [...(before === undefined ? [] : [before]), ...(behind as OwnRow[])]
    if (!areSoundOwn(own, snapshot.state.cursor.at)) throw this.#damaged(say`what its own commits are`)
    return { ...snapshot, own: own.filter((row) => isBehind(row, after)) }
  }

  async stamp(): Promise<OutboxStamp & Pick<SyncState, 'identity'>> {
    const [state, last] = await this.#read(['sync', 'outbox'], (transaction) =>
      Promise.all([stateIn(transaction), lastKey(transaction.objectStore('outbox'), null)]),
    )
    const { turn, largestN, identity } = await this.#sound(state)
    if (last !== undefined && !isWhole(last, -Infinity)) throw this.#damaged(say`a commit of its outbox`)
    return { turn, largestN: Math.max(largestN, last ?? 0), identity }
  }

  async append(row: OutboxRow, from: SyncState, durability: Durability): Promise<'stored' | 'moved'> {
    const what = say`appending to '${this.#name}'`
    try {
      return await this.#connection.transact(
        { stores: ['sync', 'outbox'], mode: 'readwrite', durability, what, urgent: true },
        async (transaction) => {
          const state = await stateIn(transaction)
          if (state?.turn !== from.turn || row.n <= state.largestN) return 'moved'
          await commitWritten(transaction, [transaction.objectStore('outbox').add(row)])
          return 'stored'
        },
      )
    } catch (error) {
      // Another tab took the number.
      if (error instanceof TidemarkError && (error.cause as Error | undefined)?.name === 'ConstraintError')
        return 'moved'
      throw error
    }
  }

  async change(from: SyncSnapshot, rule: SyncRule): Promise<Changed> {
    // What it needs is known before the transaction, so that readers of the log do not wait for what is about the outbox.
    const guess = rule(from)
    const stores = storesOf(guess)
    // What the server has can be fetched again, and is with it what left the outbox.
    const isKept = guess?.takeBack !== undefined || (guess?.pulled === undefined && guess?.isRepeated !== true)
    const durability = isKept ? 'strict' : 'relaxed'
    const again: SyncRule = (snapshot) => (snapshot === from ? guess : rule(snapshot))
    const changed = await this.#change(from, stores, again, durability)
    // A commit that was appended meanwhile made it another change.
    const final = changed ?? ((await this.#change(from, allStores, rule, 'strict')) as Changed)
    if (final.kind === 'stored') this.#endsAfter(from.state.turn, final.change)
    return final
  }

  /** Only a change of another turn changes the log. */
  #endsAfter(before: number, { state: { turn }, pulled, takeBack }: SyncChange): void {
    let { versions } = this.#ends
    if (this.#ends.turn !== before || takeBack !== undefined || versions.size > mostEnds) versions = new Map()
    for (const [index, { stream }] of pulled?.events.entries() ?? [])
      versions.set(stream, pulled?.versions[index] as number)
    this.#ends = { turn, versions }
  }

  #change(
    from: SyncSnapshot,
    stores: readonly string[],
    rule: SyncRule,
    durability: Durability,
  ): Promise<Changed | undefined> {
    const what = say`syncing '${this.#name}'`
    return this.#connection.transact({ stores, mode: 'readwrite', durability, what }, async (transaction) => {
      const known = Math.max(from.state.largestN, from.outbox.at(-1)?.n ?? 0)
      const [state, newer] = await Promise.all([
        stateIn(transaction),
        rowsIn(transaction, 'outbox', IDBKeyRange.lowerBound(known, true)),
      ])
      // (N59)
      if (state?.turn !== from.state.turn) return { kind: 'moved' }
      const snapshot = completed(from, this.#rows(newer))
      const change = rule(snapshot)
      if (change === undefined) return { kind: 'unchanged', snapshot }
      if (storesOf(change).some((store) => !stores.includes(store))) return undefined
      const { pulled, takeBack } = change
      if (pulled !== undefined && !(await this.#pull(transaction, pulled, state.turn))) return { kind: 'inconsistent' }
      if (takeBack !== undefined) await takenBack(transaction, takeBack.upTo, state.identity)
      if (change.forget !== undefined) await forget(transaction, change.forget)
      await store(transaction, change)
      return { kind: 'stored', change, snapshot: snapshotAfter(snapshot, change) }
    })
  }

  /** Adds what follows the log; returns false if it does not. */
  async #pull(transaction: IDBTransaction, pulled: PulledEvents, turn: number): Promise<boolean> {
    const commits = transaction.objectStore('commits')
    const known = this.#ends.turn === turn ? this.#ends.versions : undefined
    const streams = [...new Set(pulled.events.map(({ stream }) => stream))]
    const unknown = streams.filter((stream) => known?.has(stream) !== true)
    const [meta, head, ...ends] = await Promise.all([
      assertAnswering(transaction),
      headOf(commits, 'not-written'),
      ...unknown.map((stream) => streamHead(commits, stream)),
    ])
    assertSupported(meta, this.#name)
    const versions = new Map(unknown.map((stream, index) => [stream, ends[index]?.[1] ?? 0]))
    const versionOf = (stream: string) => versions.get(stream) ?? known?.get(stream) ?? 0
    // (N60)
    if (!isNext(pulled, head, versionOf)) return false
    const expected = new Map(streams.map((stream) => [stream, 'any'] as const))
    // Never looked up: the server makes sure of ids.
    await addRecords(commits, { ...pulled, expected, imported: pulled }, head + 1, versionOf)
    return true
  }

  async facts(prepared: PreparedAppend): Promise<ConfirmedFacts> {
    const what = say`appending to '${this.#name}'`
    const work = async (transaction: IDBTransaction): Promise<ConfirmedFacts> => {
      const commits = transaction.objectStore('commits')
      const [state, { head, known, ids, match, versions }, last] = await Promise.all([
        stateIn(transaction),
        readLogState(commits, prepared, undefined),
        lastRecord(commits) as Promise<CommitRecord | undefined>,
      ])
      const lastId = last === undefined ? null : (decodeRecord(last).events.at(-1)?.id ?? null)
      const ends = new Map<string, StreamEnd>()
      for (const [stream, version] of versions)
        if (version > 0) ends.set(stream, { version, id: await idOf(commits, stream, version) })
      return { turn: state?.turn ?? -1, head, lastId, ends, known, ids, match }
    }
    const facts = await this.#connection.transact(
      { stores: ['commits', 'sync'], mode: 'readonly', turns: 'several', isWrite: true, what, urgent: true },
      work,
    )
    if (facts.head === 0) await assertAnswering(this.#connection)
    return facts
  }

  async confirmed(after: number, limit: number): Promise<ConfirmedEvents> {
    const what = say`reading '${this.#name}'`
    const records = await readCommits(
      this.#connection,
      what,
      async (commits) => {
        const begin = (await beginOf(commits, after + 1)) ?? after + 1
        const found: CommitRecord[] = []
        for (let from = begin; from <= after + limit;) {
          const records = (await requestedAll(commits.getAll(IDBKeyRange.lowerBound(from), 16))) as CommitRecord[]
          found.push(...records)
          if (records.length < 16) break
          from = endOf(records.at(-1)) + 1
        }
        return found
      },
      'several',
    )
    if (records.length === 0) await assertAnswering(this.#connection)
    const [events, starts] = [[], new Set<number>()] as [ConfirmedEvents['events'][number][], Set<number>]
    for (const record of records) {
      const { events: own, problem } = decodeRecord(record)
      if (problem !== undefined) throw recordError(record.at, problem)
      for (const event of own) if (event.position > after && event.position <= after + limit) events.push(event)
      for (const at of record.commits) if (at > after && at <= after + limit) starts.add(at)
    }
    return { events, starts }
  }

  #read<T>(stores: readonly string[], work: (transaction: IDBTransaction) => Promise<T>): Promise<T> {
    return this.#connection.transact(
      { stores, mode: 'readonly', what: say`reading the outbox of '${this.#name}'` },
      work,
    )
  }

  async #snapshot(state: SyncState | undefined, outbox: readonly unknown[]): Promise<SyncSnapshot> {
    const sound = await this.#sound(state)
    return { state: sound, outbox: this.#rows(outbox) }
  }

  /** @throws UnsupportedFormatError if a newer build wrote one of them; StorageDamagedError if one was edited */
  #rows(rows: readonly unknown[]): readonly OutboxRow[] {
    for (const row of rows as readonly Partial<OutboxRow>[])
      if (this.#known(row) && !isSoundRow(row)) throw this.#damaged(say`a commit of its outbox, ${describe(row.n)}`)
    return rows as readonly OutboxRow[]
  }

  /** @throws UnsupportedFormatError if a newer build wrote the state; StorageDamagedError if it is missing, or was edited */
  async #sound(state: SyncState | undefined): Promise<SyncState> {
    if (state === undefined) await assertAnswering(this.#connection)
    if (this.#known(state) && !isSoundState(state ?? {})) throw this.#damaged(say`its state`)
    return state as SyncState
  }

  /** @throws UnsupportedFormatError */
  #known(row: Parameters<typeof isNewer>[0]): true {
    if (!isNewer(row)) return true
    throw new UnsupportedFormatError(
      say`A newer version of this app wrote what the synced store '${this.#name}' has. Reload the page to get that version.`,
    )
  }

  #damaged(what: string): StorageDamagedError {
    return new StorageDamagedError(
      say`The synced store '${this.#name}' has lost ${what}, or that was edited: it is left as it is. After deleteEventStore everything that was confirmed is fetched again.`,
    )
  }
}

/** Of how many streams the version is remembered. */
const mostEnds = 20_000

const allStores = [...Object.keys(logShape), ...Object.keys(syncShape)]

function storesOf(change: SyncChange | undefined): readonly string[] {
  const { pulled, takeBack, own = [], forget } = change ?? {}
  if (takeBack !== undefined || forget !== undefined) return allStores
  return ['sync', 'outbox', ...(own.length > 0 ? ['own'] : []), ...(pulled === undefined ? [] : ['commits', 'meta'])]
}

const stateIn = (transaction: IDBTransaction): Promise<SyncState | undefined> =>
  requested(transaction.objectStore('sync').get('state'))

const rowsIn = (transaction: IDBTransaction, store: string, range: IDBKeyRange | null): Promise<unknown[]> =>
  requestedAll(transaction.objectStore(store).getAll(range))

/** The last own row that begins up to a position. */
const lastOwn = (transaction: IDBTransaction, position: number): Promise<OwnRow | undefined> =>
  requested(transaction.objectStore('own').openCursor(IDBKeyRange.upperBound(position), 'prev')).then(
    (cursor) => cursor?.value as OwnRow | undefined,
  )

async function forget(
  transaction: IDBTransaction,
  { needsUpTo = 0, attic = [] }: NonNullable<SyncChange['forget']>,
): Promise<void> {
  for (const identity of attic) transaction.objectStore('attic').delete(IDBKeyRange.bound([identity], [identity, []]))
  const own = transaction.objectStore('own')
  const range = IDBKeyRange.upperBound(needsUpTo)
  const rows = (await requestedAll(own.getAll(range))) as OwnRow[]
  own.delete(range)
  for (const row of withoutNeeds(rows)) own.put(row)
}

/** Writes the rows of a change, and ends the transaction. Between many of them it waits, so that the page can respond. */
async function store(transaction: IDBTransaction, { state, put = [], remove = [], own = [] }: SyncChange) {
  const outbox = transaction.objectStore('outbox')
  const slices = new Slices()
  for (const [from, to] of spansOf(remove)) outbox.delete(IDBKeyRange.bound(from, to))
  for (const row of put) {
    const request = outbox.put(row)
    if (!slices.isOver) continue
    await requested(request)
    slices.began()
  }
  if (own.length > 0) {
    const rows = transaction.objectStore('own')
    for (const row of joinedOwn(await lastOwn(transaction, Infinity), own)) rows.put(row)
  }
  await commitWritten(transaction, [transaction.objectStore('sync').put(state)])
}

/** The id of an event of a stream. */
async function idOf(commits: IDBObjectStore, stream: string, version: number): Promise<string> {
  const record = (await requested(commits.index('heads').get([stream, version]))) as CommitRecord | undefined
  const event = record && decodeRecord(record).events.find((each) => each.stream === stream && each.version === version)
  if (event === undefined || event.id === '')
    throw new LogInconsistentError(
      record?.at ?? 0,
      say`The last event of stream '${stream}' cannot be read: its record was edited or damaged.`,
      'not-written',
    )
  return event.id
}
