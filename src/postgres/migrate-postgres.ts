/** `migratePostgres`: makes the tables, and brings those of an older version up to date. */
import { InvalidArgumentError } from '../errors.js'
import { say } from '../messages.js'
import { onlyKnown } from '../platform/arguments.js'
import { Database } from './sql-database.js'
import type { Sql } from './sql-connection.js'
import {
  assertKnown,
  checkedSchema,
  lockKey,
  newestVersion,
  statementsOf,
  stepsBehind,
  versionOf,
} from './postgres-schema.js'
import type { SqlPool } from './sql-client.js'
import { quoted } from './sql-text.js'

/** Options of {@link migratePostgres}. */
export interface MigrateOptions {
  /** Where the tables are. Each schema has logs of its own. @default 'tidemark' */
  readonly schema?: string
  /**
   * Into how many parts the large tables are divided, by a hash of the log, when they are made; later it is ignored.
   * @default 1, which is not divided
   */
  readonly partitions?: number
}

/**
 * Makes the tables that stores in PostgreSQL need, or brings those of an older version up to date. Call it whenever the
 * app is deployed: it does nothing if there is nothing to do, any number of processes may call it at the same time, and
 * a step is complete or did not happen.
 *
 * @example
 * const pool = new Pool({ connectionString: process.env.DATABASE_URL })
 * await migratePostgres(pool)
 * @throws InvalidArgumentError for a database whose encoding is not UTF8
 * @throws StorageFailedError, StorageBusyError if the database fails or is not there: `waitForPostgres` waits for it
 * @throws UnsupportedFormatError if a newer version of tidemark made the tables
 */
export async function migratePostgres(pool: SqlPool, options: MigrateOptions = {}): Promise<void> {
  onlyKnown(options, ['schema', 'partitions'])
  const schema = checkedSchema(options.schema)
  const { partitions = 1 } = options
  if (!Number.isSafeInteger(partitions) || partitions < 1 || partitions > 1024)
    throw new InvalidArgumentError('partitions', say`must be a whole number from 1 to 1024.`)
  const database = new Database(pool)
  await assertUnicode(database)
  const found = await versionOf(database, schema)
  if (found !== undefined) assertKnown(found.least, schema)
  if (found !== undefined && found.version >= newestVersion) return
  await database.transaction(async (sql) => {
    // Those that wait for another process wait as long as it takes. The lock ends with the transaction.
    await sql.query(`select set_config('lock_timeout', '0', true), set_config('statement_timeout', '0', true)`)
    await sql.query('select pg_advisory_xact_lock($1)', [lockKey(`tidemark migration ${schema}`)])
    await migrate(sql, schema, partitions)
  }, true)
}

/** In another encoding PostgreSQL would refuse a push for a character that it lacks, and its device would send it for ever. */
async function assertUnicode(sql: Sql): Promise<void> {
  const [row] = await sql.query(`select current_setting('server_encoding') as encoding`)
  const encoding = row?.['encoding']
  if (encoding !== 'UTF8')
    throw new InvalidArgumentError(
      'pool',
      say`leads to a database with the encoding ${String(encoding)}. It must be UTF8.`,
    )
}

async function migrate(sql: Sql, schema: string, partitions: number): Promise<void> {
  const own = quoted(schema)
  const found = await versionOf(sql, schema)
  if (found !== undefined) assertKnown(found.least, schema)
  // Asked first: who may not create schemas may still use one that is there.
  const there = await sql.query('select 1 from pg_catalog.pg_namespace where nspname = $1', [schema])
  if (there.length === 0) await sql.query(`create schema ${own}`)
  await sql.query(
    `create table if not exists ${own}.migrations (
      version int primary key, least int not null, partitions int not null, applied timestamptz not null default now()
    )`,
  )
  // Tables of later versions are divided as those of the first one.
  const [first] = await sql.query(`select partitions from ${own}.migrations order by version limit 1`)
  const parts = first === undefined ? partitions : Number(first['partitions'])
  for (const step of stepsBehind(found?.version ?? 0)) {
    for (const statement of statementsOf(step, schema, parts)) await sql.query(statement)
    await sql.query(`insert into ${own}.migrations (version, least, partitions) values ($1, $2, $3)`, [
      step.version,
      step.least,
      parts,
    ])
  }
}
