// What docs/postgres.md shows must compile and run, all of it, in its order, on a database of its own.
import { randomUUID } from 'node:crypto'
import * as http from 'node:http'
import { createServer, type AddressInfo } from 'node:net'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { expect, test } from 'vitest'
import * as tidemark from 'tidemark'
import * as file from 'tidemark/file'
import * as postgres from 'tidemark/postgres'
import * as server from 'tidemark/server'
import { blocksOf, Joined } from '../support/doc-blocks.js'
import { postgresUrl } from '../support/postgres/server.js'

const code = new Joined(blocksOf('postgres.md', 'ts'))
const sql = blocksOf('postgres.md', 'sql')
const url = await postgresUrl()

test('it compiles', { timeout: 120_000 }, async () => {
  expect(await code.compile('postgres-guide')).toBe('')
})

async function freePort(): Promise<number> {
  const listening = createServer()
  await new Promise<void>((resolve) => listening.listen(0, '127.0.0.1', resolve))
  const { port } = listening.address() as AddressInfo
  await new Promise((resolve) => listening.close(resolve))
  return port
}

/** The only block that says so. */
function blockWith(text: string): string {
  const found = sql.filter((block) => block.includes(text))
  expect(found.length, text).toBe(1)
  return found[0] as string
}

test.skipIf(url === undefined)('it runs, and does what it says', { timeout: 120_000 }, async () => {
  const admin = new pg.Client({ connectionString: url })
  await admin.connect()
  const name = `guide_${randomUUID().slice(0, 8)}`
  await admin.query(`create database ${name}`)
  await admin.query(`create role ${name}`)
  const at = new URL(url as string)
  at.pathname = `/${name}`
  const folder = mkdtempSync(join(tmpdir(), 'postgres-guide-'))
  const port = await freePort()
  const servers: http.Server[] = []
  const listening = {
    ...http,
    createServer: (listener: http.RequestListener) => {
      const made = http.createServer(listener)
      servers.push(made)
      return made
    },
  }
  // The page says to make them first.
  const tables = new pg.Client({ connectionString: at.href })
  await tables.connect()
  await tables.query('create table revenue (day date primary key, cents bigint not null)')
  await tables.query('create table daily (day date primary key, cents bigint not null)')
  const log = await file.openFileLogStore({ path: join(folder, 'shop.log') })
  await server
    .serverLog(log)
    .push({ commits: [{ events: [{ stream: 's', type: 'Other', id: 'a', time: 1, data: null }] }] }, { author: '' })
  await log.close()
  const said = (await code.run(
    {
      tidemark,
      'tidemark/file': file,
      'tidemark/postgres': postgres,
      'tidemark/server': server,
      'node:http': listening,
      pg: { default: pg },
    },
    ['pool', 'store', 'running', 'view', 'ofAnna', 'deleted', 'file', 'moved', 'jobs', 'acceptJobs'],
    {
      "'postgres://localhost/shop'": JSON.stringify(at.href),
      8080: `${port}`,
      "'shop.log'": JSON.stringify(join(folder, 'shop.log')),
    },
  )) as never as Page
  const { pool, store, running, view } = said
  expect([said.ofAnna, said.deleted]).toEqual([[], 0])
  expect((await said.moved.read(0, 10)).map(({ events }) => events.map(({ id }) => id))).toEqual([['a']])

  const asks = async (log: string, token: string) =>
    (
      await fetch(`http://127.0.0.1:${port}/logs/${log}/info`, {
        headers: { 'Tidemark-Sync': '1', authorization: `Bearer ${token}` },
      })
    ).status
  expect([
    await asks('shop-7', 'secret-of-anna'),
    await asks('shop-8', 'secret-of-anna'),
    await asks('shop-8', 'secret-of-bert'),
    await asks('shop-7', 'guess'),
  ]).toEqual([200, 403, 200, 401])

  const { position } = await store.append('o', [placed('o1', 'anna', 100), placed('o2', 'bert', 250)])
  await running.caughtUp(position, { timeout: 20_000 })
  expect(await view.orders.getAll({ index: 'byCustomer', range: 'anna' })).toMatchObject([{ id: 'o1', cents: 100 }])
  for (const projector of ['revenue', 'daily'])
    await expect.poll(() => store.checkpoints.load(projector), { timeout: 20_000 }).toBe(position)
  for (const table of ['revenue', 'daily'])
    expect((await pool.query(`select cents::int from ${table}`)).rows).toEqual([{ cents: 350 }])

  await decidesByState(said)

  // Rows by SQL, and what is asked about a running server.
  const { rows } = await pool.query(blockWith("m.name = 'orders@1'"))
  expect(rows.map(({ customer, sum }) => [customer, Number(sum)]).sort()).toEqual([
    ['anna', 100],
    ['bert', 250],
  ])
  const watched = (await pool.query(blockWith('pg_stat_replication'))) as never as readonly pg.QueryResult[]
  expect(watched[0]?.rows.map(({ name }) => name)).toContain('shop-7')

  // A role with these rights, and no other, serves devices and runs projections.
  const grants = sql.filter((block) => block.includes('to server'))
  expect(grants.length).toBe(2)
  for (const block of grants) await pool.query(block.replaceAll('to server', `to ${name}`))
  const limited = new pg.Pool({ connectionString: at.href, options: `-c role=${name}` })
  const other = await postgres.openPostgresStore<tidemark.EventShape>({ pool: limited, name: 'shop-9' })
  await other.append('s', { type: 'A', data: null })
  const counts = tidemark.defineProjection(tidemark.defineEvents<{ type: 'A'; data: null }>(), {
    name: 'counts',
    tables: { counts: tidemark.table<{ id: string }>()({ key: 'id' }) },
    on: { A: ({ id }, { counts }) => counts.put({ id }) },
  })
  expect(await tidemark.runProjection(other as never, counts)).toMatchObject({ applied: 1 })
  expect(await postgres.deleteOldRefusals(limited)).toBe(0)
  await other.close()
  await limited.end()

  // Every epoch is another one.
  const epoch = async () => (await store.log.identity()).epoch
  const before = await epoch()
  await pool.query(blockWith('gen_random_uuid'))
  expect(await epoch()).not.toBe(before)

  await view.close()
  await running.stop()
  await store.close()
  // Nothing is left of a tenant.
  await pool.query(blockWith(":'log'").replaceAll(":'log'", "'shop-7'"))
  const left = await pool.query(`select (select count(*) from tidemark.commits c where not exists (
    select from tidemark.logs l where l.id = c.log))::int as commits, (select count(*) from tidemark.logs where name = 'shop-7')::int as logs,
    (select count(*) from tidemark.read_model_rows)::int as rows`)
  expect(left.rows).toEqual([{ commits: 0, logs: 0, rows: 1 }])

  for (const each of servers) {
    each.closeAllConnections()
    await new Promise((resolve) => each.close(resolve))
  }
  await said.file.close()
  await said.moved.close()
  await pool.end()
  await tables.query(`drop owned by ${name}`)
  await tables.end()
  await admin.query(`drop database ${name} with (force)`)
  await admin.query(`drop role ${name}`)
  await admin.end()
  rmSync(folder, { recursive: true, force: true })
})

/** Only who has a job closes it, whatever comes in between. */
async function decidesByState({ jobs, acceptJobs }: Page): Promise<void> {
  const log = server.serverLog(jobs.log)
  const push = async (author: string, ...commits: server.WireCommit[]) => {
    const session = { author, accept: (commit: server.WireCommit) => acceptJobs(commit, { author }) }
    return (await log.push({ commits }, session)).answers
  }
  const of = (id: string, type: string, data: unknown, more: Partial<server.WireCommit> = {}): server.WireCommit => ({
    events: [{ stream: 'job-1', type, id, time: 1, data }],
    ...more,
  })
  expect(await push('dora', of('a', 'JobGiven', { to: 'tom' }, { expect: { 'job-1': null } }))).toMatchObject([
    { accepted: 1 },
  ])
  const close = (id: string, more: Partial<server.WireCommit> = { expect: { 'job-1': ['a', 1] } }) =>
    of(id, 'JobClosed', null, more)
  expect(await push('tina', close('t'))).toMatchObject([{ refused: { code: 'not-yours' } }])
  expect(await push('tom', close('n', {}))).toMatchObject([{ refused: { code: 'no-expectation' } }])
  expect(await push('tina', close('h', { healed: true }))).toMatchObject([{ refused: { code: 'not-yours' } }])
  // In one push: what it was decided on is not stored when it is first asked about.
  const given = of('b', 'JobGiven', { to: 'tina' }, { expect: { 'job-1': ['a', 1] } })
  const both = [given, close('c', { expect: { 'job-1': ['b', 2] } })]
  const first = await push('tina', ...both)
  expect(first).toMatchObject([{ accepted: 2 }])
  expect(await push('tina', ...both.slice(first.length))).toMatchObject([{ accepted: 3 }])
  // Given to another one meanwhile: tom's device decides again.
  expect(await push('tom', close('late'))).toMatchObject([{ conflict: { stream: 'job-1', last: 'c' } }])
  await jobs.close()
}

type Shop = { type: 'OrderPlaced'; data: { order: string; customer: string; cents: number } }

const placed = (order: string, customer: string, cents: number): Shop => ({
  type: 'OrderPlaced',
  data: { order, customer, cents },
})

/** What the page calls so. */
interface Page {
  readonly pool: pg.Pool
  readonly store: postgres.PostgresStore<Shop>
  readonly running: tidemark.ProjectionHandle
  readonly view: {
    readonly orders: { getAll(options: object): Promise<unknown[]> }
    close(): Promise<void>
  }
  readonly ofAnna: unknown
  readonly deleted: unknown
  readonly file: Awaited<ReturnType<typeof file.openFileLogStore>>
  readonly moved: postgres.PostgresLogStore
  readonly jobs: postgres.PostgresStore
  readonly acceptJobs: (
    commit: server.WireCommit,
    session: { author: string },
  ) => Promise<{ code: string; message: string } | undefined>
}
