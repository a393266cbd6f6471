/** `openPostgresLogStore`: the log of a server in PostgreSQL, for any number of processes. */
import { ClosedError, InvalidArgumentError, InvalidNameError } from '../errors.js'
import { randomId } from '../events/identifier.js'
import { say } from '../messages.js'
import { onlyKnown, wholeNumber } from '../platform/arguments.js'
import type { DecisionQuestions, LogDecision, LoggedCommit, LogStore } from '../server/log-store.js'
import { chainStart } from '../wire/protocol.js'
import { hubOf, theLog, type Hub } from './hub.js'
import { DecisionGroup, questionOf } from './log-decision.js'
import { LogTables, type LogRow } from './log-tables.js'
import { NoSuchLogError } from './postgres-errors.js'
import { checkedSchema } from './postgres-schema.js'
import type { SqlPool } from './sql-client.js'
import type { Sql } from './sql-connection.js'

/** Options of {@link openPostgresLogStore}. */
export interface PostgresLogStoreOptions {
  /** Connections to the server that takes writes: a `Pool` of `pg`, or PGlite. */
  readonly pool: SqlPool
  /** The name of the log: 1 to 100 of the characters `A` to `Z`, `a` to `z`, `0` to `9`, `.`, `_` and `-`. Devices do not see it. */
  readonly log: string
  /** Where `migratePostgres` made the tables. @default 'tidemark' */
  readonly schema?: string
  /**
   * What happens if there is no log of this name: `true` begins one when it is first used; `false` rejects with a
   * {@link NoSuchLogError}, so that a name that a request brings makes none. `syncHandler` then responds 404. Whether a
   * user may use a log is for its `open`.
   *
   * @default true
   */
  readonly create?: boolean
  /**
   * The id that devices know the log by. Give the id of a log that moves here from another engine. If there is a log of
   * this name with another id, every call rejects with an InvalidArgumentError. Of the same characters as the name.
   *
   * @default a random one where the log is begun, and any where it is there
   */
  readonly id?: string
}

/** A {@link LogStore} in PostgreSQL. */
export interface PostgresLogStore extends LogStore {
  /**
   * Begins a new epoch. Call it after a restore that the store does not notice by itself. It notices that the server was
   * started again or is another one, and that the tables come from a dump.
   */
  renewEpoch(): Promise<void>
}

/**
 * The log of a server in PostgreSQL. Opening asks nothing of the database. Open a log once, and not for each request:
 * `serverLog` reads what goes with a hint once for all who listen.
 * Any number of processes may have a log open: its row is locked while something is decided, so positions have no holes
 * and become visible in their order. Decisions that wait in one process share a transaction.
 *
 * `subscribe` takes one connection of the pool for as long as there is a listener, for all logs of a schema. Close stores
 * before the pool ends.
 *
 * @example
 * const pool = new Pool({ connectionString: process.env.DATABASE_URL })
 * await migratePostgres(pool)
 * const log = serverLog(openPostgresLogStore({ pool, log: 'shop-7' }))
 * @throws InvalidNameError for a name that cannot be one: `syncHandler` responds 400 where its `open` throws that
 * @throws InvalidArgumentError for what is no pool
 */
export function openPostgresLogStore(options: PostgresLogStoreOptions): PostgresLogStore {
  onlyKnown(options, ['pool', 'log', 'schema', 'create', 'id'])
  const { pool, log, create = true, id } = options
  assertName(log, say`Log name`)
  if (id !== undefined) assertName(id, say`Log id`)
  return new OpenPostgresLog(hubOf(pool, checkedSchema(options.schema)), log, create, id)
}

function assertName(name: unknown, what: string): void {
  if (typeof name !== 'string' || !/^[\w.-]{1,100}$/.test(name))
    throw new InvalidNameError(what, name, say`must have 1 to 100 of the characters A-Z, a-z, 0-9, '.', '_' and '-'.`)
}

class OpenPostgresLog implements PostgresLogStore {
  readonly #hub: Hub
  readonly #name: string
  readonly #mayCreate: boolean
  readonly #id: string | undefined
  readonly #tables: LogTables
  readonly #subscriptions = new Set<() => void>()
  #isThis: boolean
  #isClosed = false
  #nextRow: Promise<LogRow> | undefined

  constructor(hub: Hub, name: string, mayCreate: boolean, id: string | undefined) {
    this.#hub = hub
    this.#name = name
    this.#mayCreate = mayCreate
    this.#id = id
    this.#isThis = id === undefined
    this.#tables = new LogTables(hub.schema, name)
  }

  async identity(): Promise<{ readonly log: string; readonly epoch: string }> {
    const { log, epoch } = await this.#row()
    return { log, epoch }
  }

  async head(): Promise<number> {
    return (await this.#row()).head
  }

  async chainAt(position: number): Promise<string | undefined> {
    await this.#ready()
    const at = wholeNumber(position, 'position')
    return at === 0 ? chainStart : this.#tables.chainAt(this.#hub.database, at)
  }

  async read(after: number, limit: number): Promise<readonly LoggedCommit[]> {
    await this.#ready()
    return this.#tables.read(this.#hub.database, wholeNumber(after, 'after'), wholeNumber(limit, 'limit', 1))
  }

  async decide<T>(work: (log: LogDecision) => Promise<T>, asks?: DecisionQuestions): Promise<T> {
    this.#assertOpen()
    // Begun before others of this process may begin it with another id.
    if (!this.#isThis) await this.#row()
    return this.#hub.decide(this.#name, work, (sql) => this.#create(sql), asks)
  }

  async peek<T>(work: (log: LogDecision) => Promise<T>, asks?: DecisionQuestions): Promise<T> {
    const group = await this.#group(asks)
    const result = await group.run(work)
    if (!group.added.isEmpty) throw new InvalidArgumentError('work', say`must not add anything.`)
    return result
  }

  async #group(asks: DecisionQuestions | undefined): Promise<DecisionGroup> {
    const { database } = this.#hub
    await this.#ready()
    const question = questionOf(asks === undefined ? [] : [asks])
    const found = await this.#tables.rowAndLook(database, question)
    if (found?.row.hasOtherOrigin === false) {
      const group = new DecisionGroup(database, this.#tables, found.row)
      group.know(question, found.reply)
      return group
    }
    const group = new DecisionGroup(database, this.#tables, await this.#row())
    if (asks !== undefined) await group.prepare([asks])
    return group
  }

  subscribe(listener: (head: number) => void): () => void {
    this.#assertOpen()
    const remove = this.#hub.subscribe(this.#name, listener)
    const end = () => {
      this.#subscriptions.delete(end)
      remove()
    }
    this.#subscriptions.add(end)
    return end
  }

  async renewEpoch(): Promise<void> {
    const { epoch } = await this.#row()
    await this.#tables.renew(this.#hub.database, epoch, randomId())
  }

  async close(): Promise<void> {
    this.#isClosed = true
    for (const end of this.#subscriptions) end()
    await this.#hub.settled(this.#name)
  }

  /** The row of the log, begun if need be, in the epoch of this server. Who asks in the same turn shares it. */
  async #row(): Promise<LogRow> {
    this.#assertOpen()
    await this.#hub.ready()
    this.#nextRow ??= Promise.resolve().then(() => {
      this.#nextRow = undefined
      return this.#readRow()
    })
    return this.#nextRow
  }

  async #readRow(): Promise<LogRow> {
    const { database } = this.#hub
    for (;;) {
      const row = await this.#tables.row(database)
      if (row !== undefined) this.#assertThis(row)
      if (row?.hasOtherOrigin === false) return row
      if (row === undefined) await this.#create(database)
      else await this.#tables.renew(database, row.epoch, randomId())
    }
  }

  async #create(sql: Sql): Promise<void> {
    if (!this.#mayCreate) throw new NoSuchLogError(this.#name, this.#hub.schema)
    await this.#tables.create(sql, this.#id ?? randomId(), randomId())
  }

  async #ready(): Promise<void> {
    this.#assertOpen()
    await this.#hub.ready()
    if (this.#isThis) return
    const row = await this.#tables.row(this.#hub.database)
    if (row !== undefined) this.#assertThis(row)
  }

  /** Whether it has the id that was given. It keeps its id, so that is asked once. */
  #assertThis({ log }: LogRow): void {
    if (!this.#isThis && log !== this.#id)
      throw new InvalidArgumentError(
        'id',
        say`is '${this.#id}', and the log '${this.#name}' is there with the id '${log}'. Leave it out to open that log, or take another name.`,
      )
    this.#isThis = true
  }

  #assertOpen(): void {
    if (this.#isClosed) throw new ClosedError(theLog(this.#name))
  }
}
