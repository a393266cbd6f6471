/** A connection of the pool: how it is taken, asked and given back. */
import { InvalidArgumentError, type WriteOutcome } from '../errors.js'
import { say } from '../messages.js'
import { failedQuery, isConnectionLost } from './postgres-errors.js'
import { isEmbedded, isPool, type PgClient, type SqlPool, type SqlQueries, type SqlRow } from './sql-client.js'

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

/**
 * A connection for its own.
 *
 * @throws StorageFailedError if none is free within 45 s
 */
export async function takeClient(pool: SqlPool): Promise<PgClient> {
  if (!isPool(pool)) throw new InvalidArgumentError('pool', say`must be a Pool of 'pg' for this.`)
  try {
    const connecting = pool.connect()
    const giveUp = () => void connecting.then((late) => late.release(true)).catch(() => {})
    const client = await within(connecting, longestQuery, giveUp)
    ignoreErrors(client)
    return client
  } catch (error) {
    throw failedQuery(error, 'not-written')
  }
}

/**
 * A client that is out of its pool emits an error where its connection fails: the query that it runs rejects with it as
 * well, and without a listener the process would end.
 */
const ignored = (): void => {}

function ignoreErrors(client: Pick<PgClient, 'on' | 'removeListener'>): void {
  client.removeListener('error', ignored)
  client.on('error', ignored)
}

const watched = new WeakSet<SqlPool>()

/**
 * A pool stops listening to a connection when it hands it out, and its promise resolves some turns later. An error may come
 * in between, as one piece of data may hold the end of a login and that of the connection.
 */
export function watchAcquired(pool: SqlPool): void {
  if (isEmbedded(pool) || watched.has(pool)) return
  watched.add(pool)
  const { on } = pool as Partial<Pick<PgClient, 'on'>>
  if (typeof on === 'function') on.call(pool, 'acquire', (client) => ignoreErrors(client as PgClient))
}

/**
 * Sends a statement and waits for its rows.
 *
 * @param outcome what is known if the connection is lost meanwhile
 * @param limited how long it may take. @default 45 s
 */
export async function runQuery(
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
export function giveBackClient(client: PgClient, error: unknown, wasInTransaction = false): void {
  client.removeListener('error', ignored)
  client.release(error !== undefined && (wasInTransaction || isConnectionLost(error)))
}

/** @throws Error if it takes so long that the server must have given up, or cannot be reached; then `onLate` is called */
export function within<T>(promise: Promise<T>, ms = longestQuery, onLate = () => {}): Promise<T> {
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

/**
 * Makes what is asked wait for what was asked before: a client of `pg` is to have one statement at a time, and warns of
 * others.
 */
export function inTurn(): <T>(ask: () => Promise<T>) => Promise<T> {
  let last: Promise<unknown> = Promise.resolve()
  return (ask) => {
    const running = last.then(ask)
    last = running.catch(() => {})
    return running
  }
}
