/** `tidemark/postgres`: logs in PostgreSQL, over a `Pool` of `pg` or over PGlite. */
export { migratePostgres, type MigrateOptions } from './migrate-postgres.js'
export { NotMigratedError } from './postgres-errors.js'
export type { EmbeddedPostgres, PgClient, PgPool, SqlPool, SqlQueries, SqlResult, SqlRow } from './sql-client.js'
