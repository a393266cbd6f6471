/** The clients that PostgreSQL is reached with: a pool as that of `pg`, or PGlite, which is told apart by its `exec`. */

/** A row, by the names of its columns. */
export type SqlRow = Readonly<Record<string, unknown>>

/** What a statement returns. */
export interface SqlResult {
  readonly rows: readonly SqlRow[]
}

/** What both kinds of clients understand. `$1`, `$2` … are the values. */
export interface SqlQueries {
  query(text: string, values?: unknown[]): Promise<SqlResult>
}

/** A connection of a pool, as `pg` has it. */
export interface PgClient extends SqlQueries {
  /** Gives it back to the pool; with `true` or an error it is closed instead. */
  release(error?: boolean | Error): void
  on(event: string, listener: (...given: unknown[]) => void): unknown
  removeListener(event: string, listener: (...given: unknown[]) => void): unknown
}

/**
 * A pool of connections with the shape of `pg.Pool`. It must lead to the server that takes writes. A transaction is
 * made by text (`begin`, `commit`) on one connection, and no statement is prepared by name.
 */
export interface PgPool extends SqlQueries {
  connect(): Promise<PgClient>
}

/** PostgreSQL within this process: `@electric-sql/pglite`, or anything with these of its methods. */
export interface EmbeddedPostgres extends SqlQueries {
  exec(text: string): Promise<unknown>
  transaction<T>(work: (client: SqlQueries) => Promise<T>): Promise<T>
  listen(channel: string, listener: (payload: string) => void): Promise<() => Promise<void>>
}

/** How PostgreSQL is reached: a `Pool` of `pg`, or PGlite. */
export type SqlPool = PgPool | EmbeddedPostgres

export const isEmbedded = (pool: SqlPool): pool is EmbeddedPostgres =>
  typeof (pool as Partial<EmbeddedPostgres>).exec === 'function' &&
  typeof (pool as Partial<EmbeddedPostgres>).transaction === 'function'

export const isPool = (pool: SqlPool): pool is PgPool =>
  !isEmbedded(pool) && typeof (pool as Partial<PgPool>).connect === 'function'

/** A connection of `pg`, in a pool or not, which has `connect` and `query` as well. */
export const isClient = (pool: SqlPool): boolean =>
  !isEmbedded(pool) && ('processID' in pool || 'escapeIdentifier' in pool)
