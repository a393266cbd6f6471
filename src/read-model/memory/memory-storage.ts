/**
 * A read model in memory: the same rules as on IndexedDB, for Node, edge runtimes and tests. Nothing survives the
 * process.
 */
import { ClosedError } from '../../errors.js'
import { randomId } from '../../events/identifier.js'
import { say } from '../../messages.js'
import { getOrMake } from '../../platform/get-or-make.js'
import type { DeadLetterRecord } from '../../projection/target.js'
import { projectionKey, type Projection } from '../define.js'
import { equal } from '../equal.js'
import { assertSameDefinition, fingerprintOf, handledBy } from '../fingerprint.js'
import { compareKeys, mapKeyOf, type RowKey, type MapKey } from '../keys.js'
import { leftOutIn } from '../earlier-versions.js'
import type { ReadModels, StoredModel } from '../read-models.js'
import { letterRemoved, type Replay } from '../dead-letters.js'
import { assertPossible } from '../possible-state.js'
import { select, type Selectable } from '../selection.js'
import {
  committed,
  emptyState,
  workingSlot,
  type Commit,
  type RowChanges,
  type Slot,
  type StateRow,
  type Transition,
} from '../state.js'
import { stamped } from '../stamps.js'
import type { Answers, Moved, Query, ReadModelStorage, TableQuery } from '../storage.js'

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
export class MemoryReadModels implements ReadModels {
  readonly #databases: MemoryDatabases = new Map()

  /** Opens one, and makes it if there is none. */
  open(definition: Projection, log: string): ReadModelStorage {
    return new MemoryStorage(this.#databases, definition, log)
  }

  async stored(definition: Projection): Promise<StoredModel | undefined> {
    const database = this.#databases.get(projectionKey(definition))
    // One that was emptied counts as deleted.
    if (database === undefined || database.state.fingerprint === '') return undefined
    const { tables, letters } = database.slots[database.state.shown]
    return {
      state: database.state,
      rows: new Map([...tables].map(([name, rows]) => [name, [...rows.values()].map(({ row }) => row)])),
      letters: [...letters.values()],
    }
  }

  async states(): Promise<[key: string, state: StateRow][]> {
    // One that was emptied counts as deleted.
    return [...this.#databases]
      .map(([key, { state }]): [string, StateRow] => [key, state])
      .filter(([, state]) => state.fingerprint !== '')
  }

  /** Empties it, and raises its epoch. */
  async remove(key: string): Promise<void> {
    const database = this.#databases.get(key)
    if (database === undefined) return
    const { state } = database
    // The definition that opens it next may be another one.
    const after = { ...emptyState(state.log, ''), epoch: state.epoch + 1 }
    database.state = stamped(state, { after, shows: true }, randomId())
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
  readonly log: string
  readonly #databases: MemoryDatabases
  readonly #database: MemoryDatabase
  readonly #definition: Projection
  readonly #key: string
  #closed = false

  constructor(databases: MemoryDatabases, definition: Projection, log: string) {
    this.log = log
    this.#databases = databases
    this.#definition = definition
    this.#key = projectionKey(definition)
    this.#database = getOrMake(databases, this.#key, () => {
      const first = emptyState(log, '')
      return { state: stamped(first, { after: first, shows: true }, randomId()), slots: [emptySlot(), emptySlot()] }
    })
    this.#own()
    assertSameDefinition(definition, this.#state)
  }

  /** The definition of one that was emptied meanwhile is noted again. */
  async open(): Promise<void> {
    this.#own()
  }

  close(): void {
    this.#closed = true
  }

  async state(): Promise<StateRow> {
    return this.#state
  }

  async move(_what: string, change: (before: StateRow) => Transition): Promise<Moved> {
    this.#own()
    return this.#finish(change(this.#state))
  }

  async commit(change: Commit): Promise<Moved> {
    const transition = committed(this.#key, this.#state, change)
    const slot = workingSlot(change.from)
    this.#put(slot, change.rows)
    for (const letter of change.letters) this.#database.slots[slot].letters.set(letter.position, letter)
    return this.#finish(transition)
  }

  async removeDeadLetter(position: number, replay?: Replay): Promise<Moved> {
    const before = this.#state
    const { letters } = this.#database.slots[before.shown]
    const found = {
      letter: letters.get(position),
      upToIt: inOrder(letters),
      rowsAsRead: (replay?.read ?? []).every(({ table, query, answer }) =>
        equal(this.#query(before.shown, table, query) ?? null, answer),
      ),
    }
    const after = letterRemoved(this.#key, before, found, replay?.from)
    if (replay !== undefined) this.#put(before.shown, replay.rows)
    letters.delete(position)
    return this.#finish({ after, shows: replay !== undefined })
  }

  async leftOutBefore(): Promise<readonly number[]> {
    const states = new Map([...this.#databases].map(([key, { state }]) => [key, state]))
    return leftOutIn(states, this.#definition, this.log)
  }

  async rows(slot: Slot, table: string, keys: readonly RowKey[]): Promise<unknown[]> {
    return keys.map((key) => this.#row(slot, table, key))
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

  async queries(asked: readonly TableQuery[], slot?: Slot): Promise<Answers> {
    const state = this.#state
    const answer = ({ table, query }: TableQuery) => this.#query(slot ?? state.shown, table, query)
    // Copies, as from a database: what an app does to its rows must not reach those of others.
    return { values: asked.map((one) => structuredClone(answer(one))), state }
  }

  async letters(after: number, limit: number, slot = this.#state.shown): Promise<DeadLetterRecord[]> {
    return inOrder(this.#database.slots[slot].letters)
      .filter(({ position }) => position > after)
      .slice(0, limit)
  }

  get #state(): StateRow {
    if (this.#closed) throw new ClosedError(say`The read model '${this.#key}'`)
    return assertPossible(this.#key, this.#database.state)
  }

  /** The first definition that opens or moves an emptied one owns it. */
  #own(): void {
    const { state } = this.#database
    if (state.fingerprint !== '') return
    this.#database.state = {
      ...state,
      fingerprint: fingerprintOf(this.#definition),
      handles: handledBy(this.#definition),
    }
  }

  #query(slot: Slot, table: string, query: Query): unknown {
    if (query.kind === 'get') return this.#row(slot, table, query.key)
    if (query.kind === 'many') return query.keys.map((key) => this.#row(slot, table, key))
    const found = select(query.options, this.#definition.tables[table] as Selectable, this.#table(slot, table).values())
    return query.kind === 'count' ? found.length : found.map(({ row }) => row)
  }

  #table(slot: Slot, name: string): Table {
    return getOrMake(this.#database.slots[slot].tables, name, () => new Map())
  }

  #row(slot: Slot, table: string, key: RowKey): unknown {
    return this.#table(slot, table).get(mapKeyOf(key))?.row
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

  #finish(transition: Transition): Moved {
    for (const slot of transition.clear ?? []) {
      this.#database.slots[slot].tables.clear()
      this.#database.slots[slot].letters.clear()
    }
    const before = this.#database.state
    const after = stamped(before, transition, randomId())
    this.#database.state = after
    return { before, after }
  }
}
