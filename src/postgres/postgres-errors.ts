/** Errors of PostgreSQL and of its clients as errors of tidemark. */
import { messageOf, StorageBusyError, StorageFailedError, StorageFullError, TidemarkError } from '../errors.js'
import type { WriteOutcome } from '../errors.js'
import { say } from '../messages.js'

/** The tables of tidemark are missing, or those of an older version. `migratePostgres` makes them. Nothing was changed. */
export class NotMigratedError extends TidemarkError {
  declare readonly schema: string

  constructor(schema: string, found: number | undefined) {
    const what = found === undefined ? say`has no tables of tidemark` : say`has version ${found} of the tables`
    super(
      'not-migrated',
      say`The schema '${schema}' ${what}. Call migratePostgres(pool, { schema: '${schema}' }) first.`,
      {
        outcome: 'not-written',
      },
    )
    this.schema = schema
  }
}

/** What a client says about an error that the server sent. */
interface ServerError {
  /** SQLSTATE. */
  readonly code?: unknown
  readonly severity?: unknown
}

/** Whether the server itself said that a statement failed, and continues with this connection. */
export const isRefusedByServer = (error: unknown): boolean => {
  const { code, severity } = rootOf(error)
  return typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code) && (severity === undefined || severity === 'ERROR')
}

/** Whether the connection is of no use any more. */
export const isConnectionLost = (error: unknown): boolean => !isRefusedByServer(error)

/**
 * @param outcome what is known if the server did not say it: of a statement that the server refused, nothing is written
 */
export function failedQuery(error: unknown, outcome: WriteOutcome): TidemarkError {
  if (error instanceof TidemarkError) return error
  const options = { cause: error, outcome: isRefusedByServer(error) ? 'not-written' : outcome } as const
  const what = say`The database failed: ${messageOf(error)}`
  const code = String((error as ServerError | undefined)?.code)
  // Disk full, out of memory or of connections; a lock that was not given, a deadlock, a statement that took too long.
  if (code === '53100') return new StorageFullError(what, options)
  if (/^(53|55P03|40|57014|25P0[34])/.test(code)) return new StorageBusyError(what, options)
  return new StorageFailedError(what, options)
}

function rootOf(error: unknown): ServerError {
  return (error instanceof TidemarkError ? (error.cause ?? {}) : (error ?? {})) as ServerError
}
