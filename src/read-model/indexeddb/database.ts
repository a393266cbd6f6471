/** The database of a read model: how it is made, what is checked when it is opened, and its transactions. */
import type { IDBPDatabase } from 'idb'
import { StorageDamagedError, StorageFailedError } from '../../errors.js'
import { say } from '../../messages.js'
import { randomId } from '../../events/identifier.js'
import { databaseName } from '../../events/names.js'
import { Connection } from '../../platform/connection.js'
import { requested, transact } from '../../platform/indexeddb.js'
import type { OpenOptions } from '../../platform/opening-tries.js'
import { projectionKey, type Projection, type Tables } from '../define.js'
import { assertSameDefinition, handledBy, mayBePacked, storedFingerprintOf } from '../fingerprint.js'
import { indexOptions } from '../index-keys.js'
import { assertPossible } from '../possible-state.js'
import { counted } from '../row-counts.js'
import { stamped } from '../stamps.js'
import { emptyState, type Slot, type StateRow } from '../state.js'
import { isPacked, letterStore, missingParts, rowStore, slots, stateStore } from './layout.js'
import { PackedTable } from './packed-table.js'
import { RecordTable } from './record-table.js'
import type { TableLayout } from './table-layout.js'

export class ReadModelDatabase {
  readonly definition: Projection
  readonly key: string
  /** The tables whose rows may lie in packs: those of a read model that is older than packs do not. */
  readonly packable: readonly string[]
  readonly #connection: Connection
  /** The slot that readers saw last; only a transaction knows which one they see now. */
  shown: Slot = 0

  /** `remake` resolves while the log exists, so that rows can be folded again. */
  constructor(storeName: string, definition: Projection, log: string, remake: () => Promise<unknown>) {
    this.definition = definition
    this.key = projectionKey(definition)
    this.packable = Object.keys(definition.tables).filter((name) => mayBePacked(definition.tables[name] ?? {}))
    this.#connection = new Connection({
      name: databaseName(storeName, this.key),
      version: 1,
      label: say`The read model '${this.key}'`,
      remake,
      upgrade: (database) => this.#make(database, log),
      verify: (database) => this.#verify(database),
    })
  }

  open(how?: OpenOptions): Promise<unknown> {
    return this.#connection.open(how)
  }

  close(): void {
    this.#connection.close()
  }

  async state(transaction: IDBTransaction): Promise<StateRow> {
    const row = (await requested(transaction.objectStore(stateStore).get('state'))) as StateRow | undefined
    // A missing state means neither "from the beginning" nor "lost": some engines return nothing for reads while a page
    // goes away (H25).
    if (row === undefined)
      throw new StorageFailedError(
        say`The read model '${this.key}' does not show its state: this page is being closed, or the read model was damaged. Retry; if it happens again, raise 'version'.`,
        { outcome: 'not-written' },
      )
    return assertPossible(this.key, row)
  }

  /** One of its tables, in a transaction. */
  table(transaction: IDBTransaction, slot: Slot, name: string): TableLayout {
    const store = transaction.objectStore(rowStore(slot, name))
    const definition = this.definition.tables[name] as Tables[string]
    return isPacked(store) ? new PackedTable(store, name, definition.key) : new RecordTable(store, definition)
  }

  /** A transaction over these object stores and the state. */
  read<T>(
    what: string,
    stores: readonly string[],
    work: (transaction: IDBTransaction) => Promise<T>,
    turns: 'one' | 'several' = 'one',
  ): Promise<T> {
    return this.#connection.transact({ stores: [...stores, stateStore], mode: 'readonly', turns, what }, work)
  }

  write<T>(what: string, stores: readonly string[], work: (transaction: IDBTransaction) => Promise<T>): Promise<T> {
    // What is derived can be derived again, so it need not be flushed (H18).
    return this.#connection.transact(
      { stores: [...stores, stateStore], mode: 'readwrite', durability: 'relaxed', what: say`${what} '${this.key}'` },
      work,
    )
  }

  /** Whether every table of these slots that may be packed is: the rows of others are not counted. */
  countsRows(transaction: IDBTransaction, of: readonly Slot[]): boolean {
    return of.every((slot) => this.packable.every((table) => isPacked(transaction.objectStore(rowStore(slot, table)))))
  }

  /** Empties a slot. */
  clear(transaction: IDBTransaction, slot: Slot): void {
    for (const table of Object.keys(this.definition.tables)) transaction.objectStore(rowStore(slot, table)).clear()
    transaction.objectStore(letterStore(slot)).clear()
  }

  #make(database: IDBPDatabase, log: string): void {
    const { definition } = this
    for (const slot of slots) {
      for (const [name, { key, indexes = {} }] of Object.entries(definition.tables)) {
        const options = this.packable.includes(name) ? {} : { keyPath: key as string | string[] }
        const store = database.createObjectStore(rowStore(slot, name), options)
        for (const [index, declared] of Object.entries(indexes)) {
          const { path, multiEntry = false } = indexOptions(declared)
          store.createIndex(index, path as string | string[], { multiEntry })
        }
      }
      database.createObjectStore(letterStore(slot), { keyPath: 'position' })
    }
    // Random, so that no runner takes a database that was made again for the one before it.
    const epoch = Math.floor(Math.random() * 2 ** 32)
    const first = { ...emptyState(log, storedFingerprintOf(definition), handledBy(definition)), epoch }
    const after = stamped(first, { after: first, shows: true }, randomId())
    database
      .createObjectStore(stateStore, { keyPath: 'key' })
      .put(counted(after, { after, clear: slots }, true))
      .catch(() => {})
  }

  async #verify(database: IDBDatabase): Promise<void> {
    const damaged = (part: string) =>
      new StorageDamagedError(
        say`The read model '${this.key}' lacks its ${part}, even though it was made again. Reload the page; if it happens again, raise 'version'.`,
      )
    // Before the other parts are checked: they may be those of another definition.
    if (!database.objectStoreNames.contains(stateStore)) throw damaged('state')
    const row = await transact(
      database,
      { stores: [stateStore], mode: 'readonly', what: say`opening '${this.key}'` },
      (transaction) => this.state(transaction),
    )
    assertSameDefinition(this.definition, row)
    const [part] = missingParts(database, this.definition.tables)
    if (part !== undefined) throw damaged(part)
    this.shown = row.shown
  }
}
