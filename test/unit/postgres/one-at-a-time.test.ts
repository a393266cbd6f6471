// A connection has one statement at a time: `pg` warns of others, and its next version refuses them.
import pg from 'pg'
import { afterEach, describe, expect, test } from 'vitest'
import { defineEvents, runProjection } from 'tidemark'
import { migratePostgres, openPostgresStore, sqlProjector } from 'tidemark/postgres'
import { Database } from '../../../src/postgres/sql-database.js'
import { postgresUrl, TestSchema } from '../../support/postgres/server.js'

/** A pool whose statements take a turn each. */
function countingPool() {
  let [now, most, released] = [0, 0, 0]
  const sent: string[] = []
  const client = {
    async query(text: string) {
      sent.push(text.split(';')[0] as string)
      now += 1
      most = Math.max(most, now)
      await new Promise((resolve) => void setImmediate(resolve))
      now -= 1
      if (text === 'fails') throw Object.assign(new Error('no'), { code: '23505', severity: 'ERROR' })
      const result = { rows: [{ text }], command: text.toUpperCase() }
      return (text.startsWith('begin') ? [result] : result) as typeof result
    },
    release: () => void (released += 1),
    on() {},
    removeListener() {},
  }
  const pool = { connect: async () => client, query: client.query }
  return { database: new Database(pool), sent, most: () => most, released: () => released }
}

const begin = 'begin isolation level read committed read write'

describe('statements of one transaction', () => {
  test('that are asked for together are sent one after the other, in their order', async () => {
    const { database, sent, most, released } = countingPool()
    const found = await database.transaction((sql) => Promise.all(['a', 'b', 'c'].map((text) => sql.query(text))))
    expect(found).toEqual([[{ text: 'a' }], [{ text: 'b' }], [{ text: 'c' }]])
    expect(sent).toEqual([begin, 'a', 'b', 'c', 'commit'])
    expect([most(), released()]).toEqual([1, 1])
  })

  test('that its work did not wait for are sent before its end', async () => {
    for (const [work, end] of [
      [() => {}, 'commit'],
      [
        () => {
          throw new Error('no')
        },
        'rollback',
      ],
    ] as const) {
      const { database, sent, most, released } = countingPool()
      const done = database.transaction(async (sql) => {
        sql.query('a').catch(() => {})
        sql.query('fails').catch(() => {})
        work()
      })
      await Promise.allSettled([done])
      expect(sent).toEqual([begin, 'a', 'fails', end])
      expect([most(), released()]).toEqual([1, 1])
    }
  })
})

const url = await postgresUrl()

describe.skipIf(url === undefined)('a projector that asks for several at the same time', { timeout: 60_000 }, () => {
  let subject: TestSchema | undefined
  afterEach(() => subject?.dispose())

  test('makes pg warn of nothing', async () => {
    subject = new TestSchema(url as string)
    const { schema, pool } = subject
    await migratePostgres(pool, { schema })
    await pool.query(`create table ${schema}.mine (n int)`)
    // It warns once in a process, so what would make it warn is counted.
    let queued = 0
    const own = subject.anotherPool()
    own.on('connect', (client) => {
      const query = client.query.bind(client) as (...given: unknown[]) => unknown
      let running = 0
      client.query = (async (...given: unknown[]) => {
        if ((running += 1) > 1) queued += 1
        try {
          return await query(...given)
        } finally {
          running -= 1
        }
      }) as unknown as pg.PoolClient['query']
    })
    const events = defineEvents<{ type: 'A'; data: number }>()
    const store = await openPostgresStore({ pool: own, schema, name: 'many', events })
    await store.append(
      's',
      [1, 2, 3].map((data) => ({ type: 'A' as const, data })),
    )
    const projector = sqlProjector(store, {
      name: 'mine',
      apply: async ({ data }, sql) => {
        await Promise.all(
          [1, 10, 100].map((factor) => sql.query(`insert into ${schema}.mine values ($1)`, [data * factor])),
        )
      },
    })
    expect(await runProjection(store, projector)).toMatchObject({ applied: 3 })
    expect((await pool.query<{ sum: number }>(`select sum(n)::int as sum from ${schema}.mine`)).rows).toEqual([
      { sum: 666 },
    ])
    await store.close()
    expect(queued).toBe(0)
  })
})
