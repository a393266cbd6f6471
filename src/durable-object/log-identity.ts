/** Which log is in an object, and its epoch: in tables that are made when something is first asked. */
import { UnsupportedFormatError } from '../errors.js'
import { randomId } from '../events/identifier.js'
import { say } from '../messages.js'
import type { DurableSql, DurableStorage } from './durable-types.js'
import { sqlText } from './sqlite-text.js'

/** Log and epoch. */
export interface LogIdentity {
  readonly log: string
  readonly epoch: string
}

/** What the app says about a log. */
export interface GivenIdentity {
  /** The id of a log that begins here. */
  readonly log?: string | undefined
  /** Another one than before begins another epoch. */
  readonly generation?: string | undefined
}

const format = 1

// Names of their own, since the app may have tables in the same object. Without row ids, so that a key is no second row.
const tables = [
  `create table if not exists tidemark_meta (name text primary key, value) without rowid`,
  // By the position of the last event. Without a chain it is a part, and the next row belongs to the same commit.
  `create table if not exists tidemark_commits ("end" integer primary key, n integer not null, author text not null, chain text, lines text not null)`,
  `create table if not exists tidemark_ids (key text not null, "end" integer not null, primary key (key, "end")) without rowid`,
  `create table if not exists tidemark_streams (stream text primary key, position integer not null) without rowid`,
  `create table if not exists tidemark_refusals (author text not null, id text not null, verdict text not null, time integer not null, primary key (author, id)) without rowid`,
]

/** The identity of the log in one object. */
export class StoredIdentity {
  readonly #storage: DurableStorage
  readonly #sql: DurableSql
  readonly #given: GivenIdentity
  #identity: LogIdentity | undefined

  constructor(storage: DurableStorage, given: GivenIdentity) {
    this.#storage = storage
    this.#sql = storage.sql
    this.#given = given
  }

  /** Makes missing tables, but not before something is asked: the object of a refused request stays empty. */
  read(): LogIdentity {
    return (this.#identity ??= this.#storage.transactionSync(() => this.#open()))
  }

  #open(): LogIdentity {
    for (const table of tables) this.#sql.exec(table)
    const meta = new Map(
      this.#sql
        .exec('select name, value from tidemark_meta')
        .toArray()
        .map(({ name, value }) => [name as string, value]),
    )
    const { log = randomId(), generation = '' } = this.#given
    if (meta.size === 0) {
      const identity = { log, epoch: randomId() }
      for (const [name, value] of Object.entries({ format, ...identity, generation: sqlText(generation) }))
        this.#write(name, value)
      return identity
    }
    const written = meta.get('format')
    if (written !== format)
      throw new UnsupportedFormatError(say`The log has the format ${written}, and this version knows ${format}.`)
    const identity = { log: meta.get('log') as string, epoch: meta.get('epoch') as string }
    const given = sqlText(generation)
    if (meta.get('generation') === given) return identity
    const renewed = { ...identity, epoch: randomId() }
    this.#write('epoch', renewed.epoch)
    this.#write('generation', given)
    return renewed
  }

  /** What the log is, is read again before the next request. */
  reopen(): void {
    this.#identity = undefined
  }

  renewEpoch(): void {
    const { log } = this.read()
    const epoch = randomId()
    this.#write('epoch', epoch)
    this.#identity = { log, epoch }
  }

  #write(name: string, value: unknown): void {
    this.#sql.exec('insert or replace into tidemark_meta (name, value) values (?, ?)', name, value)
  }

  /** Whether a log has begun here. */
  hasBegun(): boolean {
    return (
      this.#identity !== undefined ||
      this.#sql.exec(`select 1 from sqlite_master where name = 'tidemark_meta'`).toArray().length > 0
    )
  }
}
