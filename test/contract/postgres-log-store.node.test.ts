/** The contract of a log store on a real PostgreSQL, with a second pool as another process would have, and on PGlite. */
import { PGlite } from '@electric-sql/pglite'
import { migratePostgres, openPostgresLogStore, type SqlPool } from 'tidemark/postgres'
import { logStoreContract } from 'tidemark/testing'
import { afterAll, beforeAll, describe, test } from 'vitest'
import { postgresUrl, TestSchema } from '../support/postgres/server.js'

const url = await postgresUrl()

let logs = 0

/** A log of its own, in a schema that the cases share. */
const openIn = (pool: SqlPool, schema: string, anotherPool?: SqlPool) => () => {
  const log = `log-${(logs += 1)}`
  const open = () => openPostgresLogStore({ pool, log, schema })
  const store = open()
  const others = [store]
  return Promise.resolve({
    store,
    reopen: async () => {
      await others.at(-1)?.close()
      const again = open()
      others.push(again)
      return again
    },
    ...(anotherPool !== undefined && {
      another: () => {
        const other = openPostgresLogStore({ pool: anotherPool, log, schema })
        others.push(other)
        return Promise.resolve(other)
      },
    }),
    dispose: async () => {
      for (const each of others) await each.close()
    },
  })
}

describe.skipIf(url === undefined)('openPostgresLogStore on a server keeps the contract of a log store', () => {
  for (const partitions of [1, 4])
    describe(`tables in ${partitions} parts`, () => {
      let subject: TestSchema
      let open: ReturnType<typeof openIn>
      beforeAll(async () => {
        subject = new TestSchema(url as string)
        await migratePostgres(subject.pool, { schema: subject.schema, partitions })
        open = openIn(subject.pool, subject.schema, subject.anotherPool())
      })
      afterAll(() => subject.dispose())
      for (const { name, run } of logStoreContract(() => open())) test(name, run)
    })
})

describe('openPostgresLogStore on PGlite keeps the contract of a log store', () => {
  let pglite: PGlite
  beforeAll(async () => {
    // It compiles a large program first.
    pglite = await PGlite.create()
    await migratePostgres(pglite)
  }, 300_000)
  afterAll(() => pglite.close())
  for (const { name, run } of logStoreContract(() => openIn(pglite, 'tidemark')())) test(name, run)
})
