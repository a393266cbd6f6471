import { randomUUID } from 'node:crypto'
import { PGlite } from '@electric-sql/pglite'
import { InvalidArgumentError, UnsupportedFormatError } from 'tidemark'
import { migratePostgres, type SqlPool } from 'tidemark/postgres'
import pg from 'pg'
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { lockKey } from '../../../src/postgres/postgres-schema.js'
import { postgresUrl, TestSchema } from '../../support/postgres/server.js'

const url = await postgresUrl()

/** What the schema has, without names that are drawn. */
async function shapeOf(pool: SqlPool, schema: string) {
  const { rows } = await pool.query(
    `select c.relname as name, c.relkind as kind, (select count(*)::int from pg_attribute a where a.attrelid = c.oid and attnum > 0) as columns
     from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname = $1 order by 1`,
    [schema],
  )
  return rows
}

describe.skipIf(url === undefined)('migratePostgres on a server', () => {
  const schemas: TestSchema[] = []
  const begin = () => {
    const schema = new TestSchema(url as string)
    schemas.push(schema)
    return schema
  }
  afterEach(async () => {
    for (const schema of schemas.splice(0)) await schema.dispose()
  })

  test('makes the tables once, whoever calls it how often', async () => {
    const { pool, schema } = begin()
    await migratePostgres(pool, { schema })
    const first = await shapeOf(pool, schema)
    expect(first.map(({ name }) => name)).toEqual(
      expect.arrayContaining(['logs', 'commits', 'ids', 'heads', 'refusals']),
    )
    await migratePostgres(pool, { schema })
    expect(await shapeOf(pool, schema)).toEqual(first)
    const { rows } = await pool.query(
      `select count(*)::int as steps, max(version)::int as newest from ${schema}.migrations`,
    )
    expect(rows[0].steps).toBe(rows[0].newest)
  })

  test('twenty processes at the same time make them once', async () => {
    const subject = begin()
    const pools = Array.from({ length: 20 }, () => subject.anotherPool({ max: 1 }))
    await Promise.all(pools.map((pool) => migratePostgres(pool, { schema: subject.schema })))
    const { rows } = await subject.pool.query(`select version from ${subject.schema}.migrations`)
    expect(rows.length).toBe(new Set(rows.map(({ version }) => version)).size)
  })

  test('N78: waits for another process that migrates, however long that takes', async () => {
    const { pool, schema } = begin()
    const other = await pool.connect()
    await other.query('begin')
    await other.query('select pg_advisory_xact_lock($1)', [lockKey(`tidemark migration ${schema}`)])
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    try {
      const migrating = migratePostgres(pool, { schema })
      const waiting = `select count(*)::int as n from pg_stat_activity where wait_event = 'advisory' and pid <> all (pg_blocking_pids(pid))
        and pg_blocking_pids(pid) @> array[$1::int]`
      const { rows } = await other.query('select pg_backend_pid() as pid')
      await expect.poll(async () => (await pool.query(waiting, [rows[0].pid])).rows[0].n).toBe(1)
      vi.advanceTimersByTime(10 * 60_000)
      await other.query('commit')
      await migrating
    } finally {
      vi.useRealTimers()
      other.release()
    }
    expect((await shapeOf(pool, schema)).length).toBeGreaterThan(10)
  })

  test('refuses a database that has not every character', async () => {
    const { pool } = begin()
    const name = `latin_${randomUUID().slice(0, 8)}`
    await pool.query(`create database ${name} encoding 'LATIN1' lc_collate 'C' lc_ctype 'C' template template0`)
    const latin = new URL(url as string)
    latin.pathname = `/${name}`
    const other = new pg.Pool({ connectionString: latin.href })
    await expect(migratePostgres(other)).rejects.toThrow(/LATIN1.*UTF8/)
    await other.end()
    await pool.query(`drop database ${name}`)
  })

  test('divides the large tables if asked for, for good', async () => {
    const { pool, schema } = begin()
    await migratePostgres(pool, { schema, partitions: 3 })
    const names = (await shapeOf(pool, schema)).map(({ name }) => name)
    expect(names).toEqual(
      expect.arrayContaining(['commits', 'commits_0', 'commits_2', 'ids_1', 'heads_1', 'refusals_2']),
    )
    expect(names).not.toContain('commits_3')
  })

  test('N78: tables of a newer version that this one does not know are refused, and stay as they are', async () => {
    const { pool, schema } = begin()
    await migratePostgres(pool, { schema })
    await pool.query(`insert into ${schema}.migrations (version, least, partitions) values (1000, 1, 1)`)
    await migratePostgres(pool, { schema })
    await pool.query(`update ${schema}.migrations set least = 1000 where version = 1000`)
    await expect(migratePostgres(pool, { schema })).rejects.toThrow(UnsupportedFormatError)
  })

  test('a step that fails leaves nothing behind', async () => {
    const { pool, schema } = begin()
    await pool.query(`create schema ${schema}`)
    await pool.query(`create table ${schema}.heads (x int)`)
    await expect(migratePostgres(pool, { schema })).rejects.toMatchObject({ outcome: 'not-written' })
    expect((await shapeOf(pool, schema)).map(({ name }) => name)).toEqual(['heads'])
    await pool.query(`drop table ${schema}.heads`)
    await migratePostgres(pool, { schema })
  })

  test('a name that is none is refused before anything is asked', async () => {
    const { pool } = begin()
    for (const schema of ['', 'a"b', 'A', '1a', 'pg_x', 'x'.repeat(41)])
      await expect(migratePostgres(pool, { schema }), schema).rejects.toThrow(InvalidArgumentError)
    await expect(migratePostgres(pool, { partitions: 0 })).rejects.toThrow(InvalidArgumentError)
  })
})

describe('migratePostgres in PGlite', () => {
  let pglite: PGlite
  // It compiles a large program first.
  beforeAll(async () => void (pglite = await PGlite.create()), 300_000)
  afterAll(() => pglite.close())

  test('makes the tables', async () => {
    await migratePostgres(pglite)
    await migratePostgres(pglite, { schema: 'other', partitions: 2 })
    expect((await shapeOf(pglite, 'tidemark')).length).toBeGreaterThan(10)
  })
})
