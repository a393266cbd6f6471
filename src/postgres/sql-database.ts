/** A pool or PGlite as the rest of this folder uses it: one way to ask, to run a transaction, and to listen. */
import { InvalidArgumentError, type WriteOutcome } from '../errors.js'
import { say } from '../messages.js'
import { isObject } from '../platform/objects.js'
import { failedQuery, isConnectionLost, isUndone } from './postgres-errors.js'
import {
  isClient,
  isEmbedded,
  isPool,
  type PgClient,
  type SqlPool,
  type SqlQueries,
  type SqlRow,
} from './sql-client.js'

/** Statements of one transaction, or of none. Errors are those of tidemark. */
export interface Sql {
  /**
   * @param outcome what is known if the connection is lost meanwhile: `'unknown'` for what writes. Within a transaction that
   *   was not committed, nothing is written in any case.
   */
  query(text: string, values?: readonly unknown[], outcome?: WriteOutcome): Promise<readonly SqlRow[]>
}

/** How long a statement may take, in ms, until the connection counts as lost. The server gives up earlier. */
export const longestQuery = 45_000

/** How a connection is watched that is open for long and mostly idle: in ms. */
export interface Heartbeat {
  /** How long after the last reply something is asked. */
  readonly every: number
  /** How long the reply may take. */
  readonly within: number
}

const usualHeartbeat: Heartbeat = { every: 15_000, within: 15_000 }

/**
 * The server looks for itself whether this process is there, and so gives the locks of one free that is not: after 30 s,
 * and not after the two hours that systems take by default. It has no effect where both share a machine by other means
 * than TCP.
 */
const keepalives = `select set_config('tcp_keepalives_idle', '15', false), set_config('tcp_keepalives_interval', '5', false),
  set_config('tcp_keepalives_count', '3', false)`

/** How often a statement is sent that others undo. */
const mostTries = 20

/** What the server does by itself if this process or the network between them hangs. In ms. */
const limits =
  'set local lock_timeout = 10000; set local statement_timeout = 30000; set local idle_in_transaction_session_timeout = 30000'

export class Database implements Sql {
  readonly #pool: SqlPool
  /** Statements that are under way. */
  readonly #running = new Set<Promise<unknown>>()
  readonly #heartbeat: Heartbeat

  /** @throws InvalidArgumentError for anything that is no pool */
  constructor(pool: SqlPool, heartbeat = usualHeartbeat) {
    if (!isObject(pool) || !(isEmbedded(pool) || isPool(pool)))
      throw new InvalidArgumentError('pool', say`must be a Pool of 'pg', or PGlite.`)
    if (isClient(pool))
      throw new InvalidArgumentError('pool', say`is a Client of 'pg', which is one connection. Pass a Pool.`)
    this.#pool = pool
    this.#heartbeat = heartbeat
    watchAcquired(pool)
  }

  /** How many connections there may be at a time, if the pool says so. */
  get mostConnections(): number {
    const { max } = (this.#pool as { readonly options?: { readonly max?: unknown } }).options ?? {}
    return typeof max === 'number' && !this.isEmbedded ? max : Infinity
  }

  /** Whether PostgreSQL runs within this process, with one connection and no other process. */
  get isEmbedded(): boolean {
    return isEmbedded(this.#pool)
  }

  /** One statement, which is a transaction of its own. */
  query(
    text: string,
    values: readonly unknown[] = [],
    outcome: WriteOutcome = 'not-written',
  ): ReturnType<Sql['query']> {
    const running = this.#query(text, values, outcome).finally(() => this.#running.delete(running))
    this.#running.add(running)
    return running
  }

  /**
   * Resolves when the statements that are under way have ended, in whatever way. A pool that is ended while one waits for
   * a connection never gives it one, nor rejects it.
   */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#running)
  }

  /** Where the app has another isolation level, a statement is undone if another one changed the same: it is sent again. */
  async #query(text: string, values: readonly unknown[], outcome: WriteOutcome): ReturnType<Sql['query']> {
    for (let tries = 1; ; tries += 1)
      try {
        return await this.#queryOnce(text, values, outcome)
      } catch (error) {
        if (tries >= mostTries || !isUndone(error)) throw error
      }
  }

  async #queryOnce(text: string, values: readonly unknown[], outcome: WriteOutcome): ReturnType<Sql['query']> {
    // Not through the query of the pool: what does not return has to be given up, with its connection.
    const pool = this.#pool
    if (isEmbedded(pool)) return asked(pool, text, values, outcome)
    const client = await connected(pool)
    let error: unknown
    try {
      return await asked(client, text, values, outcome)
    } catch (reason) {
      error = reason
      throw reason
    } finally {
      giveBack(client, error)
    }
  }

  /**
   * All of it is stored, or none. Reads only what was committed before each statement (`read committed`).
   *
   * @param isPatient its statements take as long as they take, as those of a migration do
   */
  async transaction<T>(work: (sql: Sql) => Promise<T>, isPatient = false): Promise<T> {
    const pool = this.#pool
    if (isEmbedded(pool)) {
      let thrown: { readonly error: unknown } | undefined
      try {
        return await pool.transaction(async (client) => {
          try {
            return await work({ query: (text, values = []) => asked(client, text, values) })
          } catch (error) {
            thrown = { error }
            throw error
          }
        })
      } catch (error) {
        throw thrown === undefined ? failedQuery(error, 'unknown') : thrown.error
      }
    }
    const transaction = await this.begin('', isPatient)
    let result: T
    try {
      result = await work(transaction)
    } catch (error) {
      await transaction.rollback()
      throw error
    }
    await transaction.commit()
    return result
  }

  /**
   * Begins a transaction on a connection of its own; not for PGlite, where it would keep all others waiting.
   *
   * @param first a statement without values that is sent together with the begin
   */
  async begin(first = '', isPatient = false): Promise<Transaction> {
    const client = await connected(this.#pool)
    try {
      const results = await within(client.query(`begin isolation level read committed read write; ${limits}; ${first}`))
      const last = (results as unknown as readonly { readonly rows: readonly SqlRow[] }[]).at(-1)
      return new Transaction(client, first === '' ? [] : (last?.rows ?? []), isPatient)
    } catch (error) {
      giveBack(client, error, true)
      throw failedQuery(error, 'not-written')
    }
  }

  /**
   * A connection for its own: it listens, or holds locks. The caller ends it.
   *
   * @param beat what is asked at intervals, so that a connection that died silently is noticed
   */
  async session(beat = 'select 1'): Promise<Session> {
    const client = await connected(this.#pool)
    const session = new Session(client, beat, this.#heartbeat)
    try {
      await session.query(keepalives)
    } catch (error) {
      if (isConnectionLost(error)) {
        session.end()
        throw error
      }
    }
    return session
  }

  /** Calls back with what comes over a channel. `onLost` is called once if nothing will come any more. */
  async listen(
    channel: string,
    onMessage: (payload: string) => void,
    onLost: () => void,
  ): Promise<() => Promise<void>> {
    const pool = this.#pool
    if (isEmbedded(pool)) return pool.listen(channel, onMessage)
    const text = `listen "${channel}"`
    const session = await this.session(text)
    session.onLost(onLost)
    session.onNotification((payload) => onMessage(payload))
    try {
      await session.query(text)
    } catch (error) {
      session.end()
      throw error
    }
    return async () => session.end()
  }
}

/**
 * Makes what is asked wait for what was asked before: a client of `pg` is to have one statement at a time, and warns of
 * others.
 */
function inTurn(): <T>(ask: () => Promise<T>) => Promise<T> {
  let last: Promise<unknown> = Promise.resolve()
  return (ask) => {
    const running = last.then(ask)
    last = running.catch(() => {})
    return running
  }
}

/** A transaction on a connection of its own, which is given back when it ends. */
export class Transaction implements Sql {
  readonly #client: PgClient
  readonly #inTurn = inTurn()
  #lost: unknown
  #isOver = false

  constructor(
    client: PgClient,
    /** What the statement that came with the begin returned. */
    readonly first: readonly SqlRow[],
    /** Statements take as long as they take. */
    readonly isPatient = false,
  ) {
    this.#client = client
    client.on('error', this.#onError)
  }

  async query(text: string, values: readonly unknown[] = []): Promise<readonly SqlRow[]> {
    return this.#inTurn(() => this.#query(text, values))
  }

  async #query(text: string, values: readonly unknown[]): Promise<readonly SqlRow[]> {
    // Its connection may be in use for something else already.
    if (this.#isOver) throw new InvalidArgumentError('sql', say`is used after its transaction has ended.`)
    if (this.#lost !== undefined) throw failedQuery(this.#lost, 'not-written')
    try {
      return await asked(this.#client, text, values, 'not-written', this.isPatient ? (query) => query : undefined)
    } catch (error) {
      if (isConnectionLost(error)) this.#lost = error
      throw error
    }
  }

  /** @throws StorageFailedError with `outcome: 'unknown'` if the connection is lost meanwhile */
  commit(): Promise<void> {
    return this.#inTurn(() => this.#commit())
  }

  async #commit(): Promise<void> {
    if (this.#lost !== undefined) {
      await this.#rollback()
      throw failedQuery(this.#lost, 'not-written')
    }
    try {
      const result = (await within(this.#client.query('commit'))) as { readonly command?: string }
      // What the server makes of a commit after a statement that failed.
      if (result.command === 'ROLLBACK') throw failedQuery(new Error(say`It was rolled back.`), 'not-written')
    } catch (error) {
      this.#end(error)
      throw failedQuery(error, 'unknown')
    }
    this.#end(undefined)
  }

  /** Never rejects: a transaction whose connection is closed is rolled back by the server. */
  rollback(): Promise<void> {
    return this.#inTurn(() => this.#rollback())
  }

  async #rollback(): Promise<void> {
    if (this.#isOver) return
    let error = this.#lost
    if (error === undefined) await within(this.#client.query('rollback')).catch((reason: unknown) => (error = reason))
    this.#end(error)
  }

  readonly #onError = (error: unknown): void => {
    this.#lost ??= error ?? new Error(say`The connection was closed.`)
  }

  #end(error: unknown): void {
    this.#isOver = true
    this.#client.removeListener('error', this.#onError)
    giveBack(this.#client, error, true)
  }
}

/** A connection that is taken out of the pool for as long as it is needed. */
export class Session implements Sql {
  readonly #client: PgClient
  readonly #lost: (() => void)[] = []
  readonly #beat: string
  readonly #heartbeat: Heartbeat
  readonly #inTurn = inTurn()
  /** How many statements were asked for. */
  #asked = 0
  #isOver = false
  #isLost = false
  #timer: ReturnType<typeof setTimeout> | undefined

  constructor(client: PgClient, beat: string, heartbeat: Heartbeat) {
    this.#client = client
    this.#beat = beat
    this.#heartbeat = heartbeat
    client.on('error', this.lost)
    client.on('end', this.lost)
  }

  query(text: string, values: readonly unknown[] = []): Promise<readonly SqlRow[]> {
    return this.#ask(() => asked(this.#client, text, values))
  }

  #ask<T>(ask: () => Promise<T>): Promise<T> {
    clearTimeout(this.#timer)
    const nth = (this.#asked += 1)
    const running = this.#inTurn(ask)
    // Behind the last one of those that wait.
    const ended = () => {
      if (!this.#isOver && this.#asked === nth) this.#timer = setTimeout(() => this.#check(), this.#heartbeat.every)
    }
    running.then(ended, ended)
    return running
  }

  /** A router may forget a connection, or the machine at its other end be gone: then nothing comes, not even an end. */
  #check(): void {
    const { within: ms } = this.#heartbeat
    this.#ask(() => asked(this.#client, this.#beat, [], 'not-written', (query) => within(query, ms))).catch(this.lost)
  }

  onNotification(listener: (payload: string) => void): void {
    this.#client.on('notification', (message) => listener((message as { readonly payload?: string }).payload ?? ''))
  }

  /**
   * Called once if the connection ends before `end` is called: immediately if it has, as one piece of data may hold a reply
   * and the end.
   */
  onLost(listener: () => void): void {
    if (this.#isLost) listener()
    else this.#lost.push(listener)
  }

  /** Closes the connection: what it listened to and held is of no use to others. */
  end(): void {
    if (this.#isOver) return
    this.#isOver = true
    clearTimeout(this.#timer)
    this.#client.release(true)
    // `ignored` stays: a connection that is being closed may fail as well.
  }

  /** Gives the connection back to the pool, if it is sound: it must hold nothing. */
  giveBack(): void {
    if (this.#isOver) return
    this.#isOver = true
    clearTimeout(this.#timer)
    this.#client.removeListener('error', this.lost)
    this.#client.removeListener('end', this.lost)
    giveBack(this.#client, undefined)
  }

  /** The connection ended, or what it holds is not known. */
  readonly lost = (): void => {
    if (this.#isOver) return
    this.#isLost = true
    this.end()
    for (const listener of this.#lost) listener()
  }
}

async function connected(pool: SqlPool): Promise<PgClient> {
  if (!isPool(pool)) throw new InvalidArgumentError('pool', say`must be a Pool of 'pg' for this.`)
  try {
    const connecting = pool.connect()
    const giveUp = () => void connecting.then((late) => late.release(true)).catch(() => {})
    const client = await within(connecting, longestQuery, giveUp)
    listen(client)
    return client
  } catch (error) {
    throw failedQuery(error, 'not-written')
  }
}

/** Of a client that is out of its pool: the query that it runs rejects with it, and without a listener the process would end. */
const ignored = (): void => {}

function listen(client: Pick<PgClient, 'on' | 'removeListener'>): void {
  client.removeListener('error', ignored)
  client.on('error', ignored)
}

const watched = new WeakSet<SqlPool>()

/**
 * A pool stops listening to a connection when it hands it out, and its promise resolves some turns later. An error may come
 * in between, as one piece of data may hold the end of a login and that of the connection.
 */
function watchAcquired(pool: SqlPool): void {
  if (isEmbedded(pool) || watched.has(pool)) return
  watched.add(pool)
  const { on } = pool as Partial<Pick<PgClient, 'on'>>
  if (typeof on === 'function') on.call(pool, 'acquire', (client) => listen(client as PgClient))
}

async function asked(
  client: SqlQueries,
  text: string,
  values: readonly unknown[],
  outcome: WriteOutcome = 'not-written',
  limited: <T>(query: Promise<T>) => Promise<T> = (query) => within(query),
): Promise<readonly SqlRow[]> {
  try {
    return (await limited(client.query(text, [...values]))).rows
  } catch (error) {
    throw failedQuery(error, outcome)
  }
}

/** A connection on which a statement failed in an unknown way, or did not return, is closed. */
function giveBack(client: PgClient, error: unknown, wasInTransaction = false): void {
  client.removeListener('error', ignored)
  client.release(error !== undefined && (wasInTransaction || isConnectionLost(error)))
}

/** @throws Error if it takes so long that the server must have given up, or cannot be reached; then `onLate` is called */
function within<T>(promise: Promise<T>, ms = longestQuery, onLate = () => {}): Promise<T> {
  return new Promise((resolve, reject) => {
    const late = () => {
      reject(new Error(say`The database did not respond within ${ms} ms.`))
      onLate()
    }
    // In two parts: where this process was held up, what has arrived meanwhile is read in between.
    let timer = setTimeout(() => (timer = setTimeout(late, ms / 2)), ms / 2)
    promise.then(resolve, reject).finally(() => clearTimeout(timer))
  })
}
