// What servers of our own go through: crashes, a promotion, a dump that is restored, a full disk.
import { execFileSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { chownSync, mkdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import pg from 'pg'
import { defineEvents, defineProjection, startProjection, StorageFullError, table, TidemarkError } from 'tidemark'
import { openSyncedStore } from 'tidemark/memory'
import {
  migratePostgres,
  openPostgresLogStore,
  openPostgresStore,
  sqlProjector,
  type LoggedCommit,
  type PostgresLogStore,
  type SqlPool,
} from 'tidemark/postgres'
import { serverLog, syncHandler, type ServerLog } from 'tidemark/server'
import { syncOnce } from 'tidemark/sync'
import { afterEach, describe, expect, test } from 'vitest'
import { chainBehind } from '../../../src/server/chain.js'
import { Cluster, findBinaries } from '../../support/postgres/cluster.js'
import { hasBinaries, postgresUrl } from '../../support/postgres/server.js'

// Installs it where that is possible, and says so where it is not.
await postgresUrl()

const pools: pg.Pool[] = []
const clusters: Cluster[] = []

function poolTo(cluster: Cluster, options: pg.PoolConfig = {}): pg.Pool {
  const pool = new pg.Pool({ connectionString: cluster.url, max: 5, ...options })
  pool.on('error', () => {})
  pools.push(pool)
  return pool
}

async function begun(name: string, settings: Record<string, string> = {}): Promise<Cluster> {
  const cluster = await Cluster.create({ name: `${name}-${randomUUID()}`, settings })
  clusters.push(cluster)
  return cluster
}

const commitOf = (stream: string, ...ids: string[]) => ({
  events: ids.map((id) => ({ stream, type: 'A', id, time: 1, data: { id } })),
})

async function all(store: PostgresLogStore): Promise<readonly LoggedCommit[]> {
  return store.read(0, 1_000_000)
}

/** Each id once, positions and versions without holes, and the chain of what is there. */
function assertSound(commits: readonly LoggedCommit[]): void {
  let [position, chain] = [0, '0'.repeat(32)]
  const [versions, ids] = [new Map<string, number>(), new Set<string>()]
  for (const { events, chain: stored } of commits) {
    chain = chainBehind(
      chain,
      events.map(({ line }) => line),
    )
    expect(stored).toBe(chain)
    for (const event of events) {
      expect(event.position).toBe((position += 1))
      expect(event.version).toBe((versions.get(event.stream) ?? 0) + 1)
      versions.set(event.stream, event.version)
      expect(ids.has(event.id), `${event.id} is there once`).toBe(false)
      ids.add(event.id)
    }
  }
}

describe.skipIf(!hasBinaries())('a server of PostgreSQL', { timeout: 300_000 }, () => {
  afterEach(async () => {
    await Promise.all(pools.splice(0).map((pool) => pool.end()))
    for (const cluster of clusters.splice(0)) await cluster.dispose()
  })

  test('N77: that crashes under load loses nothing that was acknowledged, and has nothing twice', async () => {
    const cluster = await begun('crash')
    const pool = poolTo(cluster)
    await migratePostgres(pool)
    const store = openPostgresLogStore({ pool, log: 'shop' })
    const log = serverLog(store)
    const acknowledged = new Map<string, number>()
    const outcomes = new Set<string | undefined>()
    let isOver = false
    /** As devices: one push at a time, sent again with the same ids until there is a verdict. */
    const device = async (name: string) => {
      for (let n = 0; !isOver; n += 1) {
        const ids = [`${name}-${n}-a`, `${name}-${n}-b`]
        for (let answered = false; !answered;) {
          try {
            const { answers } = await log.push(
              { commits: [commitOf(name, ...ids), commitOf('shared', `${ids[0]}-s`)] },
              { author: name },
            )
            for (const answer of answers) acknowledged.set(answer.id, (answer as { accepted: number }).accepted)
            answered = true
          } catch (error) {
            expect(error).toBeInstanceOf(TidemarkError)
            outcomes.add((error as TidemarkError).outcome)
            await new Promise((resolve) => void setTimeout(resolve, 20))
          }
        }
      }
    }
    const devices = Array.from({ length: 6 }, (_, n) => device(`device-${n}`))
    const epochs = new Set([(await store.identity()).epoch])
    for (let round = 0; round < 3; round += 1) {
      const before = acknowledged.size
      await expect.poll(() => acknowledged.size, { timeout: 60_000 }).toBeGreaterThan(before + 40)
      await cluster.stop('immediate')
      await cluster.start()
      epochs.add((await store.identity()).epoch)
    }
    isOver = true
    await Promise.all(devices)
    const commits = await all(store)
    assertSound(commits)
    const positions = new Map(commits.map(({ events }) => [events[0]?.id, events[0]?.position]))
    for (const [id, position] of acknowledged) expect(positions.get(id), id).toBe(position)
    // Everything that was sent has a verdict in the end.
    expect(positions.size).toBe(acknowledged.size)
    expect(outcomes.has(undefined)).toBe(false)
    // N79: what was started again may be a backup.
    expect(epochs.size).toBe(4)
    await store.close()
  })

  test('N77: that is away for a while stops no projection: they continue when it is back', async () => {
    const cluster = await begun('away')
    const pool = poolTo(cluster, { max: 8 })
    await migratePostgres(pool)
    const events = defineEvents<{ type: 'Added'; data: number }>()
    const store = await openPostgresStore({ pool, name: 'shop', events })
    const rows = defineProjection(events, {
      name: 'rows',
      tables: { rows: table<{ id: number }>()({ key: 'id' }) },
      on: { Added: ({ data }, { rows: all }) => all.put({ id: data }) },
    })
    const seen: number[] = []
    const projections = [
      startProjection(store, rows),
      startProjection(store, sqlProjector(store, { name: 'sql', apply: async () => {} })),
      startProjection(store, { name: 'plain', apply: ({ data }) => void seen.push(data) }),
    ]
    await store.append('s', { type: 'Added', data: 1 })
    for (const projection of projections) await projection.caughtUp(1, { timeout: 60_000 })
    await cluster.stop('immediate')
    for (const { status } of projections)
      await expect.poll(() => status.getSnapshot(), { timeout: 60_000 }).toMatchObject({ phase: 'retrying' })
    await cluster.start()
    await expect.poll(() => store.append('s', { type: 'Added', data: 2 }), { timeout: 60_000 }).toBeDefined()
    const head = await store.head()
    for (const projection of projections)
      expect(await projection.caughtUp(head, { timeout: 60_000 })).toMatchObject({ position: head })
    expect(new Set(seen)).toEqual(new Set([1, 2]))
    for (const projection of projections) await projection.stop()
    await store.close()
  })

  test('N79: a standby that lacked the last commits is promoted: a new epoch, and the device gives them back', async () => {
    const primary = await begun('primary')
    const first = poolTo(primary)
    await migratePostgres(first)
    let log: ServerLog = serverLog(openPostgresLogStore({ pool: first, log: 'shop' }))
    const handler = syncHandler({ open: () => ({ log }) })
    const device = await openSyncedStore({
      name: `promoted-${randomUUID()}`,
      url: 'https://shop.example/log',
      events: defineEvents<{ type: 'Added'; data: { n: number } }>(),
      fetch: (input, init) => handler(new Request(input, init)),
    })
    for (const n of [1, 2, 3]) await device.append('cart', { type: 'Added', data: { n } })
    expect(await syncOnce(device)).toMatchObject({ pending: 0, cursor: 3 })
    const standby = await Cluster.standbyOf(primary, { name: `standby-${randomUUID()}` })
    clusters.push(standby)
    // From here on it lags.
    await standby.stop()
    for (const n of [4, 5]) await device.append('cart', { type: 'Added', data: { n } })
    expect(await syncOnce(device)).toMatchObject({ pending: 0, cursor: 5 })
    const before = await log.info()
    await primary.stop('immediate')
    await standby.start()
    const second = poolTo(standby)
    await second.query('select pg_promote()')
    const store = openPostgresLogStore({ pool: second, log: 'shop' })
    log = serverLog(store)
    const after = await log.info()
    expect(after.log).toBe(before.log)
    expect(after.epoch).not.toBe(before.epoch)
    expect(after.head).toBe(3)
    // Another device has gone on meanwhile.
    await log.push({ commits: [commitOf('other', 'other-1')] }, { author: '' })
    for (let round = 0; (await store.head()) < 6 && round < 10; round += 1) await syncOnce(device)
    const commits = await all(store)
    assertSound(commits)
    const numbers = commits.flatMap(({ events }) =>
      events.map(({ line }) => (JSON.parse(line) as { data: { n?: number } }).data.n),
    )
    expect(numbers).toEqual([1, 2, 3, undefined, 4, 5])
    expect(await syncOnce(device)).toMatchObject({ pending: 0, cursor: 6 })
    await device.close()
  })

  test('N79: tables that come from a dump begin a new epoch; renewEpoch begins one of its own', async () => {
    const cluster = await begun('dump')
    const pool = poolTo(cluster)
    await migratePostgres(pool)
    const store = openPostgresLogStore({ pool, log: 'shop' })
    const log = serverLog(store)
    await log.push({ commits: [commitOf('s', 'a')] }, { author: '' })
    const before = await log.info()
    const file = join(cluster.path, 'dump')
    const bin = findBinaries() as string
    const options = { stdio: 'pipe' } as const
    execFileSync(join(bin, 'pg_dump'), ['-Fc', '-n', 'tidemark', '-f', file, cluster.url], options)
    await log.push({ commits: [commitOf('s', 'b')] }, { author: '' })
    expect((await log.info()).epoch).toBe(before.epoch)
    await pool.query('drop schema tidemark cascade')
    execFileSync(join(bin, 'pg_restore'), ['-d', cluster.url, file], options)
    const after = await log.info()
    expect(after).toMatchObject({ log: before.log, head: 1 })
    expect(after.epoch).not.toBe(before.epoch)
    expect((await log.info()).epoch).toBe(after.epoch)
    await store.renewEpoch()
    expect([before.epoch, after.epoch]).not.toContain((await log.info()).epoch)
    await expect(log.push({ commits: [commitOf('s', 'c')] }, { author: '', epoch: after.epoch })).rejects.toMatchObject(
      {
        problem: { code: 'other-epoch' },
      },
    )
  })

  test.skipIf(process.getuid?.() !== 0)(
    'N77: a full disk stores nothing of a push, and the next one is stored when there is space',
    async ({ skip }) => {
      const cluster = await begun('full')
      const disk = join(cluster.path, 'disk')
      mkdirSync(disk)
      try {
        execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=24m', 'tmpfs', disk], { stdio: 'pipe' })
      } catch {
        skip('No file system can be mounted here.')
      }
      try {
        const owner = statSync(cluster.data)
        chownSync(disk, owner.uid, owner.gid)
        const pool = poolTo(cluster)
        await pool.query(`create tablespace small location '${disk}'`)
        const small: SqlPool = poolTo(cluster, { options: '-c default_tablespace=small' })
        await migratePostgres(small)
        const store = openPostgresLogStore({ pool: small, log: 'shop' })
        const log = serverLog(store)
        // Not compressible.
        const large = (id: string) => ({
          commits: [
            {
              events: Array.from({ length: 20 }, (_, n) => ({
                stream: 's',
                type: 'A',
                id: `${id}-${n}`,
                time: 1,
                data: Array.from({ length: 1000 }, () => randomUUID()).join(''),
              })),
            },
          ],
        })
        let [n, error]: [number, unknown] = [0, undefined]
        for (; error === undefined && n < 100; n += 1)
          await log.push(large(`x${n}`), { author: '' }).catch((reason: unknown) => (error = reason))
        expect(error).toBeInstanceOf(StorageFullError)
        expect((error as StorageFullError).outcome).toBe('not-written')
        expect(await store.head()).toBe(20 * (n - 1))
        assertSound(await all(store))
        execFileSync('mount', ['-o', 'remount,size=64m', disk], { stdio: 'pipe' })
        const again = await log.push(large(`x${n - 1}`), { author: '' })
        expect(again.head).toBe(20 * n)
        assertSound(await all(store))
        await Promise.all(pools.splice(0).map((each) => each.end()))
        await cluster.stop()
      } finally {
        await cluster.stop('immediate')
        execFileSync('umount', [disk], { stdio: 'pipe' })
      }
    },
  )
})
