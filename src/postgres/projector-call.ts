/** What a projector's `apply` gets: statements of one call, which end with it. */
import { InvalidArgumentError } from '../errors.js'
import { say } from '../messages.js'
import type { SqlRow } from './sql-client.js'
import type { Sql } from './sql-connection.js'

/**
 * The transaction that an event is applied in. `$1`, `$2` … in the text are the values. It takes savepoints, but nothing
 * that begins or ends a transaction, and nothing once the call has ended.
 */
export interface ProjectorSql {
  query(text: string, values?: readonly unknown[]): Promise<readonly SqlRow[]>
}

/** What would end the transaction, or begin one; but `rollback to` a savepoint of the app's own. */
const endsTransaction =
  /^\s*(begin|start|commit|end|abort|prepare\s+transaction|rollback(?!(\s+work|\s+transaction)?\s+to\b))\b/i

class CallSql implements ProjectorSql {
  readonly #sql: Sql
  #isOver = false
  #waiting = 0
  /** What the server refused: the app may have caught it. */
  #failure: { readonly error: unknown } | undefined

  constructor(sql: Sql) {
    this.#sql = sql
  }

  query(text: string, values: readonly unknown[] = []): Promise<readonly SqlRow[]> {
    const asked = this.#asked(text, values)
    // Of one that nothing waits for: the call fails then, and not the process.
    asked.catch(() => {})
    return asked
  }

  async #asked(text: string, values: readonly unknown[]): Promise<readonly SqlRow[]> {
    if (this.#isOver) throw new InvalidArgumentError('sql', say`is used after the call that it was for has ended.`)
    if (endsTransaction.test(text))
      throw new InvalidArgumentError('sql', say`must not begin or end a transaction: the checkpoint is stored in it.`)
    this.#waiting += 1
    try {
      return await this.#sql.query(text, values)
    } catch (error) {
      this.#failure ??= { error }
      throw error
    } finally {
      this.#waiting -= 1
    }
  }

  end(): void {
    this.#isOver = true
  }

  /** @throws what makes of a call that seemed to succeed one that failed */
  async assertSound(): Promise<void> {
    if (this.#waiting > 0)
      throw new InvalidArgumentError(
        'apply',
        say`did not wait for a statement. Await every sql.query(), also in loops.`,
      )
    const failure = this.#failure
    if (failure === undefined) return
    // A transaction takes no statement after one that failed, unless the app went back to a savepoint of its own.
    await this.#sql.query('select 1').catch(() => {
      throw failure.error
    })
  }
}

/**
 * Runs what the app does in one call.
 *
 * @throws also where it did not wait for a statement, or caught the error of one that left the transaction unusable
 */
export async function called(work: (sql: ProjectorSql) => Promise<void>, sql: Sql): Promise<void> {
  const own = new CallSql(sql)
  try {
    await work(own)
  } finally {
    own.end()
  }
  await own.assertSound()
}
