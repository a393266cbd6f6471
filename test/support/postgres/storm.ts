/**
 * Writers and followers of one log at the same time, each with connections of its own, as processes have. A follower
 * remembers where it is, and asks for what comes behind; at the end it must have read every event once, in the order of
 * the log. `identity` is the same with a column that PostgreSQL counts by itself, which is how others do it: an event
 * that is stored late has a position that a follower has passed.
 */
import { randomUUID } from 'node:crypto'
import pg from 'pg'
import { migratePostgres, openPostgresLogStore, type LoggedCommit } from 'tidemark/postgres'

export interface Storm {
  readonly url: string
  readonly writers: number
  readonly followers: number
  /** Ends after this many commits of each writer, or ms, whichever is first. */
  readonly commits?: number
  readonly ms?: number
  /** Ends as soon as a follower missed something. */
  readonly untilMissed?: boolean
}

export interface StormResult {
  /** Events that were stored. */
  readonly stored: number
  /** Events that the followers read, all together. */
  readonly read: number
  /** Events that a follower passed, for ever. */
  readonly missed: number
  /** Positions that a follower read and that did not follow the one before, or an event with another position than in the log. */
  readonly disordered: number
}

/** Positions and ids, as they were read. */
type Read = { readonly position: number; readonly id: string }

interface Log {
  append(writer: number): Promise<unknown>
  read(follower: number, after: number): Promise<readonly Read[]>
  dispose(): Promise<void>
}

export const stormOnTidemark = async (storm: Storm): Promise<StormResult> => run(storm, await tidemarkLog(storm))

export const stormOnIdentity = async (storm: Storm): Promise<StormResult> => run(storm, await identityLog(storm))

async function run(
  { writers, followers, commits = Infinity, ms = Infinity, untilMissed = false }: Storm,
  log: Log,
): Promise<StormResult> {
  const end = performance.now() + ms
  let [writing, isOver] = [writers, false]
  const seen: Read[][] = Array.from({ length: followers }, () => [])
  const write = async (writer: number) => {
    for (let n = 0; n < commits && performance.now() < end && !isOver; n += 1) await log.append(writer)
    writing -= 1
  }
  const follow = async (follower: number) => {
    const own = seen[follower] as Read[]
    for (;;) {
      // Asked before the read: what is stored then is in it.
      const isLast = writing === 0
      const events = await log.read(follower, own.at(-1)?.position ?? 0)
      for (const event of events) own.push(event)
      if (
        untilMissed &&
        events.some(({ position }, index) => position !== (own.at(-events.length + index - 1)?.position ?? 0) + 1)
      )
        isOver = true
      if (isLast && events.length === 0) return
    }
  }
  try {
    await Promise.all([
      ...Array.from({ length: writers }, (_, writer) => write(writer)),
      ...Array.from({ length: followers }, (_, follower) => follow(follower)),
    ])
    const all: Read[] = []
    for (let page = await log.read(0, 0); page.length > 0; page = await log.read(0, all.at(-1)?.position ?? 0))
      for (const event of page) all.push(event)
    return compare(all, seen)
  } finally {
    await log.dispose()
  }
}

function compare(all: readonly Read[], seen: readonly (readonly Read[])[]): StormResult {
  let [read, missed, disordered] = [0, 0, 0]
  const positions = new Map(all.map(({ id, position }) => [id, position]))
  for (const own of seen) {
    read += own.length
    missed += all.length - new Set(own.map(({ id }) => id)).size
    own.forEach(({ position, id }, index) => {
      if (position !== (own[index - 1]?.position ?? 0) + 1 || positions.get(id) !== position) disordered += 1
    })
  }
  return { stored: all.length, read, missed, disordered }
}

function pools(url: string, count: number): pg.Pool[] {
  return Array.from({ length: count }, () => {
    const pool = new pg.Pool({ connectionString: url, max: 2 })
    pool.on('error', () => {})
    return pool
  })
}

async function tidemarkLog({ url, writers, followers }: Storm): Promise<Log> {
  const schema = `storm_${randomUUID().replaceAll('-', '').slice(0, 16)}`
  const all = pools(url, writers + followers)
  await migratePostgres(all[0] as pg.Pool, { schema })
  const stores = all.map((pool) => openPostgresLogStore({ pool, schema, log: 'storm' }))
  await stores[0]?.identity()
  return {
    append: (writer) =>
      stores[writer]?.decide(async (log) => {
        const streams = [`s${writer}`, 'shared', 'shared'].slice(0, 1 + (log.head % 3))
        const last = await log.last([...new Set(streams)])
        await log.add(
          commitBehind(log.head, streams, new Map([...last].map(([stream, { version }]) => [stream, version]))),
        )
      }) ?? Promise.resolve(),
    read: async (follower, after) =>
      ((await stores[writers + follower]?.read(after, 200)) ?? []).flatMap(({ events }) =>
        events.map(({ position, id }) => ({ position, id })),
      ),
    async dispose() {
      for (const store of stores) await store.close()
      await all[0]?.query(`drop schema ${schema} cascade`)
      await Promise.all(all.map((pool) => pool.end()))
    },
  }
}

function commitBehind(head: number, streams: readonly string[], versions: Map<string, number>): LoggedCommit {
  const events = streams.map((stream, index) => {
    const version = (versions.get(stream) ?? 0) + 1
    versions.set(stream, version)
    const [position, id] = [head + index + 1, randomUUID()]
    const line = JSON.stringify({ position, commit: head + 1, stream, version, type: 'A', id, time: 1, data: index })
    return { position, id, stream, type: 'A', version, line }
  })
  return { author: 'anna', events, chain: randomUUID().replaceAll('-', '') }
}

/** Each append is a transaction of two statements, as it is where something is checked, too. */
async function identityLog({ url, writers, followers }: Storm): Promise<Log> {
  const table = `storm_${randomUUID().replaceAll('-', '').slice(0, 16)}`
  const all = pools(url, writers + followers)
  await all[0]?.query(
    `create table ${table} (position bigint generated always as identity primary key, id uuid not null)`,
  )
  return {
    async append(writer) {
      const client = await (all[writer] as pg.Pool).connect()
      await client.query('begin')
      await client.query(`insert into ${table} (id) values ($1)`, [randomUUID()])
      await client.query('select count(*) from pg_class')
      await client.query('commit')
      client.release()
    },
    async read(follower, after) {
      const { rows } = await (all[writers + follower] as pg.Pool).query(
        `select position, id from ${table} where position > $1 order by position limit 200`,
        [after],
      )
      return rows.map(({ position, id }) => ({ position: Number(position), id: id as string }))
    },
    async dispose() {
      await all[0]?.query(`drop table ${table}`)
      await Promise.all(all.map((pool) => pool.end()))
    },
  }
}
