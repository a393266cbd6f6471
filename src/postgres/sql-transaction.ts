/** A transaction on a connection of its own. */
import { InvalidArgumentError } from '../errors.js'
import { say } from '../messages.js'
import { failedQuery, isConnectionLost } from './postgres-errors.js'
import type { PgClient, SqlRow } from './sql-client.js'
import { runQuery, giveBackClient, inTurn, within, type Sql } from './sql-connection.js'

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
      return await runQuery(this.#client, text, values, 'not-written', this.isPatient ? (query) => query : undefined)
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
    giveBackClient(this.#client, error, true)
  }
}
