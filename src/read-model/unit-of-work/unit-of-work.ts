/** The unit of work: handlers run on it in memory, and what they leave is committed together. */
import type { EventShape, RecordedEvent } from '../../events/event.js'
import { isThenable } from '../../platform/promises.js'
import { stackGuard, type StackGuard } from '../../projection/stack-guard.js'
import { storageErrors } from '../../projection/storage-errors.js'
import type { Applying } from '../../projection/target.js'
import { projectionKey, type Projection, type TableDefinition } from '../define.js'
import type { MapKey } from '../keys.js'
import type { Entry } from './rows.js'
import type { RowChanges } from '../state.js'
import type { RowSource } from '../storage.js'
import { TableWork, type Answered } from './table-work.js'
import { EventWork, notAwaited } from './event-work.js'
import { evolve, foldsOf, unknownKeys, type Fold } from './folds.js'
import { tableWriters, type Invocation } from './table-writers.js'
import { hasUnique } from './unique-keys.js'

type Handler<E extends EventShape> = (event: RecordedEvent<E>, tables: unknown) => void | Promise<void>

/** If a page of events needs this many rows that are not in memory, more events should be prepared together. */
const manyRows = 128

/** Rows under the hands of one runner. */
export class UnitOfWork<E extends EventShape> {
  readonly #definition: Projection<E>
  readonly #source: RowSource
  readonly #folds: readonly Fold<E>[]
  readonly #writers: (event: Invocation) => object
  readonly #handlers = stackGuard()
  /** Made again by a reset, so that a handler which returns late changes only tables that are no longer used. */
  #tables: ReadonlyMap<string, TableWork> = new Map()
  readonly #reading = storageErrors()
  readonly #read: Answered | undefined
  readonly #hasUnique: boolean
  #preparedMuch = false
  #wantsPreparing = false

  /** @param read see `TableWorkOptions` */
  constructor(definition: Projection<E>, source: RowSource, read?: Answered) {
    this.#read = read
    this.#definition = definition
    this.#source = source
    this.#folds = foldsOf(definition)
    this.#hasUnique = Object.values(definition.tables).some(hasUnique)
    this.#writers = tableWriters(Object.keys(definition.tables))
    this.reset()
  }

  /** Forgets everything, and works on these rows from now on. `empty`: there are none yet. */
  reset(source: RowSource = this.#source, empty = false): void {
    const owner = projectionKey(this.#definition)
    const tables = Object.entries(this.#definition.tables as Record<string, TableDefinition<unknown>>)
    this.#tables = new Map(
      tables.map(([name, table]) => [name, new TableWork(name, table, source, { empty, owner, read: this.#read })]),
    )
  }

  /** Whether a handler asks; see `StackGuard`. */
  caller(): ReturnType<StackGuard['caller']> {
    return this.#handlers.caller()
  }

  /** The error is not the handler's: the storage failed to read a row. */
  isStorageFailure(error: unknown): boolean {
    return this.#reading.has(error)
  }

  /** What is to be committed. */
  get pending(): RowChanges {
    const changes = new Map<string, ReadonlyMap<MapKey, Entry>>()
    for (const [name, { pending }] of this.#tables) if (pending.size > 0) changes.set(name, pending)
    return changes
  }

  /** How many rows are to be committed. */
  get pendingRows(): number {
    let rows = 0
    for (const { pending } of this.#tables.values()) rows += pending.size
    return rows
  }

  /** The pending rows are stored now. `caughtUp`: no event is left that rows were prepared for. */
  committed(caughtUp = false): void {
    for (const table of this.#tables.values()) {
      const wasComplete = table.isComplete
      table.committed()
      if (caughtUp) table.endPage()
      if (wasComplete && !table.isComplete) this.#wantsPreparing = true
    }
  }

  /** Nothing is to be done for a while: see {@link TableWork.rest}. */
  rest(): void {
    for (const table of this.#tables.values()) table.rest()
  }

  /** A table became too large to be remembered whole, so that nothing was prepared in it. */
  get wantsPreparing(): boolean {
    return this.#wantsPreparing
  }

  /** The last events touched many rows that had to be read. */
  get preparedMuch(): boolean {
    return this.#preparedMuch
  }

  /** Loads together the rows that the folds of these events touch. */
  async prepare(events: readonly RecordedEvent<E>[]): Promise<void> {
    this.#preparedMuch = this.#wantsPreparing = false
    for (const table of this.#tables.values()) table.endPage()
    for (const fold of this.#folds) {
      const table = this.#tables.get(fold.table) as TableWork
      const keys = table.isComplete ? [] : unknownKeys(table, fold, events)
      // Rows that are read together share packs, if there are enough of them.
      if (keys.length >= manyRows) this.#preparedMuch = true
      if (keys.length > 0) await this.#reading.of(table.loadAll(keys))
    }
  }

  /** Runs the folds and the handler of an event; what they wrote counts only if all of it succeeds. */
  apply(event: RecordedEvent<E>): void | Applying {
    const { on } = this.#definition
    const handler = Object.hasOwn(on, event.type)
      ? ((on as Record<string, unknown>)[event.type] as Handler<E> | undefined)
      : undefined
    if (handler === undefined && this.#folds.length === 0) return
    const at = new EventWork(this.#tables, this.#load, handler === undefined ? undefined : this.#handlers)
    const handle = (): void | Promise<void> => {
      if (handler === undefined) return
      const result = this.#handlers.call(() => handler(event, this.#writers(at)))
      if (at.asked !== undefined && !isThenable(result)) throw notAwaited(at.asked)
      return result
    }
    try {
      const folding = this.#fold(event, at)
      const waiting = folding === undefined ? handle() : folding.then(handle)
      if (waiting !== undefined) return at.until(this.#hasUnique ? waiting.then(() => this.#checkUnique(at)) : waiting)
      const checking = this.#hasUnique ? this.#checkUnique(at) : undefined
      if (checking !== undefined) return at.until(checking)
    } catch (error) {
      at.failed(error)
    }
    at.ended()
  }

  /** Holds what an event left against the unique indexes. */
  #checkUnique(at: EventWork): void | Promise<void> {
    at.handled()
    // Every table is looked at first: one that throws would leave what another asked unobserved.
    const questions = [...at.tables.values()].flatMap((table) => table.checkUnique((read) => this.#load(at, read)))
    if (questions.length > 0) return Promise.all(questions.map((ask) => ask())).then(() => {})
  }

  /** Waits only for rows that were not prepared. */
  #fold(event: RecordedEvent<E>, at: Invocation, from = 0): void | Promise<void> {
    for (let index = from; index < this.#folds.length; index += 1) {
      const fold = this.#folds[index] as Fold<E>
      const key = fold.key(event)
      if (key === undefined) continue
      const table: TableWork = at.tables.get(fold.table) as TableWork
      table.assertKey(key, fold.label)
      const known = table.known(key)
      if (known === undefined) {
        return at
          .load(at, () => table.load(key))
          .then((entry) => {
            evolve(table, fold, key, entry, event)
            return this.#fold(event, at, index + 1)
          })
      }
      evolve(table, fold, key, known, event)
    }
  }

  /** Reads rows for an event. */
  readonly #load = async <T>(event: Invocation, read: () => Promise<T>): Promise<T> => {
    const found = await this.#reading.of(read()).catch((error: unknown) => {
      event.readFailure = { error }
      throw error
    })
    if (event.open) this.#handlers.resume()
    return found
  }
}
