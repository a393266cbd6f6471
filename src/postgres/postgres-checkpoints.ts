/** The checkpoints of plain projectors, and their dead letters, in PostgreSQL. */
import { projectionName } from '../events/names.js'
import { assertExpected, checkPage, saveNames } from '../log/checkpoint-rules.js'
import { onlyKnown, wholeNumber } from '../platform/arguments.js'
import type { CheckpointStore, DeadLetterRecord, SaveOptions } from '../ports.js'
import type { Sql } from './sql-connection.js'
import { fromSqlText, toSqlText } from './sql-text.js'

/** Where the checkpoints of a log are. */
export interface CheckpointPlace {
  readonly sql: Sql
  /** Quoted. */
  readonly schema: string
  /** The number of the log. */
  readonly log: number
}

/** Saves a position. @throws LeadershipLostError */
export async function saveCheckpoint(
  { sql, schema, log }: CheckpointPlace,
  name: string,
  position: number,
  { expected, deadLetters = [], dropDeadLetters = false }: SaveOptions,
): Promise<void> {
  const [row] = await sql.query(
    `select ${schema}.checkpoint_save($1, $2, $3::bigint, $4::bigint, $5::text::json, $6::text::json, $7)::text as stored`,
    [
      log,
      toSqlText(name),
      position,
      expected ?? null,
      placesOf(deadLetters),
      JSON.stringify(deadLetters),
      dropDeadLetters,
    ],
    // Within a transaction it is still known, until that is committed.
    'unknown',
  )
  const stored = row?.['stored']
  if (stored != null) assertExpected(name, Number(stored), expected)
}

/** The positions of dead letters: taken out of them in SQL, they would fail where a text holds U+0000. */
export const placesOf = (letters: readonly DeadLetterRecord[]): string =>
  JSON.stringify(letters.map(({ position }) => position))

/** The stored position, if there is one. `locks`: until the transaction ends. */
export async function storedCheckpoint(
  { sql, schema, log }: CheckpointPlace,
  name: string,
  locks = false,
): Promise<number | undefined> {
  const [row] = await sql.query(
    `select position from ${schema}.checkpoints where log = $1 and name = $2${locks ? ' for update' : ''}`,
    [log, toSqlText(name)],
  )
  return row === undefined ? undefined : Number(row['position'])
}

/** Removes a dead letter. Resolves with false if no dead letter is at that position. */
export async function removeDeadLetter(
  { sql, schema, log }: CheckpointPlace,
  name: string,
  position: number,
): Promise<boolean> {
  const rows = await sql.query(
    `delete from ${schema}.dead_letters where log = $1 and name = $2 and position = $3::bigint returning 1 as one`,
    [log, toSqlText(name), position],
    'unknown',
  )
  return rows.length > 0
}

/** All positions, by name. */
export async function storedCheckpoints({
  sql,
  schema,
  log,
}: CheckpointPlace): Promise<{ name: string; position: number }[]> {
  const rows = await sql.query(`select name, position from ${schema}.checkpoints where log = $1`, [log])
  return rows.map(({ name, position }) => ({ name: fromSqlText(name as string), position: Number(position) }))
}

export function postgresCheckpoints(place: CheckpointPlace): Required<CheckpointStore> {
  const { sql, schema, log } = place
  return {
    load: async (name) => storedCheckpoint(place, projectionName(name)),
    async save(name, position, options = {}) {
      onlyKnown(options, saveNames)
      const key = projectionName(name)
      wholeNumber(position, 'position')
      await saveCheckpoint(place, key, position, options)
    },
    async deadLetters(name, after, limit) {
      checkPage(after, limit)
      const rows = await sql.query(
        `select dead_letter::text as text from ${schema}.dead_letters
          where log = $1 and name = $2 and position > $3::bigint order by position limit $4::bigint`,
        [log, toSqlText(projectionName(name)), after, limit],
      )
      return rows.map(({ text }) => JSON.parse(text as string) as DeadLetterRecord)
    },
    async countDeadLetters(name) {
      const [row] = await sql.query(
        `select count(*)::int as count from ${schema}.dead_letters where log = $1 and name = $2`,
        [log, toSqlText(projectionName(name))],
      )
      return Number(row?.['count'])
    },
    removeDeadLetter: (name, position) => removeDeadLetter(place, projectionName(name), position),
  }
}
