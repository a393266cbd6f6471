/** Projectors into tables of the app's own: what they write and their checkpoint are one transaction. */
import { InvalidArgumentError, LeadershipLostError, hasCode } from '../errors.js'
import type { EventShape, RecordedEvent } from '../events/event.js'
import { projectionName } from '../events/names.js'
import type { EventFilter } from '../log/event-store.js'
import { say } from '../messages.js'
import { onlyKnown } from '../platform/arguments.js'
import { isObject } from '../platform/objects.js'
import type { CheckpointStore, SaveOptions } from '../ports.js'
import { ownTarget, PlainTarget, type OwnTarget } from '../projection/plain.js'
import type { Projector } from '../projection/projector.js'
import { applied, type FailureContext, type FailureStrategy, type ProjectionState } from '../projection/target.js'
import {
  postgresCheckpoints,
  removeDeadLetter,
  saveCheckpoint,
  storedCheckpoint,
  type CheckpointPlace,
} from './postgres-checkpoints.js'
import { isRefusedByServer } from './postgres-errors.js'
import { partsOf, type PostgresStore } from './postgres-store.js'
import { called, type ProjectorSql } from './projector-call.js'
import type { Database, Sql } from './sql-database.js'

/** What {@link sqlProjector} takes: `apply`, or `applyAll` for what has to be fast. */
export type SqlProjectorSpec<E extends EventShape = EventShape> = {
  /** The name of its checkpoint and of its lock. */
  readonly name: string
  /** Which events. @default all */
  readonly filter?: EventFilter<E>
  /** As that of a `Projector`. @default 'fatal' */
  onFailure?(failure: FailureContext<E>): FailureStrategy | Promise<FailureStrategy>
} & (
  | {
      /**
       * Writes to the app's tables, by `sql` alone. Events come one after the other, in the order of the log. May be
       * called again for an event: what the earlier call wrote was rolled back. Await each statement. An event fails
       * whose statement failed, also if you catch that, unless you return to a savepoint of your own: PostgreSQL takes
       * no further statement in that transaction.
       */
      apply(event: RecordedEvent<E>, sql: ProjectorSql): Promise<void>
      readonly applyAll?: never
    }
  | {
      /**
       * The same for a run of events: 1 to 1,000, in the order of the log. A statement for many of them saves the
       * round trips. If it rejects, all that it wrote is rolled back, and its events come again one by one, each in a
       * call of its own, so that `onFailure` decides about the one that fails.
       */
      applyAll(events: readonly RecordedEvent<E>[], sql: ProjectorSql): Promise<void>
      readonly apply?: never
    }
)

/**
 * A projector into tables of your own in the same database, each event exactly once: what `apply` writes and the
 * checkpoint are committed together. Run it with `runProjection` or `startProjection` over this store. If two processes
 * run it, one of them gets a `LeadershipLostError` or waits, and no event counts twice.
 *
 * While it catches up, one transaction covers many events. If one of them fails, it alone is rolled back, and `onFailure`
 * decides.
 *
 * Its checkpoint belongs to its name alone. Within a process, a second one of the same name whose functions or filter
 * differ is refused with a DefinitionChangedError while the first runs. Between processes that is not noticed: each event
 * is written by the code of whichever runs, so give it another name, and another table, if it is to write something else.
 *
 * @throws InvalidArgumentError, InvalidNameError
 *
 * @example
 * const revenue = sqlProjector(store, {
 *   name: 'revenue',
 *   filter: { types: ['OrderPaid'] },
 *   apply: async ({ data, time }, sql) => {
 *     await sql.query(
 *       `insert into revenue (day, cents) values (to_timestamp($1 / 1000.0)::date, $2)
 *        on conflict (day) do update set cents = revenue.cents + excluded.cents`,
 *       [time, data.cents],
 *     )
 *   },
 * })
 * const projection = startProjection(store, revenue)
 *
 * @example
 * // Many events in one statement.
 * const payments = sqlProjector(store, {
 *   name: 'payments',
 *   applyAll: async (events, sql) => {
 *     const rows = events.map(({ id, data }) => ({ id, cents: data.cents }))
 *     await sql.query(
 *       `insert into payments select * from json_to_recordset($1::json) as row(id text, cents int)`,
 *       [JSON.stringify(rows)],
 *     )
 *   },
 * })
 */
export function sqlProjector<E extends EventShape>(
  store: PostgresStore<E>,
  specification: SqlProjectorSpec<E>,
): Projector<E> {
  const { database, place } = partsOf(store)
  const work = workOf(specification)
  onlyKnown(specification, ['name', 'filter', 'apply', 'applyAll', 'onFailure'], 'projector')
  const name = projectionName(specification.name)
  const { filter, onFailure, applyAll } = specification
  const projector: Projector<E> & OwnTarget<E> = {
    name,
    ...(filter !== undefined && { filter }),
    apply: as(async (event: RecordedEvent<E>, run: unknown) => {
      if (!(run instanceof SqlRun))
        throw new InvalidArgumentError('projector', say`must be run by runProjection or startProjection.`)
      await run.apply(event)
    }, specification.apply ?? applyAll),
    ...(onFailure !== undefined && {
      onFailure: as((failure: FailureContext<E>) => onFailure.call(specification, failure), onFailure),
    }),
    // Runs of its own for each target: what one of them has open is no matter of another one, also within a process.
    [ownTarget]: class extends SqlTarget<E> {
      constructor(...given: ConstructorParameters<typeof PlainTarget<E, unknown>>) {
        super(new SqlRun<E>(database, place, name, work, applyAll !== undefined), given)
      }
    },
  }
  return projector
}

/** A function that shows the text of another one: two definitions of one name are told apart by their texts. */
const as = <F extends object>(own: F, given: unknown): F =>
  Object.defineProperty(own, 'toString', { value: () => String(given) })

/** Writes a run of events. */
type Work<E extends EventShape> = (events: readonly RecordedEvent<E>[], sql: ProjectorSql) => Promise<void>

/** @throws InvalidArgumentError */
function workOf<E extends EventShape>(specification: SqlProjectorSpec<E>): Work<E> {
  if (isObject(specification)) {
    const { apply, applyAll } = specification
    if (typeof apply === 'function' && applyAll === undefined)
      return ([event], sql) => apply.call(specification, event as RecordedEvent<E>, sql)
    if (typeof applyAll === 'function' && apply === undefined)
      return (events, sql) => applyAll.call(specification, events, sql)
  }
  throw new InvalidArgumentError('projector', say`must be { name, apply } or { name, applyAll }.`)
}

/** How many events `applyAll` gets at most. */
const longestRun = 1000

/** A run of it: as of any plain projector, but for what belongs to its transactions. */
class SqlTarget<E extends EventShape> extends PlainTarget<E, unknown> {
  readonly #runs: SqlRun<E>
  readonly #mayJoin: boolean

  constructor(runs: SqlRun<E>, given: ConstructorParameters<typeof PlainTarget<E, unknown>>) {
    const [projector, checkpoints, options, store] = given
    super(projector, runs.savingTo(checkpoints), { ...options, context: runs }, store)
    this.#runs = runs
    this.#mayJoin = runs.takesMany && options.checkpoint !== 'each-event'
  }

  applyAll(events: readonly RecordedEvent<E>[], from: number, to: number): number | Promise<number> {
    const end = Math.min(to, from + longestRun)
    if (!this.#mayJoin || end - from < 2 || this.#runs.isSuspect(events[from] as RecordedEvent<E>)) return 0
    return this.#applyRun(events.slice(from, end))
  }

  async #applyRun(run: readonly RecordedEvent<E>[]): Promise<number> {
    try {
      this.#runs.together = run
      await applied(super.apply(run[0] as RecordedEvent<E>))
      return run.length
    } catch (error) {
      if (this.isStorageFailure(error)) throw error
      this.#runs.suspect(run)
      return 0
    }
  }

  override async begin(): Promise<ProjectionState> {
    const state = await super.begin()
    this.#runs.began(state.position)
    return state
  }

  override reset(): void {
    super.reset()
    this.#runs.drop()
  }

  override isStorageFailure(error: unknown): boolean {
    return super.isStorageFailure(error) || this.#runs.isStorageFailure(error)
  }

  protected override replayed(event: RecordedEvent<E>): Promise<void> {
    return this.#runs.replay(event)
  }
}

/** A transaction that is open, and what was applied in it. */
interface Open<E extends EventShape> {
  readonly sql: Sql
  readonly events: RecordedEvent<E>[]
  /** Whether something was written in it that is to be committed. */
  isOwed: boolean
  commit(): Promise<void>
  rollback(): Promise<void>
}

/** The runs of one target, one after the other. */
class SqlRun<E extends EventShape> {
  readonly #database: Database
  readonly #place: CheckpointPlace
  readonly #name: string
  readonly #work: Work<E>
  readonly #failures = new WeakSet<object>()
  #open: Open<E> | undefined
  /** What the next call is about, if that is more than its event. */
  together: readonly RecordedEvent<E>[] | undefined
  /** The positions of the run that failed last, one of which is to blame. */
  #suspects: readonly [first: number, last: number] = [0, 0]
  /** The checkpoint that the run knows. */
  #saved = 0
  /** The same, with what was committed event by event. */
  #ahead = 0
  /** Nothing is done to a transaction while something else is under way in it. */
  #last: Promise<unknown> = Promise.resolve()

  constructor(
    database: Database,
    place: CheckpointPlace,
    name: string,
    work: Work<E>,
    /** Whether the work can be about more than one event. */
    readonly takesMany: boolean,
  ) {
    this.#database = database
    this.#place = place
    this.#name = name
    this.#work = work
  }

  isStorageFailure(error: unknown): boolean {
    return isObject(error) && this.#failures.has(error)
  }

  apply(event: RecordedEvent<E>): Promise<void> {
    const events = this.together ?? [event]
    this.together = undefined
    return this.#after(() => {
      if (this.#database.isEmbedded) return this.#applyAlone(events)
      return this.takesMany ? this.#applyMany(events) : this.#applyOpen(events)
    })
  }

  suspect(run: readonly RecordedEvent<E>[]): void {
    this.#suspects = [run[0]?.position ?? 0, run.at(-1)?.position ?? 0]
  }

  /** Whether an event was in a run that failed, so that it is to be applied alone. */
  isSuspect({ position }: RecordedEvent<E>): boolean {
    return position >= this.#suspects[0] && position <= this.#suspects[1]
  }

  /** In a transaction of its own, whatever is open. */
  replay(event: RecordedEvent<E>): Promise<void> {
    return this.#database.transaction(async (sql) => {
      await this.#call([event], sql)
      if (!(await removeDeadLetter({ ...this.#place, sql }, this.#name, event.position)))
        throw new InvalidArgumentError('deadLetter', say`is not there any more: it was replayed or discarded already.`)
    })
  }

  /** The checkpoints as a target has them: what it saves goes into the transaction that is open. */
  savingTo(checkpoints: CheckpointStore): CheckpointStore {
    return {
      ...postgresCheckpoints(this.#place),
      load: (name) => checkpoints.load(name),
      save: (_name, position, options = {}) => this.#after(() => this.#save(position, options)),
    }
  }

  began(position: number): void {
    void this.#after(async () => void (this.#saved = this.#ahead = position))
  }

  /** What was not saved does not count. */
  drop(): void {
    void this.#after(() => this.#rollback())
  }

  #call(events: readonly RecordedEvent<E>[], sql: Sql): Promise<void> {
    return called((own) => this.#work(events, own), sql)
  }

  #after<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#last.then(work)
    this.#last = done.catch(() => {})
    return done
  }

  /** A savepoint costs two round trips, which many events share; what came before them need not be kept in memory. */
  async #applyMany(events: readonly RecordedEvent<E>[]): Promise<void> {
    const open = (this.#open ??= await this.#storage(() => this.#begin()))
    try {
      await open.sql.query('savepoint run')
      await this.#call(events, open.sql)
      await open.sql.query('release savepoint run')
      open.isOwed = true
    } catch (error) {
      try {
        if (isLost(error)) throw error
        // Not kept for nothing: there may be a long pause before the next try.
        if (!open.isOwed) await this.#rollback()
        else {
          await open.sql.query('rollback to savepoint run')
          await open.sql.query('release savepoint run')
        }
      } catch (failure) {
        await this.#rollback()
        this.#blame(failure)
        throw failure
      }
      throw error
    }
  }

  async #applyOpen(events: readonly RecordedEvent<E>[]): Promise<void> {
    const open = (this.#open ??= await this.#storage(() => this.#begin()))
    try {
      await this.#call(events, open.sql)
      open.events.push(...events)
    } catch (error) {
      await this.#withoutLast(open, error)
      throw error
    }
  }

  /** After an error a transaction takes no statement: what came before is done again in another one. */
  async #withoutLast({ events, rollback }: Open<E>, error: unknown): Promise<void> {
    this.#open = undefined
    await rollback()
    if (isLost(error)) return this.#blame(error)
    if (events.length === 0) return
    await this.#storage(async () => {
      const again = await this.#begin()
      this.#open = again
      for (const event of events) {
        await this.#call([event], again.sql)
        again.events.push(event)
      }
    }).catch(async (failure: unknown) => {
      await this.#rollback()
      throw failure
    })
  }

  /** PGlite has one connection: a transaction that waits for the next page of the log would wait for ever. */
  async #applyAlone(events: readonly RecordedEvent<E>[]): Promise<void> {
    const { position } = events.at(-1) as RecordedEvent<E>
    let began = false
    try {
      await this.#database.transaction(async (sql) => {
        const place = { ...this.#place, sql }
        await this.#assertAt(sql, this.#ahead)
        began = true
        await this.#call(events, sql)
        began = false
        await saveCheckpoint(place, this.#name, position, { expected: this.#ahead })
      })
      this.#ahead = position
    } catch (error) {
      if (!began) this.#blame(error)
      throw error
    }
  }

  async #save(position: number, options: SaveOptions): Promise<void> {
    const open = this.#open
    this.#open = undefined
    if (open === undefined) {
      const isOfRun = options.expected === this.#saved && this.#ahead > this.#saved
      await saveCheckpoint(this.#place, this.#name, position, isOfRun ? { ...options, expected: this.#ahead } : options)
    } else {
      try {
        await saveCheckpoint({ ...this.#place, sql: open.sql }, this.#name, position, options)
      } catch (error) {
        await open.rollback()
        throw error
      }
      await open.commit()
    }
    this.#saved = this.#ahead = position
  }

  async #begin(): Promise<Open<E>> {
    const transaction = await this.#database.begin()
    try {
      await this.#assertAt(transaction, this.#saved)
    } catch (error) {
      await transaction.rollback()
      throw error
    }
    return {
      sql: transaction,
      events: [],
      isOwed: false,
      commit: () => transaction.commit(),
      rollback: () => transaction.rollback(),
    }
  }

  // (N84)
  /** Locks the checkpoint: another process that runs the projector waits, and then finds that it moved. */
  async #assertAt(sql: Sql, expected: number): Promise<void> {
    const stored = (await storedCheckpoint({ ...this.#place, sql }, this.#name, true)) ?? 0
    if (stored !== expected)
      throw new LeadershipLostError(
        this.#name,
        say`its checkpoint is ${stored}, not ${expected}; another runner moved it.`,
      )
  }

  async #rollback(): Promise<void> {
    const open = this.#open
    this.#open = undefined
    await open?.rollback()
  }

  /** What fails there is no fault of the event. */
  async #storage<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (error) {
      this.#blame(error)
      throw error
    }
  }

  #blame(error: unknown): void {
    if (isObject(error)) this.#failures.add(error)
  }
}

/** Whether the connection is lost, so that the event is not to blame. */
const isLost = (error: unknown): boolean => hasCode(error, 'storage-failed') && !isRefusedByServer(error)
