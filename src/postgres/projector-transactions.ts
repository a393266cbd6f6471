/** The transactions of a projector into tables of the app: what it writes and its checkpoint are committed together. */
import { InvalidArgumentError, LeadershipLostError, hasCode } from '../errors.js'
import type { EventShape, RecordedEvent } from '../events/event.js'
import { say } from '../messages.js'
import { isObject } from '../platform/objects.js'
import type { CheckpointStore, SaveOptions } from '../ports.js'
import {
  postgresCheckpoints,
  removeDeadLetter,
  saveCheckpoint,
  storedCheckpoint,
  type CheckpointPlace,
} from './postgres-checkpoints.js'
import { isRefusedByServer } from './postgres-errors.js'
import { called, type ProjectorSql } from './projector-call.js'
import { inTurn, type Sql } from './sql-connection.js'
import type { Database } from './sql-database.js'

/** Writes what follows from a run of events: consecutive ones, at least one. */
export type ApplyRun<E extends EventShape> = (events: readonly RecordedEvent<E>[], sql: ProjectorSql) => Promise<void>

/** A transaction that is open, and what was applied in it. */
interface OpenTransaction<E extends EventShape> {
  readonly sql: Sql
  readonly events: RecordedEvent<E>[]
  /** Whether something was written in it that is to be committed. */
  hasWrites: boolean
  commit(): Promise<void>
  rollback(): Promise<void>
}

/** The transactions of one target, one after the other. */
export class ProjectorTransactions<E extends EventShape> {
  readonly #database: Database
  readonly #place: CheckpointPlace
  readonly #name: string
  readonly #work: ApplyRun<E>
  readonly #failures = new WeakSet<object>()
  #open: OpenTransaction<E> | undefined
  /** What the next call is about, if that is more than its event. */
  nextRun: readonly RecordedEvent<E>[] | undefined
  /** The positions of the run that failed last, one of which is to blame. */
  #suspects: readonly [first: number, last: number] = [0, 0]
  /** The checkpoint that the run knows. */
  #saved = 0
  /** The same, with what was committed event by event. */
  #ahead = 0
  /** Nothing is done to a transaction while something else is under way in it. */
  readonly #inTurn = inTurn()

  constructor(
    database: Database,
    place: CheckpointPlace,
    name: string,
    work: ApplyRun<E>,
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
    const events = this.nextRun ?? [event]
    this.nextRun = undefined
    return this.#inTurn(() => {
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
      save: (_name, position, options = {}) => this.#inTurn(() => this.#save(position, options)),
    }
  }

  began(position: number): void {
    void this.#inTurn(async () => void (this.#saved = this.#ahead = position))
  }

  /** What was not saved does not count. */
  drop(): void {
    void this.#inTurn(() => this.#rollback())
  }

  #call(events: readonly RecordedEvent<E>[], sql: Sql): Promise<void> {
    return called((own) => this.#work(events, own), sql)
  }

  /** A savepoint costs two round trips, which many events share; what came before them need not be kept in memory. */
  async #applyMany(events: readonly RecordedEvent<E>[]): Promise<void> {
    const open = (this.#open ??= await this.#storage(() => this.#begin()))
    try {
      await open.sql.query('savepoint run')
      await this.#call(events, open.sql)
      await open.sql.query('release savepoint run')
      open.hasWrites = true
    } catch (error) {
      try {
        if (isLost(error)) throw error
        // Not kept for nothing: there may be a long pause before the next try.
        if (!open.hasWrites) await this.#rollback()
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
  async #withoutLast({ events, rollback }: OpenTransaction<E>, error: unknown): Promise<void> {
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

  async #begin(): Promise<OpenTransaction<E>> {
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
      hasWrites: false,
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
