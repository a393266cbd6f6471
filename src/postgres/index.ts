/** `tidemark/postgres`: logs in PostgreSQL, over a `Pool` of `pg` or over PGlite. */
export { migratePostgres, type MigrateOptions } from './migrate-postgres.js'
export { deleteOldRefusals, type DeleteRefusalsOptions } from './delete-refusals.js'
export { openPostgresLogStore, type PostgresLogStore, type PostgresLogStoreOptions } from './postgres-log-store.js'
export { NotMigratedError } from './postgres-errors.js'
export type { EmbeddedPostgres, PgClient, PgPool, SqlPool, SqlQueries, SqlResult, SqlRow } from './sql-client.js'
export type { LogDecision, LoggedCommit, LoggedEvent, LogStore } from '../server/log-store.js'
export type { FinalVerdict } from '../wire/protocol.js'
