/** A read model in memory: the same rules as on IndexedDB, for Node, edge runtimes and tests. Nothing survives the process. */
import { ClosedError } from '../../errors.js'
import { say } from '../../messages.js'
import type { DeadLetterRecord, FaultOutcome, StoredFault } from '../../projection/target.js'
import { projectionKey, type Projection } from '../define.js'
import { equal } from '../equal.js'
import { assertSameDefinition, fingerprintOf, handledBy } from '../fingerprint.js'
import { atKeyPath, compareKeys, inRange, isIndexKey, mapKeyOf, type RowKey, type MapKey } from '../keys.js'
import {
  addLeftOut,
  assertPossible,
  committed,
  earlierVersions,
  emptyState,
  faulted,
  faultOutcome,
  letterBefore,
  looksBack,
  pausedOrNot,
  rebuildStarted,
  replayed,
  skipped,
  takeOver,
  tried,
  withoutLetter,
  workingSlot,
  type Commit,
  type RowChanges,
  type RowsRead,
  type Slot,
  type StateRow,
  type TakeOver,
  type Transition,
} from '../state.js'
import type { Answer, Query, ReadModelStorage, TableQuery } from '../storage.js'

type Table = Map<MapKey, { readonly key: RowKey; readonly row: unknown }>
interface SlotRows {
  readonly tables: Map<string, Table>
  readonly letters: Map<number, DeadLetterRecord>
}

/** What all instances of one read model share: what a database is on disk. */
interface MemoryDatabase {
  state: StateRow
  readonly slots: readonly [SlotRows, SlotRows]
}

/** The read models of one store in memory. */
export class MemoryReadModels {
  readonly #databases: MemoryDatabases = new Map()

  /** Opens one, and makes it if there is none. */
  open(definition: Projection, log: string): ReadModelStorage {
    return new MemoryStorage(this.#databases, definition, log)
  }

  /** The state, rows and letters that readers see, as they are stored. */
  stored(key: string): { state: StateRow; rows: Map<string, unknown[]>; letters: DeadLetterRecord[] } | undefined {
    const database = this.#databases.get(key)
    // One that was emptied is as good as none.
    if (database === undefined || database.state.fingerprint === '') return undefined
    const { tables, letters } = database.slots[database.state.shown]
    return {
      state: database.state,
      rows: new Map([...tables].map(([name, rows]) => [name, [...rows.values()].map(({ row }) => row)])),
      letters: [...letters.values()],
    }
  }

  /** Takes everything out of one. The epoch goes on, so that no runner takes it for what it left. */
  empty(key: string): void {
    const database = this.#databases.get(key)
    if (database === undefined) return
    const { log, epoch } = database.state
    // Whatever definition comes next may be another one.
    database.state = { ...emptyState(log, ''), epoch: epoch + 1 }
    for (const { tables, letters } of database.slots) {
      tables.clear()
      letters.clear()
    }
  }
}

type MemoryDatabases = Map<string, MemoryDatabase>

const inOrder = (letters: ReadonlyMap<number, DeadLetterRecord>): DeadLetterRecord[] =>
  [...letters.values()].sort((left, right) => left.position - right.position)

const emptySlot = (): SlotRows => ({ tables: new Map(), letters: new Map() })

/** One connection to a read model in memory. Nothing in it waits, so each method is atomic. */
class MemoryStorage implements ReadModelStorage {
  readonly #databases: MemoryDatabases
  readonly #database: MemoryDatabase
  readonly #definition: Projection
  readonly #key: string
  readonly #log: string
  #closed = false

  constructor(databases: MemoryDatabases, definition: Projection, log: string) {
    this.#databases = databases
    this.#definition = definition
    this.#key = projectionKey(definition)
    this.#log = log
    let database = databases.get(this.#key)
    if (database === undefined)
      databases.set(this.#key, (database = { state: emptyState(log, ''), slots: [emptySlot(), emptySlot()] }))
    this.#database = database
    this.#assertSame()
  }

  /** The first definition that opens an empty one owns it. */
  #assertSame(): void {
    const { state } = this.#database
    if (state.fingerprint === '')
      this.#database.state = {
        ...state,
        fingerprint: fingerprintOf(this.#definition),
        handles: handledBy(this.#definition),
      }
    assertSameDefinition(this.#definition, assertPossible(this.#key, this.#database.state))
  }

  /** What earlier versions left out by hand. */
  #leftOutBefore(): readonly number[] {
    const { name, version } = this.#definition
    const found = new Set<number>()
    for (const key of earlierVersions([...this.#databases.keys()], `${name}@`, version))
      addLeftOut(found, this.#databases.get(key)?.state, this.#log)
    return [...found]
  }

  async open(): Promise<void> {}

  async state(): Promise<StateRow> {
    return this.#state
  }

  async begin(how: TakeOver): Promise<StateRow> {
    this.#assertSame()
    const carried = looksBack(this.#state, this.#definition.version) ? this.#leftOutBefore() : undefined
    return this.#finish(takeOver(this.#state, this.#log, { ...how, handles: handledBy(this.#definition), carried }))
  }

  async tries(from: StateRow, position?: number): Promise<StateRow> {
    return this.#finish({ after: tried(this.#key, this.#state, from, position), clear: [] })
  }

  async commit(change: Commit): Promise<StateRow> {
    const transition = committed(this.#key, this.#state, change)
    const slot = workingSlot(change.from)
    this.#put(slot, change.rows)
    for (const letter of change.letters) this.#database.slots[slot].letters.set(letter.position, letter)
    return this.#finish(transition)
  }

  async replay(from: StateRow, read: RowsRead, rows: RowChanges, letter: number): Promise<void> {
    const { letters } = this.#database.slots[from.shown]
    const rowsAsRead = read.every(({ table, key, row }) =>
      equal(this.#table(from.shown, table).get(mapKeyOf(key))?.row ?? null, row ?? null),
    )
    const after = replayed(this.#key, this.#state, from, {
      letter: letters.has(letter),
      waitsFor: letterBefore(letters.get(letter), inOrder(letters)),
      rowsAsRead,
    })
    this.#put(from.shown, rows)
    letters.delete(letter)
    this.#finish({ after, clear: [] })
  }

  async rebuild(): Promise<void> {
    this.#finish(rebuildStarted(this.#state))
  }

  async fault(from: StateRow, fault: StoredFault, survived?: number): Promise<FaultOutcome> {
    return faultOutcome(this.#finish(faulted(this.#state, from, fault, survived)), fault)
  }

  async skip(position: number): Promise<void> {
    this.#finish({ after: skipped(this.#state, position), clear: [] })
  }

  async setPaused(paused: boolean): Promise<void> {
    this.#finish({ after: pausedOrNot(this.#state, paused), clear: [] })
  }

  async row(slot: Slot, table: string, key: RowKey): Promise<unknown> {
    return this.#table(slot, table).get(mapKeyOf(key))?.row
  }

  async rows(slot: Slot, table: string, keys: readonly RowKey[]): Promise<unknown[]> {
    const rows = this.#table(slot, table)
    return keys.map((key) => rows.get(mapKeyOf(key))?.row)
  }

  async wholeTable(slot: Slot, table: string, most: number): Promise<unknown[] | undefined> {
    const rows = this.#table(slot, table)
    return rows.size > most ? undefined : [...rows.values()].map(({ row }) => row)
  }

  async lastKey(slot: Slot, table: string): Promise<RowKey | undefined> {
    return [...this.#table(slot, table).values()]
      .map(({ key }) => key)
      .sort(compareKeys)
      .at(-1)
  }

  async query(table: string, query: Query): Promise<Answer> {
    return this.#query(table, query)
  }

  async queries(asked: readonly TableQuery[]): Promise<{ values: unknown[]; state: StateRow }> {
    return { values: asked.map(({ table, query }) => this.#query(table, query).value), state: this.#state }
  }

  #query(table: string, query: Query): Answer {
    const state = this.#state
    const rows = this.#table(state.shown, table)
    // Copies, as from a database: what an app does to its rows must not reach those of others.
    if (query.kind === 'get') return { state, value: structuredClone(rows.get(mapKeyOf(query.key))?.row) }
    const { index, range = {}, direction = 'next', limit = Infinity } = query.options
    if (query.kind === 'count' && index === undefined && range.lower === undefined && range.upper === undefined)
      return { state, value: rows.size }
    const path = index === undefined ? undefined : this.#definition.tables[table]?.indexes?.[index]
    const found = [...rows.values()]
      .map(({ key, row }) => ({ key, row, at: path === undefined ? key : atKeyPath(row, path) }))
      .filter(({ at }) => isIndexKey(at) && inRange(at, range))
    if (query.kind === 'count') return { state, value: found.length }
    found.sort((left, right) => compareKeys(left.at, right.at) || compareKeys(left.key, right.key))
    if (direction === 'prev') found.reverse()
    return { state, value: structuredClone(found.slice(0, limit).map(({ row }) => row)) }
  }

  async letters(after: number, limit: number): Promise<DeadLetterRecord[]> {
    return inOrder(this.#database.slots[this.#state.shown].letters)
      .filter(({ position }) => position > after)
      .slice(0, limit)
  }

  async blockedStreams(slot: Slot): Promise<ReadonlySet<string>> {
    return new Set(
      inOrder(this.#database.slots[slot].letters)
        .filter(({ holdsStream }) => holdsStream === true)
        .map(({ stream }) => stream),
    )
  }

  async discardLetter(position: number): Promise<void> {
    const before = this.#state
    const { letters } = this.#database.slots[before.shown]
    const letter = letters.get(position)
    if (letter === undefined) return
    letters.delete(position)
    this.#finish({ after: withoutLetter(before, letter.holdsStream === true), clear: [] })
  }

  close(): void {
    this.#closed = true
  }

  get #state(): StateRow {
    if (this.#closed) throw new ClosedError(say`The read model '${this.#key}'`)
    return assertPossible(this.#key, this.#database.state)
  }

  #table(slot: Slot, name: string): Table {
    const { tables } = this.#database.slots[slot]
    let table = tables.get(name)
    if (table === undefined) tables.set(name, (table = new Map()))
    return table
  }

  #put(slot: Slot, changes: RowChanges): void {
    for (const [name, rows] of changes) {
      const table = this.#table(slot, name)
      for (const [mapKey, { key, row }] of rows) {
        if (row === null) table.delete(mapKey)
        else table.set(mapKey, { key, row })
      }
    }
  }

  #finish({ after, clear }: Transition): StateRow {
    for (const slot of clear) {
      this.#database.slots[slot].tables.clear()
      this.#database.slots[slot].letters.clear()
    }
    this.#database.state = after
    return after
  }
}
