/** A pool or PGlite as the rest of this folder uses it: one way to ask, to run a transaction, and to listen. */
import { InvalidArgumentError, type WriteOutcome } from '../errors.js'
import { say } from '../messages.js'
import { isObject } from '../platform/objects.js'
import { failedQuery, isConnectionLost, isUndone } from './postgres-errors.js'
import { isClient, isEmbedded, isPool, type SqlPool, type SqlRow } from './sql-client.js'
import { runQuery, takeClient, giveBackClient, watchAcquired, within, type Sql } from './sql-connection.js'
import { Session, usualHeartbeat, type Heartbeat } from './sql-session.js'
import { Transaction } from './sql-transaction.js'

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
    if (isEmbedded(pool)) return runQuery(pool, text, values, outcome)
    const client = await takeClient(pool)
    let error: unknown
    try {
      return await runQuery(client, text, values, outcome)
    } catch (reason) {
      error = reason
      throw reason
    } finally {
      giveBackClient(client, error)
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
            return await work({ query: (text, values = []) => runQuery(client, text, values) })
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
    const client = await takeClient(this.#pool)
    try {
      const results = await within(client.query(`begin isolation level read committed read write; ${limits}; ${first}`))
      const last = (results as unknown as readonly { readonly rows: readonly SqlRow[] }[]).at(-1)
      return new Transaction(client, first === '' ? [] : (last?.rows ?? []), isPatient)
    } catch (error) {
      giveBackClient(client, error, true)
      throw failedQuery(error, 'not-written')
    }
  }

  /**
   * A connection for its own: it listens, or holds locks. The caller ends it.
   *
   * @param beat what is asked at intervals, so that a connection that died silently is noticed
   */
  async session(beat = 'select 1'): Promise<Session> {
    const client = await takeClient(this.#pool)
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
