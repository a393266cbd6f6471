// N77, N78: an isolation level that the app has chosen for its role or database is not that of tidemark's transactions.
import { randomUUID } from 'node:crypto'
import { migratePostgres, openPostgresLogStore } from 'tidemark/postgres'
import { serverLog } from 'tidemark/server'
import { afterEach, describe, expect, test } from 'vitest'
import { postgresUrl, TestSchema } from '../../support/postgres/server.js'

const url = await postgresUrl()
const levels = ['repeatable read', 'serializable'] as const

describe.skipIf(url === undefined)('a role with another isolation level', { timeout: 120_000 }, () => {
  let subject: TestSchema
  afterEach(() => subject.dispose())
  const poolsOf = (level: string) => {
    subject = new TestSchema(url as string)
    const options = `-c default_transaction_isolation=${level.replace(' ', '\\ ')}`
    return Array.from({ length: 4 }, () => subject.anotherPool({ max: 4, options }))
  }

  test.for(levels)('%s: processes migrate at the same time', async (level) => {
    await Promise.all(poolsOf(level).map((each) => migratePostgres(each, { schema: subject.schema })))
  })

  test.for(levels)('%s: of pushes that wait for each other none is refused', async (level) => {
    const pools = poolsOf(level)
    const { schema } = subject
    await migratePostgres(subject.pool, { schema })
    const servers = pools.map((pool) => serverLog(openPostgresLogStore({ pool, schema, log: 'shared' })))
    await servers[0]?.info()
    await Promise.all(
      servers.map(async (server) => {
        for (let n = 0; n < 10; n += 1) {
          const id = randomUUID()
          const event = { stream: 's', type: 'A', id, time: 1, data: n }
          const { answers } = await server.push({ commits: [{ events: [event] }] }, { author: 'anna' })
          expect(answers).toEqual([{ id, accepted: expect.any(Number) as number }])
        }
      }),
    )
    expect(await openPostgresLogStore({ pool: subject.pool, schema, log: 'shared' }).head()).toBe(40)
  })
})
