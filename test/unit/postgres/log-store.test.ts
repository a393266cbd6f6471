// What openPostgresLogStore does beyond the contract of a log store.
import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import pg from 'pg'
import { ClosedError, InvalidArgumentError, InvalidNameError, runProjection } from 'tidemark'
import { openSyncedStore } from 'tidemark/memory'
import {
  deleteOldRefusals,
  migratePostgres,
  NotMigratedError,
  openPostgresLogStore,
  openPostgresStore,
} from 'tidemark/postgres'
import { memoryLogStore, serverLog, syncHandler, type LogStore, type WireCommit } from 'tidemark/server'
import { syncOnce } from 'tidemark/sync'
import { afterEach, expect, test, vi } from 'vitest'
import { CuttingProxy } from '../../support/postgres/cutting-proxy.js'
import { inSchema } from '../../support/postgres/in-schema.js'
import { postgresUrl } from '../../support/postgres/server.js'

const url = await postgresUrl()

const commitOf = (stream: string, id: string, expected?: string | null): WireCommit => ({
  events: [{ stream, type: 'A', id, time: 1, data: null }],
  ...(expected !== undefined && { expect: { [stream]: expected } }),
})

inSchema('openPostgresLogStore', 30_000, (subject) => {
  afterEach(() => void vi.useRealTimers())

  const open = (log: string, options: { create?: boolean; id?: string; pool?: pg.Pool } = {}) =>
    openPostgresLogStore({ pool: subject.pool, schema: subject.schema, log, ...options })

  /** How many transactions stored the commits of a log. */
  const transactions = async (log: string) =>
    (
      await subject.pool.query(
        `select count(distinct xmin::text)::int as count from ${subject.schema}.commits where log = (select id from ${subject.schema}.logs where name = $1)`,
        [log],
      )
    ).rows[0].count as number

  test('pushes that wait for a log share a transaction, and each has its own verdict', async () => {
    const log = serverLog(open('groups'))
    await log.info()
    const answers = await Promise.all(
      Array.from({ length: 60 }, (_, n) =>
        log.push(
          { commits: [commitOf('s', `x${n}`, n === 0 ? null : n === 30 ? 'x3' : `x${n - (n === 31 ? 2 : 1)}`)] },
          { author: 'anna' },
        ),
      ),
    )
    expect(answers.flatMap((each) => each.answers)).toEqual(
      Array.from({ length: 60 }, (_, n) =>
        n === 30
          ? { id: 'x30', conflict: { stream: 's', last: 'x29' } }
          : { id: `x${n}`, accepted: n < 30 ? n + 1 : n },
      ),
    )
    expect(await transactions('groups')).toBeLessThan(10)
  })

  test('a decision that throws takes nothing of its group with it', async () => {
    const store = open('thrown')
    const added = (id: string, fail = false) =>
      store.decide(async (log) => {
        const position = log.head + 1
        const line = JSON.stringify({
          position,
          commit: position,
          stream: id,
          version: 1,
          type: 'A',
          id,
          time: 1,
          data: null,
        })
        await log.add({ author: '', chain: id, events: [{ position, id, stream: id, type: 'A', version: 1, line }] })
        if (fail) throw new Error(id)
        return position
      })
    const outcomes = await Promise.allSettled([added('a'), added('b', true), added('c'), added('a'), added('d')])
    expect(outcomes.map((each) => (each.status === 'fulfilled' ? each.value : String(each.reason)))).toEqual([
      1,
      'Error: b',
      2,
      expect.stringContaining('commit.events[0].version'),
      3,
    ])
    expect((await store.read(0, 10)).map(({ chain }) => chain)).toEqual(['a', 'c', 'd'])
  })

  test('listeners elsewhere learn of the head, by no more than a hundred notifications a second', async () => {
    const elsewhere = subject.anotherPool()
    const follower = open('notified', { pool: elsewhere })
    const heads: number[] = []
    const stop = follower.subscribe((head) => void heads.push(head))
    const raw = new pg.Client({ connectionString: url })
    await raw.connect()
    await raw.query(`listen "tidemark_${subject.schema}"`)
    const payloads: string[] = []
    raw.on('notification', ({ payload }) => void payloads.push(payload ?? ''))
    const listening = `select 1 from pg_stat_activity where query = 'listen "tidemark_${subject.schema}"'`
    await expect.poll(async () => (await subject.pool.query(listening)).rows.length).toBe(2)
    const log = serverLog(open('notified'))
    const begin = performance.now()
    for (let n = 0; n < 200; n += 1) await log.push({ commits: [commitOf('s', `x${n}`)] }, { author: 'anna' })
    await expect.poll(() => heads.at(-1)).toBe(200)
    const ms = performance.now() - begin
    expect(payloads.length).toBeLessThanOrEqual(ms / 10 + 1)
    expect(payloads.join('')).toContain('notified 200\n')
    stop()
    await raw.end()
    await follower.close()
  })

  test('notifications of ten milliseconds are one', async () => {
    const raw = new pg.Client({ connectionString: url })
    await raw.connect()
    const channel = `tidemark_${subject.schema}`
    await raw.query(`listen "${channel}"`)
    const payloads: string[] = []
    let wanted = { count: 0, resolve: () => {} }
    raw.on('notification', ({ payload = '' }) => {
      payloads.push(payload)
      if (payloads.length === wanted.count) wanted.resolve()
    })
    // Not by polling, which lets the time pass.
    const received = (count: number) =>
      new Promise<void>((resolve) => {
        wanted = { count, resolve }
        if (payloads.length >= count) resolve()
      })
    // A pool of its own, so that nothing of another test is still to be sent.
    const log = serverLog(open('merged', { pool: subject.anotherPool() }))
    await log.info()
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const push = (n: number) => log.push({ commits: [commitOf('s', `x${n}`)] }, { author: 'anna' })
    await push(1)
    await received(1)
    for (let n = 2; n <= 20; n += 1) await push(n)
    await raw.query('select pg_notify($1, $2)', [channel, 'meanwhile'])
    await received(2)
    await vi.advanceTimersByTimeAsync(10)
    await received(3)
    expect(payloads).toEqual(['merged 1\n', 'meanwhile', 'merged 20\n'])
    vi.useRealTimers()
    await raw.end()
  })

  test('what a stranger sends over the channel makes no listener believe anything but a hint', async () => {
    const store = open('hinted')
    const heads: number[] = []
    store.subscribe((head) => void heads.push(head))
    const channel = `tidemark_${subject.schema}`
    await expect
      .poll(async () => {
        for (const payload of ['', 'hinted', 'hinted x', 'hinted -1', 'other 5', 'hinted 7\nhinted'])
          await subject.pool.query('select pg_notify($1, $2)', [channel, payload])
        return heads.includes(7)
      })
      .toBe(true)
    expect(new Set(heads)).toEqual(new Set([7]))
    await store.close()
  })

  test('a log is begun where that is allowed, with the id that is given', async () => {
    for (const ask of [(log: LogStore) => log.identity(), (log: LogStore) => log.decide(() => Promise.resolve())])
      await expect(ask(open('none', { create: false }))).rejects.toMatchObject({
        code: 'no-such-log',
        log: 'none',
        outcome: 'not-written',
      })
    expect((await open('none', { id: 'moved-here' }).identity()).log).toBe('moved-here')
    expect((await open('none', { create: false }).identity()).log).toBe('moved-here')
    expect((await open('none', { id: 'moved-here', create: false }).identity()).log).toBe('moved-here')
    const ids = await Promise.all(Array.from({ length: 10 }, () => open('together').identity()))
    expect(new Set(ids.map(({ log }) => log)).size).toBe(1)
  })

  test('a log that is there with another id is not the one that was asked for', async () => {
    await open('mine', { id: 'one' }).identity()
    const other = () => open('mine', { id: 'two' })
    for (const ask of [
      (log: LogStore) => log.identity(),
      (log: LogStore) => log.head(),
      (log: LogStore) => log.read(0, 10),
      (log: LogStore) => log.chainAt(0),
      (log: LogStore) => log.decide(async () => {}),
    ])
      await expect(ask(other())).rejects.toMatchObject({ code: 'invalid-argument', message: /'one'/ })
    // Of two that begin it at the same time, one has another id.
    const both = await Promise.allSettled(['a', 'b'].map((id) => open('raced', { id }).decide(async (log) => log.head)))
    expect(both.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected'])
  })

  test('a name that a log cannot have is refused before anything is asked', () => {
    for (const log of ['', 'a b', "a'b", 'x'.repeat(101)]) expect(() => open(log)).toThrow(InvalidNameError)
  })

  test('a request for a log that is not there is 404, and for one that cannot be 400: the device stops', async () => {
    const failed: unknown[] = []
    const handler = syncHandler({
      open: (request) => ({
        log: serverLog(open(decodeURIComponent(new URL(request.url).pathname.split('/')[1] ?? ''), { create: false })),
      }),
      onError: (error) => failed.push(error),
    })
    const ask = async (name: string) => {
      const request = new Request(`http://host/${name}/info`, { headers: { 'Tidemark-Sync': '1' } })
      const response = await handler(request)
      return [response.status, ((await response.json()) as { code: string }).code]
    }
    expect(await ask('not-there')).toEqual([404, 'not-found'])
    expect(await ask('not%20there')).toEqual([400, 'bad-request'])
    expect(await ask('a'.repeat(101))).toEqual([400, 'bad-request'])
    expect(failed).toEqual([])
  })

  test('a pool with one connection looks for heads in place of listening', async () => {
    const pool = subject.anotherPool({ max: 1 })
    const log = open('alone', { pool })
    const heads: number[] = []
    const stop = log.subscribe((head) => void heads.push(head))
    const server = serverLog(log)
    await server.push({ commits: [commitOf('s', 'x', null)] }, { author: 'anna' })
    await expect.poll(() => heads).toContain(1)
    stop()
    await log.close()
    await pool.end()
  })

  test('what the server refuses for good says what to do', async () => {
    const { pool, schema } = subject
    const role = `r_${schema}`
    await pool.query(`create role ${role} login password 'right'; grant usage on schema ${schema} to ${role};
      grant select on all tables in schema ${schema} to ${role}`)
    const as = (edit: (url: URL) => void) => {
      const at = new URL(url as string)
      edit(at)
      return subject.anotherPool({ connectionString: at.href })
    }
    const limited = as((at) => (at.username = role))
    const pushed = serverLog(open('mine', { pool: limited })).push(
      { commits: [commitOf('s', 'y', null)] },
      { author: '' },
    )
    await expect(pushed).rejects.toMatchObject({
      code: 'database-refused',
      sqlState: '42501',
      outcome: 'not-written',
      message: /permission denied.*docs\/postgres\.md/,
    })
    await serverLog(open('mine')).push({ commits: [commitOf('s', 'z', null)] }, { author: '' })
    // Another try would end the same way, so that a projection which goes on trying would never say so.
    const store = await openPostgresStore({ pool: limited, name: 'mine', schema })
    const running = runProjection(store, { name: 'p', apply() {} }, { mode: 'continuous' })
    await expect(running).rejects.toMatchObject({ code: 'projection-failed', cause: { code: 'database-refused' } })
    await store.close()
    const nowhere = as((at) => (at.pathname = '/not_there'))
    await expect(open('mine', { pool: nowhere }).head()).rejects.toMatchObject({
      sqlState: '3D000',
      message: /connection string/,
    })
    const unknown = as((at) => (at.username = 'not_there'))
    await expect(open('mine', { pool: unknown }).head()).rejects.toMatchObject({ sqlState: '28000', message: /pg_hba/ })
    await limited.end()
    await pool.query(`drop owned by ${role}; drop role ${role}`)
  })

  test('arguments that are none are refused before anything is asked', async () => {
    const client = new pg.Client()
    expect(() => openPostgresLogStore({ pool: client as never, log: 'a' })).toThrow(/Pass a Pool/)
    const pooled = await subject.pool.connect()
    expect(() => openPostgresLogStore({ pool: pooled as never, log: 'a' })).toThrow(/Pass a Pool/)
    pooled.release()
    const narrow = subject.anotherPool({ max: 2 })
    await expect(openPostgresStore({ pool: narrow, name: 'a', schema: subject.schema })).rejects.toThrow(/max: 2/)
    for (const pool of [undefined, {}, { query() {} }])
      expect(() => openPostgresLogStore({ pool: pool as unknown as pg.Pool, log: 'a' })).toThrow(InvalidArgumentError)
    expect(() => openPostgresLogStore({ pool: subject.pool, log: 'a', schema: 'a"b' })).toThrow(InvalidArgumentError)
    await expect(openPostgresLogStore({ pool: subject.pool, log: 'a', schema: 'not_there' }).head()).rejects.toThrow(
      NotMigratedError,
    )
  })

  test('a store that is closed refuses, when what was under way has ended', async () => {
    const store = open('closed')
    const pushed = serverLog(store).push({ commits: [commitOf('s', 'x')] }, { author: '' })
    await store.close()
    expect((await pushed).head).toBe(1)
    await expect(store.head()).rejects.toThrow(ClosedError)
    await expect(store.decide(() => Promise.resolve())).rejects.toThrow(ClosedError)
    expect(() => store.subscribe(() => {})).toThrow(ClosedError)
  })

  test('refusals are deleted when they are older than 90 days', async () => {
    const { pool, schema } = subject
    const log = serverLog(open('refusals'))
    await log.push({ commits: [commitOf('s', 'x')] }, { author: 'anna' })
    for (const id of ['old', 'young']) await log.push({ commits: [commitOf('s', id, null)] }, { author: 'anna' })
    await pool.query(`update ${schema}.refusals set kept = now() - interval '91 days' where id = 'old'`)
    await pool.query(`update ${schema}.refusals set kept = now() - interval '89 days' where id = 'young'`)
    expect(await deleteOldRefusals(pool, { schema })).toBe(1)
    expect(await deleteOldRefusals(pool, { schema })).toBe(0)
    const { rows } = await pool.query(`select id from ${schema}.refusals where author = 'anna'`)
    expect(rows.map(({ id }) => id)).toContain('young')
    await expect(deleteOldRefusals(pool, { schema, days: 89 })).rejects.toThrow(InvalidArgumentError)
  })

  test('N77: a process that hangs while it decides does not keep the log locked: the server ends its transaction', async () => {
    const pool = subject.anotherPool()
    let client: pg.PoolClient | undefined
    pool.on('acquire', (each) => (client = each))
    const names = ['idle_in_transaction_session_timeout', 'statement_timeout', 'lock_timeout']
    const shown = async () => {
      const values: unknown[] = []
      for (const name of names) values.push((await client?.query(`show ${name}`))?.rows[0][name])
      return values
    }
    const within = await open('limits', { pool }).decide(shown)
    expect(within).toEqual(['30s', '30s', '10s'])
    // And nothing of it is left on the connection.
    expect(await shown()).toEqual(['0', '0', '0'])
  })

  test('a role with the rights in docs/postgres.md may do everything that a server does', async () => {
    const { pool, schema } = subject
    const [sql = ''] = /grant usage[\s\S]*?(?=```)/.exec(readFileSync('docs/postgres.md', 'utf8')) ?? []
    const role = `${schema}_server`
    await pool.query(`create role ${role}`)
    await pool.query(sql.replaceAll('tidemark', schema).replaceAll('to server', `to ${role}`))
    const own = subject.anotherPool({ options: `-c role=${role}` })
    await migratePostgres(own, { schema })
    const store = open('granted', { pool: own })
    const log = serverLog(store)
    await log.push(
      { commits: [commitOf('s', 'x'), commitOf('s', 'y', null)] },
      { author: 'anna', accept: () => undefined },
    )
    await store.renewEpoch()
    expect(await deleteOldRefusals(own, { schema })).toBe(0)
    expect((await log.info()).head).toBe(1)
    await pool.query(`drop owned by ${role}`)
    await pool.query(`drop role ${role}`)
  })

  test('a page has whole commits, and no more events than its limit but those of the first one', async () => {
    const store = open('pages')
    const commit = (...ids: string[]) => ({ events: ids.flatMap((id) => commitOf('s', id).events) })
    await serverLog(store).push({ commits: [commit('a', 'b', 'c'), commit('d'), commit('e', 'f')] }, { author: '' })
    const sizes = async (after: number, limit: number) =>
      (await store.read(after, limit)).map(({ events }) => events.length)
    expect([await sizes(0, 2), await sizes(0, 4), await sizes(0, 5), await sizes(3, 3)]).toEqual([
      [3],
      [3, 1],
      [3, 1],
      [1, 2],
    ])
  })

  // The function in docs/postgres.md.
  async function copyLog(from: LogStore, to: LogStore): Promise<void> {
    for (;;) {
      const commits = await from.read(await to.head(), 1000)
      if (commits.length === 0) return
      await to.decide(async (log) => {
        for (const commit of commits) await log.add(commit)
      })
    }
  }

  test('a log moves here and away by copying its commits, and stays the same log', async () => {
    const memory = memoryLogStore()
    const log = serverLog(memory)
    for (let n = 0; n < 20; n += 1)
      await log.push(
        { commits: [commitOf(`s${n % 3}`, `x${n}`), commitOf('odd\u0000', `y\u0000${n}\ud800`)] },
        { author: 'an\u0000na' },
      )
    const { log: id } = await memory.identity()
    const here = open('moved', { id })
    await copyLog(memory, here)
    const away = memoryLogStore({ log: id })
    await copyLog(here, away)
    const all = (store: LogStore) => store.read(0, 1000)
    expect((await here.identity()).log).toBe(id)
    expect(await all(here)).toEqual(await all(memory))
    expect(await all(away)).toEqual(await all(memory))
    // A device that was at the end of the log is there still.
    const head = await memory.head()
    const chain = (await memory.chainAt(head)) as string
    const pulled = await serverLog(here).pull({ after: head, chain })
    let text = ''
    for await (const part of pulled) text += part
    expect(text).toContain(`"scannedTo":${head},"chain":"${chain}"`)
    expect((await serverLog(here).push({ commits: [commitOf('s0', 'x0')] }, { author: 'anna' })).answers).toEqual([
      { id: 'x0', accepted: 1 },
    ])
  })

  test.for([
    { given: { id: 'cellar' }, told: { head: 2, reason: undefined } },
    { given: {}, told: { head: 0, reason: 'other-log' } },
  ])('a backup that is older than the log: with $given, devices see $told', async ({ given, told }) => {
    const name = `older-${randomUUID()}`
    let log = serverLog(open(name, given))
    const handler = syncHandler({ open: () => ({ log }) })
    const device = await openSyncedStore({
      name,
      url: 'https://shop.example/log',
      fetch: (input, init) => handler(new Request(input, init)),
    })
    for (const data of [1, 2]) await device.append('s', { type: 'A', data })
    expect(await syncOnce(device)).toMatchObject({ pending: 0, cursor: 2 })
    for (const table of ['commits', 'ids', 'heads', 'logs'])
      await subject.pool.query(
        `delete from ${subject.schema}.${table} where ${table === 'logs' ? 'id' : 'log'} =
          (select id from ${subject.schema}.logs where name = $1)`,
        [name],
      )
    const store = open(name, given)
    log = serverLog(store)
    expect((await syncOnce(device)).reason).toBe(told.reason)
    expect(await store.head()).toBe(told.head)
    await device.close()
  })

  test('N77: a network that is gone without a word ends a decision after 45 s, and its connection', async () => {
    const proxy = await CuttingProxy.to(Number(new URL(url as string).port || 5432))
    const through = new URL(url as string)
    through.host = `127.0.0.1:${proxy.port}`
    const pool = new pg.Pool({ connectionString: through.href })
    pool.on('error', () => {})
    const store = open('stalled', { pool })
    await store.identity()
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    let stalled = () => {}
    const isStalled = new Promise<void>((resolve) => (stalled = resolve))
    let error: unknown
    const ended = store
      .decide((log) => {
        proxy.stall()
        stalled()
        return log.find(['x'])
      })
      .catch((reason: unknown) => (error = reason))
    await isStalled
    while (error === undefined) await vi.advanceTimersByTimeAsync(46_000)
    await ended
    expect(error).toMatchObject({ code: 'storage-failed', outcome: 'not-written' })
    expect(pool.totalCount - pool.idleCount).toBe(0)
    vi.useRealTimers()
    await pool.end()
    await proxy.close()
  })
})
