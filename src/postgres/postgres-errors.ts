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

/**
 * PostgreSQL refuses something for good: the role may not do it, or cannot log in, or what a statement names is not
 * there. Another try is useless until someone changes that, so projections stop. Nothing was changed.
 */
export class DatabaseRefusedError extends TidemarkError {
  /** The SQLSTATE, such as `42501`: `insufficient_privilege`. */
  declare readonly sqlState: string

  constructor(sqlState: string, cause: unknown) {
    super('database-refused', say`The database refuses this: ${messageOf(cause)}. ${adviceOn(sqlState)}`, {
      outcome: 'not-written',
      cause,
    })
    this.sqlState = sqlState
  }
}

/** There is no log of that name, and `create: false` says that none is to be begun. `syncHandler` responds 404. */
export class NoSuchLogError extends TidemarkError {
  /** The name of the log. */
  declare readonly log: string

  constructor(log: string, schema: string) {
    super('no-such-log', say`There is no log '${log}' in the schema '${schema}', and create is false.`, {
      outcome: 'not-written',
    })
    this.log = log
  }
}

/** What someone can do about it. */
function adviceOn(sqlState: string): string {
  if (sqlState === '42501') return say`Grant the role of this server the rights that docs/postgres.md lists.`
  if (sqlState.startsWith('28')) return say`Check the user, the password and pg_hba.conf.`
  if (sqlState === '3D000') return say`Check the name of the database in the connection string.`
  return say`What the statement names is not there, or it is wrong. migratePostgres makes the tables of tidemark.`
}

/** No right, no access, no such database, schema, table or column, or no sense. */
const refused = /^(28|42|3D000|3F000)/

/** What a client says about an error that the server sent. */
interface ServerError {
  /** SQLSTATE. */
  readonly code?: unknown
  readonly severity?: unknown
}

/** Whether the server itself said that a statement failed, and continues with this connection. */
export const isRefusedByServer = (error: unknown): boolean => {
  const { code, severity } = rootOf(error)
  if (typeof code !== 'string' || !/^[0-9A-Z]{5}$/.test(code)) return false
  if (severity === 'ERROR') return true
  // Without one it may be of the system: EPIPE has as many characters. Those of PostgreSQL have digits.
  if (severity === undefined) return /\d/.test(code)
  // The server says it in its own language: 'FEHLER' is an error, and 'FATAL' the end of the connection in several.
  return severity !== 'FATAL' && severity !== 'PANIC' && !endsConnection.test(code)
}

/** What ends a connection: it was lost or not accepted, the server stops, or something took too long. */
const endsConnection = /^(08|28|57P|58|XX|3D000|53300|25P0[34])/

/** Whether a statement was undone because of others at the same time, so that it may be sent again. */
export const isUndone = (error: unknown): boolean => /^40(001|P01)$/.test(String(rootOf(error).code))

/** Whether the connection is of no use any more. */
export const isConnectionLost = (error: unknown): boolean => !isRefusedByServer(error)

/**
 * @param outcome what is known if the server did not say it: of a statement that the server refused, nothing is written
 */
export function failedQuery(error: unknown, outcome: WriteOutcome): TidemarkError {
  if (error instanceof TidemarkError) return error
  const code = String((error as ServerError | undefined)?.code)
  if (code.length === 5 && refused.test(code)) return new DatabaseRefusedError(code, error)
  const options = { cause: error, outcome: isRefusedByServer(error) ? 'not-written' : outcome } as const
  const what = say`The database failed: ${messageOf(error)}`
  // Disk full, out of memory or of connections; a lock that was not given, a deadlock, a statement that took too long.
  if (code === '53100') return new StorageFullError(what, options)
  if (/^(53|55P03|40|57014|25P0[34])/.test(code)) return new StorageBusyError(what, options)
  return new StorageFailedError(what, options)
}

function rootOf(error: unknown): ServerError {
  return (error instanceof TidemarkError ? (error.cause ?? {}) : (error ?? {})) as ServerError
}
