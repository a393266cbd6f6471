// What projections of a server go through while the database is down, and after a dump was restored under them.
import { execFileSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import pg from 'pg'
import { defineEvents, defineProjection, openReadModel, startProjection, table } from 'tidemark'
import { migratePostgres, openPostgresStore } from 'tidemark/postgres'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { Cluster, findBinaries } from '../../support/postgres/cluster.js'

const events = defineEvents<{ type: 'Added'; data: number }>()
const counts = defineProjection(events, {
  name: 'counts',
  tables: { n: table<{ id: string; n: number }>({ key: 'id' }) },
  on: { Added: ({ stream }, { n }) => n.update(stream, (row) => ({ id: stream, n: (row?.n ?? 0) + 1 })) },
})
const patient = { timeout: 60_000, interval: 50 }

describe.skipIf(findBinaries() === undefined)(
  'a server that is stopped and started again',
  { timeout: 120_000 },
  () => {
    test.for(['immediate', 'fast'] as const)(
      'has its projections back, those that lead and those on standby, by themselves (stop -m %s)',
      async (how) => {
        const cluster = await Cluster.create({ name: `down-${randomUUID()}` })
        onTestFinished(() => cluster.dispose())
        const open = async () => {
          const pool = new pg.Pool({ connectionString: cluster.url })
          pool.on('error', () => {})
          onTestFinished(() => pool.end())
          if (opened.length === 0) await migratePostgres(pool)
          const store = await openPostgresStore({ pool, name: 'shop', events })
          onTestFinished(() => store.close())
          const phases: string[] = []
          const running = startProjection(store, counts)
          running.status.subscribe(() => phases.push(running.status.getSnapshot().phase))
          opened.push(running)
          return { store, running, phases }
        }
        const opened: object[] = []
        const first = await open()
        await vi.waitFor(() => expect(first.running.status.getSnapshot().leader).toBe(true), patient)
        const second = await open()
        await first.store.append('a', { type: 'Added', data: 1 })
        await first.running.caughtUp(1)
        await vi.waitFor(() => expect(second.running.status.getSnapshot().phase).toBe('standby'), patient)
        await cluster.stop(how)
        await vi.waitFor(() => expect(first.running.status.getSnapshot().lastError).toBeDefined(), patient)
        await cluster.start()
        await vi.waitFor(() => first.store.append('a', { type: 'Added', data: 2 }), patient)
        await vi.waitFor(() => {
          const [one, two] = [first, second].map(({ running }) => running.status.getSnapshot())
          expect([one?.position, two?.position]).toEqual([2, 2])
          expect([one?.leader, two?.leader].sort()).toEqual([false, true])
        }, patient)
        expect([...first.phases, ...second.phases]).not.toContain('faulted')
        const view = await openReadModel(second.store, counts)
        expect(await view.n.getAll()).toEqual([{ id: 'a', n: 2 }])
        await view.close()
      },
    )

    test('N36: continues from the stored checkpoint after a dump was restored under it', async () => {
      const cluster = await Cluster.create({ name: `restored-${randomUUID()}` })
      onTestFinished(() => cluster.dispose())
      const pool = new pg.Pool({ connectionString: cluster.url })
      pool.on('error', () => {})
      onTestFinished(() => pool.end())
      await migratePostgres(pool)
      const store = await openPostgresStore({ pool, name: 'shop', events })
      onTestFinished(() => store.close())
      const errors: unknown[] = []
      const running = startProjection(store, counts, {
        onReport: (report) => report.type === 'faulted' && errors.push(report.error),
      })
      const append = (data: number) => store.append('a', { type: 'Added', data })
      const bin = findBinaries() as string
      const dump = join(cluster.path, 'dump')
      for (let n = 1; n <= 3; n += 1) await append(n)
      await running.caughtUp(3)
      execFileSync(join(bin, 'pg_dump'), ['-Fc', '-f', dump, cluster.url])
      for (let n = 4; n <= 5; n += 1) await append(n)
      await running.caughtUp(5)
      const restore = ['--clean', '--if-exists', '--single-transaction', '-d', cluster.url, dump]
      execFileSync(join(bin, 'pg_restore'), restore)
      await vi.waitFor(
        () => expect(running.status.getSnapshot()).toMatchObject({ phase: 'live', position: 3 }),
        patient,
      )
      await append(9)
      await vi.waitFor(
        () => expect(running.status.getSnapshot()).toMatchObject({ phase: 'live', position: 4 }),
        patient,
      )
      expect(errors).toEqual([])
      const view = await openReadModel(store, counts)
      expect(await view.n.getAll()).toEqual([{ id: 'a', n: 4 }])
      await view.close()
    })
  },
)
