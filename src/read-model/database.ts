/** The database of one projection version: rows, dead letters, and the checkpoint that commits with them. */
import { IntegrityError, InvalidArgumentError, LeadershipLostError, ProjectionError, StorageLostError } from '../errors.js'
import { databaseName } from '../events/names.js'
import { Connection, requested } from '../platform/indexeddb.js'
import type { DeadLetterRecord, ProjectionState, StoredFault } from '../projection/target.js'
import type { ProjectionDefinition, RowKey } from './define.js'

const stateStore = 'tidemark:state'
const letterStore = 'tidemark:letters'

interface StateRow extends ProjectionState {
  readonly key: 'state'
  /** Which log the rows were folded from (H31, N36). */
  readonly log: string
  /** The tables as declared when the database was made. */
  readonly fingerprint: string
}

/** What one commit stores. */
export interface Change {
  readonly expected: { readonly position: number; readonly epoch: number }
  readonly position: number
  /** Table to key to row; `null` deletes. */
  readonly rows: ReadonlyMap<string, ReadonlyMap<RowKey, { readonly key: RowKey; readonly row: unknown }>>
  readonly letters: readonly DeadLetterRecord[]
  /** Takes this letter away, in the same transaction (N20). */
  readonly removeLetter?: number
}

export interface QueryOptions {
  /** @default the key of the table */
  readonly index?: string
  /** An `IDBKeyRange`, or a single key. */
  readonly range?: IDBKeyRange | IDBValidKey
  /** @default 'next' */
  readonly direction?: 'next' | 'prev'
  /** The most rows. @default all */
  readonly limit?: number
}

export class ProjectionDatabase {
  readonly #definition: ProjectionDefinition
  readonly #log: string
  readonly #connection: Connection
  readonly #key: string
  readonly #tables: readonly string[]

  constructor(storeName: string, definition: ProjectionDefinition, log: string) {
    this.#definition = definition
    this.#log = log
    this.#key = `${definition.name}@${definition.version}`
    this.#tables = Object.keys(definition.tables)
    const fingerprint = JSON.stringify(Object.entries(definition.tables).map(([name, { key, indexes = {} }]) => [name, key, Object.entries(indexes).sort()]).sort())
    const empty: StateRow = { key: 'state', position: 0, epoch: 0, owner: '', paused: false, letters: 0, log, fingerprint }
    this.#connection = new Connection({
      name: databaseName(storeName, this.#key),
      version: 1,
      label: `The read model '${this.#key}'`,
      upgrade: (database) => {
        for (const [name, { key, indexes = {} }] of Object.entries(definition.tables)) {
          const store = database.createObjectStore(name, { keyPath: key })
          for (const [index, keyPath] of Object.entries(indexes)) store.createIndex(index, keyPath as string | string[])
        }
        database.createObjectStore(letterStore, { keyPath: 'position' })
        database.createObjectStore(stateStore, { keyPath: 'key' }).put(empty).catch(() => {})
      },
      verify: async (database) => {
        const row = await requested(database.transaction(stateStore).objectStore(stateStore).get('state')) as StateRow | undefined
        // No row is never "from the beginning": some engines answer reads with nothing while a page goes away (H25).
        if (row === undefined) throw new StorageLostError(`The read model '${this.#key}' has no state.`)
        if (row.fingerprint !== fingerprint) {
          throw new ProjectionError(`The tables of '${this.#key}' are not those it was built with. Raise 'version' in defineProjection; the new version is built beside the old one.`,
            { projector: definition.name, attempts: 1 }, new IntegrityError(row.position, 'the declared tables changed'), 'definition-changed')
        }
      },
    })
  }

  async state(): Promise<ProjectionState> {
    return this.#connection.transact({ stores: [stateStore], mode: 'readonly', what: `reading the state of '${this.#key}'` }, (transaction) => readState(transaction, this.#key))
  }

  /** Raises the epoch. Rows of another log, or from beyond the head, are dropped: they are built again from the first event (N36). */
  async begin(owner: string, head: number): Promise<ProjectionState> {
    return this.#write(`taking over '${this.#key}'`, [...this.#tables, letterStore], async (transaction) => {
      const before = await readState(transaction, this.#key)
      const stale = before.log !== this.#log || before.position > head
      if (stale) for (const name of [...this.#tables, letterStore]) transaction.objectStore(name).clear()
      const after: StateRow = { ...before, ...(stale ? { position: 0, letters: 0, log: this.#log } : {}), epoch: before.epoch + 1, owner }
      transaction.objectStore(stateStore).put(after)
      transaction.commit()
      return after
    })
  }

  /** Rows, letters and checkpoint in one transaction, if the checkpoint and the epoch are still those expected. */
  async commit(change: Change): Promise<ProjectionState> {
    const touched = [...change.rows.keys()]
    const lettered = change.letters.length > 0 || change.removeLetter !== undefined
    return this.#write(`committing to '${this.#key}'`, [...touched, ...(lettered ? [letterStore] : [])], async (transaction) => {
      // One turn: the puts are queued behind the read, and an abort takes them all back.
      const reading = readState(transaction, this.#key)
      for (const [name, rows] of change.rows) {
        const store = transaction.objectStore(name)
        for (const { key, row } of rows.values()) row === null ? store.delete(key) : store.put(row)
      }
      for (const letter of change.letters) transaction.objectStore(letterStore).put(letter)
      const before = await reading
      if (before.position !== change.expected.position || before.epoch !== change.expected.epoch) {
        throw new LeadershipLostError(this.#key, `its checkpoint is ${before.position} in epoch ${before.epoch}, not ${change.expected.position} in epoch ${change.expected.epoch}.`)
      }
      let letters = before.letters + change.letters.length
      if (change.removeLetter !== undefined) {
        const letterRows = transaction.objectStore(letterStore)
        if ((await requested(letterRows.getKey(change.removeLetter))) === undefined) throw new InvalidArgumentError('letter', 'is not there any more: it was replayed or discarded already.')
        letterRows.delete(change.removeLetter)
        letters -= 1
      }
      const { fault, ...rest } = before
      // A replay changes rows behind the leader's back; the epoch makes it drop what it remembers of them.
      const epoch = before.epoch + (change.removeLetter === undefined ? 0 : 1)
      const after: StateRow = { ...rest, epoch, position: change.position, letters, ...(fault !== undefined && fault.position > change.position ? { fault } : {}) }
      transaction.objectStore(stateStore).put(after)
      transaction.commit()
      return after
    })
  }

  async get(name: string, key: RowKey): Promise<unknown> {
    return this.#connection.transact({ stores: [name], mode: 'readonly', what: `reading '${name}'` }, (transaction) => requested(transaction.objectStore(name).get(key)))
  }

  /** Rows in the order of the key or of an index. */
  async getAll(name: string, { index, range, direction = 'next', limit }: QueryOptions): Promise<unknown[]> {
    if (limit !== undefined && !(Number.isSafeInteger(limit) && limit >= 0)) throw new InvalidArgumentError('limit', 'must be a whole number of at least 0.')
    if (index !== undefined && !Object.hasOwn(this.#definition.tables[name]?.indexes ?? {}, index)) throw new InvalidArgumentError('index', `'${index}' is not declared for table '${name}'.`)
    if (limit === 0) return []
    return this.#connection.transact({ stores: [name], mode: 'readonly', what: `reading '${name}'` }, async (transaction) => {
      const store = transaction.objectStore(name)
      const source = index === undefined ? store : store.index(index)
      if (direction === 'next') return requested(source.getAll(range ?? null, limit))
      const rows: unknown[] = []
      await new Promise<void>((resolve, reject) => {
        const request = source.openCursor(range ?? null, 'prev')
        request.onerror = () => reject(request.error)
        request.onsuccess = () => {
          const cursor = request.result
          if (cursor === null) return resolve()
          rows.push(cursor.value)
          if (rows.length === limit) resolve()
          else cursor.continue()
        }
      })
      return rows
    })
  }

  async letters(): Promise<DeadLetterRecord[]> {
    return this.#connection.transact({ stores: [letterStore], mode: 'readonly', what: `reading dead letters of '${this.#key}'` }, (transaction) =>
      requested(transaction.objectStore(letterStore).getAll())) as Promise<DeadLetterRecord[]>
  }

  async discardLetter(position: number): Promise<void> {
    await this.#write(`discarding a dead letter of '${this.#key}'`, [letterStore], async (transaction) => {
      const before = await readState(transaction, this.#key)
      const letters = transaction.objectStore(letterStore)
      if ((await requested(letters.getKey(position))) !== undefined) {
        letters.delete(position)
        transaction.objectStore(stateStore).put({ ...before, letters: before.letters - 1 })
      }
      transaction.commit()
    })
  }

  async change(values: { paused?: boolean; fault?: StoredFault }): Promise<void> {
    await this.#write(`changing the state of '${this.#key}'`, [], async (transaction) => {
      transaction.objectStore(stateStore).put({ ...(await readState(transaction, this.#key)), ...values })
      transaction.commit()
    })
  }

  /** Drops all rows and starts again from the first event. */
  async restart(): Promise<void> {
    await this.#write(`rebuilding '${this.#key}'`, [...this.#tables, letterStore], async (transaction) => {
      const { fault: _fault, ...before } = await readState(transaction, this.#key)
      for (const name of [...this.#tables, letterStore]) transaction.objectStore(name).clear()
      transaction.objectStore(stateStore).put({ ...before, position: 0, letters: 0, epoch: before.epoch + 1 })
      transaction.commit()
    })
  }

  close(): void {
    this.#connection.close()
  }

  #write<T>(what: string, stores: readonly string[], work: (transaction: IDBTransaction) => Promise<T>): Promise<T> {
    // What is derived can be derived again, so it need not be flushed (H18).
    return this.#connection.transact({ stores: [...stores, stateStore], mode: 'readwrite', durability: 'relaxed', what }, work)
  }
}

async function readState(transaction: IDBTransaction, key: string): Promise<StateRow> {
  const row = await requested(transaction.objectStore(stateStore).get('state')) as StateRow | undefined
  if (row === undefined) throw new StorageLostError(`The state of read model '${key}' is gone. Open it anew.`, { outcome: 'not-written' })
  return row
}
