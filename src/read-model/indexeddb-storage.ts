/** The database of one projection version: rows, dead letters, and the checkpoint that commits with them. */
import { StorageDamagedError, StorageFailedError } from '../errors.js'
import { databaseName } from '../events/names.js'
import { Connection } from '../platform/connection.js'
import { commitWritten, requested, transact } from '../platform/indexeddb.js'
import type { DeadLetterRecord, StoredFault } from '../projection/target.js'
import { projectionKey, type ProjectionDefinition } from './define.js'
import { nativeRange, type RowKey } from './keys.js'
import { letterStore, missingParts, rowStore, sides, stateStore } from './layout.js'
import {
  committed, emptyState, faulted, rebuildStarted, replayed, skipped, takeOver, workingSide,
  type Commit, type RowChanges, type RowsRead, type Side, type StateRow, type TakeOver, type Transition,
} from './state.js'
import { equal } from './equal.js'
import { assertSameTables, fingerprintOf } from './fingerprint.js'
import type { Answer, Query, QueryOptions, ReadModelStorage } from './storage.js'

/** How many rows of a commit are handed to the storage before the page gets its turn. */
const rowsPerTurn = 500

/** No state is never "from the beginning", nor "lost": some engines answer reads with nothing while a page goes away (H25). */
const silent = (key: string) =>
  new StorageFailedError(`The read model '${key}' does not show its state: this page is going away, or it was damaged. Retry; if it goes on, raise 'version'.`, { outcome: 'not-written' })

/** One connection to that database. */
export class IndexedDbStorage implements ReadModelStorage {
  readonly #log: string
  readonly #connection: Connection
  readonly #key: string
  readonly #tables: readonly string[]
  /** Where readers were sent last; only the transaction knows where they belong. */
  #shown: Side = 0

  /** `remake` resolves while the log is there, so that rows can be folded again. */
  constructor(storeName: string, definition: ProjectionDefinition, log: string, remake: () => Promise<unknown>) {
    this.#log = log
    this.#key = projectionKey(definition)
    this.#tables = Object.keys(definition.tables)
    const fingerprint = fingerprintOf(definition)
    this.#connection = new Connection({
      name: databaseName(storeName, this.#key),
      version: 1,
      label: `The read model '${this.#key}'`,
      remake,
      upgrade: (database) => {
        for (const side of sides) {
          for (const [name, { key, indexes = {} }] of Object.entries(definition.tables)) {
            const store = database.createObjectStore(rowStore(side, name), { keyPath: key })
            for (const [index, keyPath] of Object.entries(indexes)) store.createIndex(index, keyPath as string | string[])
          }
          database.createObjectStore(letterStore(side), { keyPath: 'position' })
        }
        // By chance, so that no runner takes a database that was made again for the one before it.
        const epoch = Math.floor(Math.random() * 2 ** 32)
        database.createObjectStore(stateStore, { keyPath: 'key' }).put({ ...emptyState(log, fingerprint), epoch }).catch(() => {})
      },
      verify: async (database) => {
        const damaged = (part: string) => new StorageDamagedError(`The read model '${this.#key}' lacks its ${part}, also after it was made again. Reload the page; raise 'version' if it goes on.`)
        // Before anything is asked of the others: they may be those of another declaration.
        if (!database.objectStoreNames.contains(stateStore)) throw damaged('state')
        const row = await transact(database, { stores: [stateStore], mode: 'readonly', what: `opening '${this.#key}'` }, (transaction) =>
          requested(transaction.objectStore(stateStore).get('state'))) as StateRow | undefined
        if (row === undefined) throw silent(this.#key)
        assertSameTables(definition, row)
        const [part] = missingParts(database, definition.tables)
        if (part !== undefined) throw damaged(part)
        this.#shown = row.shown
      },
    })
  }

  state(): Promise<StateRow> {
    return this.#read(`reading the state of '${this.#key}'`, [], (transaction) => this.#state(transaction))
  }

  begin(how: TakeOver): Promise<StateRow> {
    return this.#move(`taking over '${this.#key}'`, (before) => takeOver(before, this.#log, how))
  }

  commit(change: Commit): Promise<StateRow> {
    const { from, rows, letters, caughtUp } = change
    const side = workingSide(from)
    // Only what is written is locked; the end of a rebuild empties the side that it leaves.
    const stores = from.rebuild !== undefined && caughtUp ? this.#everything : this.#storesOf(side, rows, letters.length > 0)
    // What the state will be, unless somebody touched it.
    const expected = committed(this.#key, from, change)
    const small = expected.clear.length === 0 && [...rows.values()].reduce((sum, { size }) => sum + size, letters.length) <= rowsPerTurn
    return this.#write(`committing to '${this.#key}'`, stores, async (transaction) => {
      const asked = this.#state(transaction)
      // Were a write refused at once, nobody would hear of this one (H5).
      asked.catch(() => {})
      const put = async () => {
        for (const letter of letters) transaction.objectStore(letterStore(side)).put(letter)
        return this.#put(transaction, side, rows)
      }
      if (!small) {
        const transition = committed(this.#key, await asked, change)
        await put()
        return this.#finish(transaction, transition)
      }
      // In one turn with the question, since every turn costs a round trip. Its answer comes first, and takes everything back
      // if somebody else was there: nothing commits before.
      const written = put()
      written.catch(() => {})
      const last = transaction.objectStore(stateStore).put(expected.after)
      const [before] = await Promise.all([asked, written])
      const transition = committed(this.#key, before, change)
      if (!equal(before, from)) return this.#finish(transaction, transition)
      await commitWritten(transaction, [last])
      return expected.after
    })
  }

  async replay(from: StateRow, read: RowsRead, rows: RowChanges, letter: number): Promise<void> {
    const stores = new Set([...read.map(({ table }) => rowStore(from.shown, table)), ...this.#storesOf(from.shown, rows, true)])
    await this.#write(`replaying a dead letter of '${this.#key}'`, [...stores], async (transaction) => {
      const before = await this.#state(transaction)
      const letters = transaction.objectStore(letterStore(from.shown))
      const wasThere = (await requested(letters.getKey(letter))) !== undefined
      const now = await Promise.all(read.map(({ table, key }) => requested(transaction.objectStore(rowStore(from.shown, table)).get(key))))
      const rowsAsRead = read.every(({ row }, at) => equal(now[at] ?? null, row ?? null))
      const after = replayed(this.#key, before, from, { letter: wasThere, rowsAsRead })
      await this.#put(transaction, from.shown, rows)
      letters.delete(letter)
      return this.#finish(transaction, { after, clear: [] })
    })
  }

  async rebuild(): Promise<void> {
    await this.#move(`rebuilding '${this.#key}'`, rebuildStarted)
  }

  async fault(from: StateRow, fault: StoredFault): Promise<boolean> {
    const after = await this.#move(`recording why '${this.#key}' stopped`, (before) => faulted(before, from, fault) ?? { after: before, clear: [] })
    return after.rebuildFault === fault
  }

  async skip(position: number): Promise<void> {
    await this.#change(`skipping an event of '${this.#key}'`, (before) => skipped(before, position))
  }

  async setPaused(paused: boolean): Promise<void> {
    await this.#change(`${paused ? 'pausing' : 'resuming'} '${this.#key}'`, (before) => ({ ...before, paused }))
  }

  row(side: Side, table: string, key: RowKey): Promise<unknown> {
    return this.#rowsOf(side, table, (rows) => requested(rows.get(key)))
  }

  rows(side: Side, table: string, keys: readonly RowKey[]): Promise<unknown[]> {
    return this.#rowsOf(side, table, (rows) => Promise.all(keys.map((key) => requested(rows.get(key)))))
  }

  async wholeTable(side: Side, table: string, most: number): Promise<unknown[] | undefined> {
    if ((await this.#rowsOf(side, table, (rows) => requested(rows.count()))) > most) return undefined
    return this.#rowsOf(side, table, (rows) => requested(rows.getAll()))
  }

  async query(table: string, query: Query): Promise<Answer> {
    return this.#shownRows(`reading '${table}'`, (side) => rowStore(side, table), (rows) => ask(rows, query), turnsOf(query))
  }

  async letters(after: number, limit: number): Promise<DeadLetterRecord[]> {
    if (limit === 0) return []
    const { value } = await this.#shownRows(`reading dead letters of '${this.#key}'`, letterStore, (letters) =>
      requested(letters.getAll(IDBKeyRange.lowerBound(after, true), limit)))
    return value as DeadLetterRecord[]
  }

  async discardLetter(position: number): Promise<void> {
    await this.#write(`discarding a dead letter of '${this.#key}'`, sides.map(letterStore), async (transaction) => {
      const before = await this.#state(transaction)
      const letters = transaction.objectStore(letterStore(before.shown))
      const wasThere = (await requested(letters.getKey(position))) !== undefined
      letters.delete(position)
      return this.#finish(transaction, { after: { ...before, letters: before.letters - (wasThere ? 1 : 0) }, clear: [] })
    })
  }

  close(): void {
    this.#connection.close()
  }

  /** Asks what readers see, in one turn with the state; asks again only if a rebuild was completed since the last time. */
  async #shownRows(what: string, storeOf: (side: Side) => string, work: (rows: IDBObjectStore) => Promise<unknown>, turns?: 'one' | 'several'): Promise<Answer> {
    for (;;) {
      const side = this.#shown
      const [state, value] = await this.#read(what, [storeOf(side)], (transaction) =>
        Promise.all([this.#state(transaction), work(transaction.objectStore(storeOf(side)))]), turns)
      if (state.shown === side) return { state, value }
      this.#shown = state.shown
    }
  }

  /** Asks for rows together with the state: a storage that shows neither has not said that a row is missing (H25). */
  async #rowsOf<T>(side: Side, table: string, work: (rows: IDBObjectStore) => Promise<T>): Promise<T> {
    const [value] = await this.#read(`reading '${table}'`, [rowStore(side, table)], (transaction) =>
      Promise.all([work(transaction.objectStore(rowStore(side, table))), this.#state(transaction)]))
    return value
  }

  get #everything(): readonly string[] {
    return sides.flatMap((side) => [...this.#tables.map((table) => rowStore(side, table)), letterStore(side)])
  }

  #storesOf(side: Side, rows: RowChanges, letters: boolean): readonly string[] {
    return [...[...rows.keys()].map((table) => rowStore(side, table)), ...(letters ? [letterStore(side)] : [])]
  }

  /** A change of the state alone. */
  #change(what: string, change: (before: StateRow) => StateRow): Promise<StateRow> {
    return this.#write(what, [], async (transaction) => this.#finish(transaction, { after: change(await this.#state(transaction)), clear: [] }))
  }

  /** A change of the state that brings no rows, but may take some away. */
  #move(what: string, transition: (before: StateRow) => Transition): Promise<StateRow> {
    return this.#write(what, this.#everything, async (transaction) => this.#finish(transaction, transition(await this.#state(transaction))))
  }

  /** In portions, between which the page can paint and answer input: thousands of rows in one go would be a long task. */
  async #put(transaction: IDBTransaction, side: Side, changes: RowChanges): Promise<void> {
    let portion = 0
    for (const [table, rows] of changes) {
      const store = transaction.objectStore(rowStore(side, table))
      for (const { key, row } of rows.values()) {
        const request = row === null ? store.delete(key) : store.put(row)
        portion += 1
        if (portion % rowsPerTurn === 0) await requested(request as IDBRequest<unknown>)
      }
    }
  }

  async #finish(transaction: IDBTransaction, { after, clear }: Transition): Promise<StateRow> {
    for (const side of clear) {
      for (const table of this.#tables) transaction.objectStore(rowStore(side, table)).clear()
      transaction.objectStore(letterStore(side)).clear()
    }
    // The state comes last, so that its success speaks for every row before it.
    await commitWritten(transaction, [transaction.objectStore(stateStore).put(after)])
    return after
  }

  async #state(transaction: IDBTransaction): Promise<StateRow> {
    const row = await requested(transaction.objectStore(stateStore).get('state')) as StateRow | undefined
    if (row === undefined) throw silent(this.#key)
    return row
  }

  #read<T>(what: string, stores: readonly string[], work: (transaction: IDBTransaction) => Promise<T>, turns: 'one' | 'several' = 'one'): Promise<T> {
    return this.#connection.transact({ stores: [...stores, stateStore], mode: 'readonly', turns, what }, work)
  }

  #write<T>(what: string, stores: readonly string[], work: (transaction: IDBTransaction) => Promise<T>): Promise<T> {
    // What is derived can be derived again, so it need not be flushed (H18).
    return this.#connection.transact({ stores: [...stores, stateStore], mode: 'readwrite', durability: 'relaxed', what }, work)
  }
}

/** How many turns a question takes: a cursor needs this page for every row. */
const turnsOf = (query: Query): 'one' | 'several' =>
  query.kind === 'all' && query.options.direction === 'prev' && !readsBackwards() ? 'several' : 'one'

function ask(store: IDBObjectStore, query: Query): Promise<unknown> {
  if (query.kind === 'get') return requested(store.get(query.key))
  const { index, range, direction = 'next', limit } = query.options
  const source = index === undefined ? store : store.index(index)
  const span = nativeRange(range)
  if (query.kind === 'count') return requested(source.count(span ?? undefined))
  return direction === 'next' ? requested(source.getAll(span, limit)) : backwards(source, span, limit)
}

/** `getAll` takes a direction where `getAllRecords` exists, which is not everywhere yet (H13). */
const readsBackwards = (): boolean => 'getAllRecords' in IDBObjectStore.prototype

function backwards(source: IDBObjectStore | IDBIndex, span: IDBKeyRange | IDBValidKey | null, limit: QueryOptions['limit']): Promise<unknown[]> {
  if (readsBackwards()) {
    const options = { query: span, direction: 'prev', ...(limit === undefined ? {} : { count: limit }) }
    return requested((source as { getAll(options: unknown): IDBRequest<unknown[]> }).getAll(options))
  }
  return new Promise((resolve, reject) => {
    const rows: unknown[] = []
    const request = source.openCursor(span, 'prev')
    request.onerror = () => reject(request.error)
    request.onsuccess = () => {
      const cursor = request.result
      if (cursor === null) return resolve(rows)
      rows.push(cursor.value)
      if (rows.length === limit) resolve(rows)
      else cursor.continue()
    }
  })
}
