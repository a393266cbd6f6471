// Rows of slots that were emptied are deleted in small steps, by whoever finds them, and no others.
import { beforeEach, expect, test } from 'vitest'
import { ReadModelSql } from '../../../src/postgres/read-model-sql.js'
import { Database } from '../../../src/postgres/sql-database.js'
import { inSchema } from '../../support/postgres/in-schema.js'

inSchema('what is left of slots that were emptied', 60_000, (subject) => {
  const inTables = (ask: (table: string) => Promise<unknown>) =>
    Promise.all(['rows', 'entries', 'dead_letters'].map((table) => ask(`${subject.schema}.read_model_${table}`)))

  /** Parts with so many rows, entries and dead letters. */
  const fill = async (part: number, [rows, entries, letters]: readonly [number, number, number]) => {
    const { pool, schema } = subject
    await pool.query(
      `insert into ${schema}.read_model_rows select $1, 1, n::text::bytea, '{}', '{}' from generate_series(1, $2) n`,
      [part, rows],
    )
    await pool.query(
      `insert into ${schema}.read_model_entries select $1, n::text::bytea, 'k' from generate_series(1, $2) n`,
      [part, entries],
    )
    await pool.query(`insert into ${schema}.read_model_dead_letters select $1, n, '{}' from generate_series(1, $2) n`, [
      part,
      letters,
    ])
  }
  const empty = (part: number) =>
    subject.pool.query(`insert into ${subject.schema}.read_model_garbage values ($1)`, [part])
  const left = async (part: number) =>
    (await inTables((table) => subject.pool.query(`select 1 from ${table} where part = $1`, [part]))).map(
      (found) => (found as { rowCount: number }).rowCount,
    )
  const garbage = async () =>
    (await subject.pool.query<{ part: number }>(`select part from ${subject.schema}.read_model_garbage`)).rows.map(
      ({ part }) => part,
    )

  const sweeper = () => {
    const database = new Database(subject.pool)
    const counts: number[] = []
    const counting = {
      async query(...given: Parameters<Database['query']>) {
        const before = await left(10)
        const found = await database.query(...given)
        const after = await left(10)
        counts.push(...before.map((count, at) => count - (after[at] as number)))
        return found
      },
    }
    return { sql: new ReadModelSql(counting, `"${subject.schema}"`, 1), counts }
  }

  beforeEach(async () => {
    await inTables((table) => subject.pool.query(`delete from ${table}`))
    await subject.pool.query(`delete from ${subject.schema}.read_model_garbage`)
    await fill(10, [12_000, 17_000, 6_000])
    await fill(11, [3, 3, 3])
    await fill(12, [3, 3, 3])
    await empty(10)
    await empty(12)
  })

  test('all of it, in statements of up to 5,000 rows of each table, and nothing of other parts', async () => {
    const { sql, counts } = sweeper()
    await sql.sweep()
    expect([await left(10), await left(11), await left(12)]).toEqual([
      [0, 0, 0],
      [3, 3, 3],
      [0, 0, 0],
    ])
    expect(await garbage()).toEqual([])
    expect(Math.max(...counts)).toBe(5_000)
  })

  test('as much as the time allows, and the rest the next time', async () => {
    const { sql } = sweeper()
    await sql.sweep(0)
    expect(await left(10)).toEqual([7_000, 12_000, 1_000])
    expect([sql.hasGarbage, await garbage()]).toEqual([true, [10, 12]])
    await sql.sweep(60_000)
    expect([sql.hasGarbage, await garbage()]).toEqual([false, []])
    expect([await left(10), await left(11)]).toEqual([
      [0, 0, 0],
      [3, 3, 3],
    ])
  })

  test('by several at the same time', async () => {
    await Promise.all(
      [1, 2, 3].map(() => new ReadModelSql(new Database(subject.pool), `"${subject.schema}"`, 1).sweep()),
    )
    // What one of them had under way, the others left.
    await sweeper().sql.sweep()
    expect([await left(10), await left(11), await garbage()]).toEqual([[0, 0, 0], [3, 3, 3], []])
  })

  test('what another one holds is waited for by no one, and stays until the next time', async () => {
    const client = await subject.pool.connect()
    await client.query('begin')
    await client.query(`select from ${subject.schema}.read_model_rows where part = 10 limit 1 for update`)
    const { sql } = sweeper()
    await sql.sweep()
    expect([await left(10), sql.hasGarbage]).toEqual([[1, 0, 0], true])
    expect(await garbage()).toContain(10)
    await client.query('rollback')
    client.release()
    await sql.sweep()
    expect([await left(10), await garbage(), sql.hasGarbage]).toEqual([[0, 0, 0], [], false])
  })
})
