/** Applying own events to the rows of a read model in memory: by the handlers and folds that fold the log. */
import { InvalidArgumentError } from '../../errors.js'
import type { RecordedEvent } from '../../events/event.js'
import { say } from '../../messages.js'
import type { Clock } from '../../platform/clock.js'
import { Slices } from '../../platform/slices.js'
import type { Applying } from '../../projection/target.js'
import type { Projection, Tables } from '../../read-model/define.js'
import { atKeyPath, mapKeyOf, type MapKey, type RowKey } from '../../read-model/keys.js'
import { rowSource, type ReadModelStorage, type RowSource } from '../../read-model/storage.js'
import type { StateRow } from '../../read-model/state.js'
import { UnitOfWork } from '../../read-model/unit-of-work/unit-of-work.js'
import type { KnownRows, LaidRows } from './merged.js'

/** An own event, ready to be applied. */
export interface OwnApplied {
  readonly event: RecordedEvent
  /** The name of its commit, if that is pending. */
  readonly commit: string | undefined
  /** Why it cannot be read. */
  readonly error?: unknown
}

/** How long the handler of one event may take, ms. A run waits for it without end, but here a query waits. */
const longest = 5_000

/** A unit of work for own events, over the stored rows of one state. Its rows are kept in memory and stored nowhere. */
export class OverlayWork {
  readonly #work: UnitOfWork<never>
  readonly #clock: Clock
  readonly #source: Recorder
  readonly #isNow: () => Promise<boolean>
  /** How many of its reads are known to be of the state that it began with. */
  #checkedReads = 0
  /** How many handlers returned a promise, and how to give up the one that is waited for. */
  #waits = 0
  #giveUp = () => {}
  /** By the name of the commit: why views do not show an event of it. */
  readonly unshown = new Map<string, unknown>()

  /** @param isNow whether the rows are still in this state */
  constructor(
    definition: Projection,
    storage: ReadModelStorage,
    state: StateRow,
    clock: Clock,
    isNow: () => Promise<boolean>,
  ) {
    this.#clock = clock
    this.#isNow = isNow
    const isEmpty = state.position === 0
    this.#source = new Recorder(definition.tables, rowSource(storage, state.shown), isEmpty)
    this.#work = new UnitOfWork(definition as unknown as Projection<never>, this.#source)
    this.#work.reset(this.#source, isEmpty)
  }

  /** The rows that were changed so far. The map changes with the next event. */
  get rows(): LaidRows {
    return this.#work.pending as LaidRows
  }

  /** The stored rows that were read. */
  get known(): KnownRows {
    return this.#source.known
  }

  /**
   * Applies events, in slices of time. One that fails is left out, and nothing else.
   *
   * @returns false once it has read rows of a later state
   * @throws what the storage throws
   */
  async apply(pages: AsyncIterable<readonly OwnApplied[]>): Promise<boolean> {
    const slices = new Slices(() => this.#clock.monotonic())
    const stopWatching = this.#watch()
    try {
      for await (const page of pages) {
        await this.#work.prepare(page.flatMap(({ event, error }) => (error === undefined ? [event as never] : [])))
        if (!(await this.#isWhole())) return false
        for (const [at, one] of page.entries()) {
          const waiting = this.#applyOne(one)
          if (waiting !== undefined) await waiting
          if (at % 8 === 7 && slices.isOver) await slices.turn()
        }
      }
    } finally {
      stopWatching()
    }
    return this.#isWhole()
  }

  /** Whether all rows so far are of the first state. Asked soon after rows were read, since later changes do not matter. */
  async #isWhole(): Promise<boolean> {
    const { reads } = this.#source
    if (reads !== this.#checkedReads && !(await this.#isNow())) return false
    this.#checkedReads = reads
    return true
  }

  /** Gives up a handler that takes too long. Returns how to stop that. */
  #watch(): () => void {
    let cancel = () => {}
    const arm = () => {
      const at = this.#waits
      cancel = this.#clock.schedule(longest, () => {
        if (at === this.#waits) this.#giveUp()
        arm()
      })
    }
    arm()
    return () => cancel()
  }

  #applyOne(one: OwnApplied): Promise<void> | undefined {
    try {
      if (one.error !== undefined) throw one.error
      const applying = this.#work.apply(one.event as never)
      if (applying !== undefined) return this.#applied(applying, one)
    } catch (error) {
      this.#failed(one, error)
    }
    return undefined
  }

  async #applied(applying: Applying, one: OwnApplied): Promise<void> {
    this.#waits += 1
    try {
      try {
        await new Promise<void>((resolve, reject) => {
          const { type } = one.event
          this.#giveUp = () =>
            reject(new InvalidArgumentError(say`The handler of '${type}'`, say`did not settle within ${longest} ms.`))
          applying.done.then(resolve, reject)
        })
      } catch (error) {
        applying.failed(error)
      }
      applying.ended()
    } catch (error) {
      this.#failed(one, error)
    }
  }

  #failed({ commit }: OwnApplied, error: unknown): void {
    if (this.#work.isStorageFailure(error)) throw error
    if (commit !== undefined && !this.unshown.has(commit)) this.unshown.set(commit, error)
  }
}

/** Stored rows of a table; `isWhole`: others are not there. */
class KnownTable extends Map<MapKey, unknown> {
  constructor(public isWhole: boolean) {
    super()
  }

  override has(key: MapKey): boolean {
    return this.isWhole || super.has(key)
  }
}

/** The rows of the storage. Remembers those that were read. */
class Recorder implements RowSource {
  readonly #tables: Tables
  readonly #rows: RowSource
  readonly known: ReadonlyMap<string, KnownTable>
  reads = 0

  constructor(tables: Tables, rows: RowSource, isEmpty: boolean) {
    this.#tables = tables
    this.#rows = rows
    this.known = new Map(Object.keys(tables).map((table) => [table, new KnownTable(isEmpty)]))
  }

  async rows(table: string, keys: readonly RowKey[]): Promise<readonly unknown[]> {
    this.reads += 1
    const rows = await this.#rows.rows(table, keys)
    for (const [at, key] of keys.entries()) this.#of(table).set(mapKeyOf(key), rows[at])
    return rows
  }

  async wholeTable(table: string, most: number): Promise<readonly unknown[] | undefined> {
    this.reads += 1
    const rows = await this.#rows.wholeTable(table, most)
    if (rows !== undefined) {
      this.#remember(table, rows)
      this.#of(table).isWhole = true
    }
    return rows
  }

  lastKey(table: string): Promise<RowKey | undefined> {
    this.reads += 1
    return this.#rows.lastKey(table)
  }

  async select(...[table, selection]: Parameters<RowSource['select']>): Promise<readonly unknown[]> {
    this.reads += 1
    const rows = await this.#rows.select(table, selection)
    this.#remember(table, rows)
    return rows
  }

  #of(table: string): KnownTable {
    return this.known.get(table) as KnownTable
  }

  #remember(table: string, rows: readonly unknown[]): void {
    const { key } = this.#tables[table] as Tables[string]
    for (const row of rows) this.#of(table).set(mapKeyOf(atKeyPath(row, key) as RowKey), row)
  }
}
