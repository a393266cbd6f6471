/** Retention of refusals: verdicts that devices do not ask for any more. */
import { InvalidArgumentError } from '../errors.js'
import { say } from '../messages.js'
import { onlyKnown } from '../platform/arguments.js'
import { checkedSchema, assertMigrated } from './postgres-schema.js'
import { Database } from './sql-database.js'
import type { SqlPool } from './sql-client.js'
import { quoted } from './sql-text.js'

/** Options of {@link deleteOldRefusals}. */
export interface DeleteRefusalsOptions {
  /** Where the tables are. @default 'tidemark' */
  readonly schema?: string
  /** Refusals that are older are deleted. At least 90 days, which devices rely on. @default 90 */
  readonly days?: number
}

/** Of one statement, so that none runs for long. */
const rowsTogether = 5_000

/**
 * Deletes refusals of all logs of a schema that are older than 90 days, in small steps. Call it once a day. A device that
 * sends a commit again whose refusal was deleted has it decided again.
 *
 * @returns how many rows were deleted; a refused commit has one for each of its events
 * @throws InvalidArgumentError for less than 90 days
 */
export async function deleteOldRefusals(pool: SqlPool, options: DeleteRefusalsOptions = {}): Promise<number> {
  onlyKnown(options, ['schema', 'days'])
  const schema = checkedSchema(options.schema)
  const { days = 90 } = options
  if (typeof days !== 'number' || !(days >= 90 && days < 1_000_000))
    throw new InvalidArgumentError('days', say`must be at least 90.`)
  const database = new Database(pool)
  await assertMigrated(database, schema)
  const table = `${quoted(schema)}.refusals`
  for (let deleted = 0; ;) {
    const rows = await database.query(
      // Asked twice: one that was kept again meanwhile stays.
      `delete from ${table} where kept < now() - $1 * interval '1 day' and (log, id_key, author_key) in
         (select log, id_key, author_key from ${table} where kept < now() - $1 * interval '1 day' limit ${rowsTogether})
       returning 1 as one`,
      [days],
      'unknown',
    )
    deleted += rows.length
    if (rows.length < rowsTogether) return deleted
  }
}
