/** The server contract over logs in PostgreSQL and node:http, with two processes' pools behind it; and over PGlite. */
import { randomUUID } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { PGlite } from '@electric-sql/pglite'
import { nodeListener } from 'tidemark/file'
import { migratePostgres, openPostgresLogStore, type SqlPool } from 'tidemark/postgres'
import { serverLog, syncHandler } from 'tidemark/server'
import { serverContract, type ServerSubject } from 'tidemark/testing'
import { afterAll, beforeAll, describe, test } from 'vitest'
import { postgresUrl, TestSchema } from '../support/postgres/server.js'
import { refusalOf } from '../support/refusing.js'

const url = await postgresUrl()

/** A server whose requests are shared out among pools. Logs are begun by their first request, `prefix` keeps them apart. */
async function openOver(pools: readonly SqlPool[], schema: string): Promise<ServerSubject> {
  const prefix = randomUUID()
  let requests = 0
  const storeIn = (pool: SqlPool, name: string) => openPostgresLogStore({ pool, schema, log: `${prefix}.${name}` })
  const handler = syncHandler({
    origins: ['https://shop.example'],
    open(request) {
      const user = request.headers.get('X-User')
      if (user === null) return Response.json({ code: 'unauthorized', message: 'Who are you?' }, { status: 401 })
      const [, place, name = ''] = new URL(request.url).pathname.split('/')
      const store = storeIn(
        pools[place === 'last' ? pools.length - 1 : (requests += 1) % pools.length] as SqlPool,
        name,
      )
      return { log: serverLog(store), author: decodeURIComponent(user) }
    },
    accept: ({ events }) => refusalOf(events),
  })
  const server = createServer(nodeListener(handler))
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve))
  const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const pool = pools[0] as SqlPool
  const one = storeIn(pool, 'one')
  return {
    url: `${base}/logs/one`,
    otherUrl: `${base}/logs/two`,
    ...(pools.length > 1 && { anotherUrl: `${base}/last/one` }),
    headers: (author: string) => ({ 'X-User': encodeURIComponent(author) }),
    unknown: {},
    refusedType: 'Refused',
    origin: 'https://shop.example',
    restart: () => one.renewEpoch(),
    backup: () => backup(pool, schema, one),
    async dispose() {
      server.closeAllConnections()
      await new Promise<void>((resolve) => void server.close(() => resolve()))
      await one.close()
    },
  }
}

const tables = ['commits', 'ids', 'heads', 'refusals'] as const

/** Copies the rows of a log, as a backup of the database has them. */
async function backup(
  pool: SqlPool,
  schema: string,
  store: { identity(): Promise<{ log: string }>; renewEpoch(): Promise<void> },
) {
  const { log } = await store.identity()
  const { rows } = await pool.query(`select id, head, chain from ${schema}.logs where identity = $1`, [log])
  const { id, head, chain } = rows[0] as { id: number; head: unknown; chain: unknown }
  const copy = `copy_${randomUUID().replaceAll('-', '')}`
  for (const table of tables)
    await pool.query(`create table ${schema}.${copy}_${table} as select * from ${schema}.${table} where log = ${id}`)
  return async () => {
    for (const table of tables) {
      await pool.query(`delete from ${schema}.${table} where log = $1`, [id])
      await pool.query(`insert into ${schema}.${table} select * from ${schema}.${copy}_${table}`)
    }
    await pool.query(`update ${schema}.logs set head = $2, chain = $3 where id = $1`, [id, head, chain])
    await store.renewEpoch()
  }
}

describe.skipIf(url === undefined)('syncHandler over PostgreSQL and node:http keeps the contract of a server', () => {
  let subject: TestSchema
  let pools: SqlPool[]
  beforeAll(async () => {
    subject = new TestSchema(url as string)
    await migratePostgres(subject.pool, { schema: subject.schema })
    pools = [subject.pool, subject.anotherPool()]
  })
  afterAll(() => subject.dispose())
  for (const { name, run } of serverContract(() => openOver(pools, subject.schema))) test(name, run)
})

describe('syncHandler over PGlite and node:http keeps the contract of a server', () => {
  let pglite: PGlite
  beforeAll(async () => {
    // It compiles a large program first.
    pglite = await PGlite.create()
    await migratePostgres(pglite)
  }, 300_000)
  afterAll(() => pglite.close())
  for (const { name, run } of serverContract(() => openOver([pglite], 'tidemark'))) test(name, run)
})
