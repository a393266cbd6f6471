/** The tables of tidemark, version by version, and the check that a database has those that this build needs. */
import { InvalidArgumentError, UnsupportedFormatError } from '../errors.js'
import { say } from '../messages.js'
import { sha256 } from '../server/sha-256.js'
import type { Sql } from './sql-connection.js'
import { NotMigratedError } from './postgres-errors.js'
import { projectorTables } from './projector-tables.js'
import { readModelTables } from './read-model-tables.js'
import { quoted } from './sql-text.js'

/** Where the tables are, if the app does not say it. */
const defaultSchema = 'tidemark'

/** One step from a version of the tables to the next one. Steps that were released are never changed. */
export interface Migration {
  readonly version: number
  /** The least version that a build must know to work with the tables as they are then. */
  readonly least: number
  /** The statements. `schema` is quoted; `partitioned` is what follows a table whose key begins with `log`. */
  readonly statements: (schema: string, table: TableMaker) => readonly string[]
}

/** Makes a table whose key begins with the log, divided by a hash of it where that was asked for. */
export type TableMaker = (name: string, columns: string) => readonly string[]

/** From the oldest to the newest. A newer feature adds a step at the end. */
const migrations: readonly Migration[] = [
  {
    version: 1,
    least: 1,
    statements: (schema, table) => [
      // `origin`: which start of which server the epoch belongs to.
      `create table ${schema}.logs (
        id int generated always as identity primary key,
        name text collate "C" not null unique,
        identity text not null,
        epoch text not null,
        origin text not null,
        head bigint not null,
        chain text not null,
        created timestamptz not null default now()
      ) with (fillfactor = 50)`,
      // One row for each commit. `events`: see packed.ts.
      ...table(
        'commits',
        `log int, at bigint, n int not null, chain text not null, author text collate "C" not null,
        recorded timestamptz not null default now(), events text not null, primary key (log, at)`,
      ),
      // Each id of an event, and the commit that it is in.
      ...table('ids', 'log int, id uuid, at bigint not null, primary key (log, id)'),
      // For each commit and stream: the version of its last event of that stream.
      ...table(
        'heads',
        'log int, stream text collate "C", version int, at bigint not null, primary key (log, stream, version)',
      ),
      // Names have any length, so the keys are UUIDs made of them. The verdict is JSON.
      ...table(
        'refusals',
        `log int, id_key uuid, author_key uuid, author text collate "C" not null, id text collate "C" not null,
        verdict text not null, kept timestamptz not null default now(), primary key (log, id_key, author_key)`,
      ),
      `create index refusals_kept on ${schema}.refusals (kept)`,
    ],
  },
  {
    version: 2,
    least: 1,
    statements: (schema) => [...projectorTables(schema), ...readModelTables(schema)],
  },
]

export const newestVersion = Math.max(...migrations.map(({ version }) => version))

/** @throws InvalidArgumentError for a name that tables of tidemark cannot have as their schema */
export function checkedSchema(schema: unknown = defaultSchema): string {
  if (typeof schema !== 'string' || !/^[a-z_][a-z0-9_]{0,39}$/.test(schema) || schema.startsWith('pg_'))
    throw new InvalidArgumentError(
      'schema',
      say`must have 1 to 40 of the characters a-z, 0-9 and '_', and not begin with a digit or with 'pg_'.`,
    )
  return schema
}

/** The steps behind a version. */
export const stepsBehind = (version: number): readonly Migration[] =>
  migrations.filter((migration) => migration.version > version)

/** The tables of one step. */
export function statementsOf(migration: Migration, schema: string, partitions: number): readonly string[] {
  const own = quoted(schema)
  return migration.statements(own, (name, columns) => {
    if (partitions === 1) return [`create table ${own}.${name} (${columns})`]
    const parts = Array.from(
      { length: partitions },
      (_, n) =>
        `create table ${own}.${name}_${n} partition of ${own}.${name} for values with (modulus ${partitions}, remainder ${n})`,
    )
    return [`create table ${own}.${name} (${columns}) partition by hash (log)`, ...parts]
  })
}

/** The version of the tables, and the least that a build must know; nothing if there are none. */
export async function versionOf(
  sql: Sql,
  schema: string,
): Promise<{ readonly version: number; readonly least: number } | undefined> {
  // Not by to_regclass: within a transaction it may not see what another one has committed since the begin.
  const there = await sql.query(
    `select 1 from pg_catalog.pg_tables where schemaname = $1 and tablename = 'migrations'`,
    [schema],
  )
  if (there.length === 0) return undefined
  const [row] = await sql.query(
    `select max(version)::int as version, max(least)::int as least from ${quoted(schema)}.migrations`,
  )
  return row?.['version'] == null ? undefined : { version: Number(row['version']), least: Number(row['least']) }
}

/**
 * @throws NotMigratedError where `migratePostgres` has to be called
 * @throws UnsupportedFormatError if a newer version of tidemark has changed the tables in a way that this one does not know
 */
export async function assertMigrated(sql: Sql, schema: string): Promise<void> {
  const found = await versionOf(sql, schema)
  if (found === undefined || found.version < newestVersion) throw new NotMigratedError(schema, found?.version)
  assertKnown(found.least, schema)
}

/** @throws UnsupportedFormatError */
export function assertKnown(least: number, schema: string): void {
  if (least > newestVersion)
    throw new UnsupportedFormatError(
      say`A newer version of tidemark made the tables in the schema '${schema}': they need version ${least}, and this one knows ${newestVersion}.`,
    )
}

/** A text as the number of an advisory lock. */
export const lockKey = (text: string): string => BigInt.asIntN(64, BigInt(`0x${sha256(text).slice(0, 16)}`)).toString()
