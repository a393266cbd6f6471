// Projectors into tables of the app's own, and a log that devices and the server share.
import { afterEach, describe, expect, test } from 'vitest'
import {
  defineEvents,
  exportEvents,
  importEvents,
  runProjection,
  startProjection,
  verifyEventStore,
  type RecordedEvent,
} from 'tidemark'
import { openEventStore as openMemory } from 'tidemark/memory'
import { virtualClock } from 'tidemark/testing'
import { sqlProjector, type PostgresStore, type ProjectorSql } from 'tidemark/postgres'
import { memoryLogStore, serverLog } from 'tidemark/server'
import { onPglite, onPostgres, type PostgresBackend } from '../support/postgres/stores.js'
import { gate } from '../support/gate.js'

/** How a projector is written: for one event, or for a run of them. */
type Form = 'apply' | 'applyAll'
const forms: readonly Form[] = ['apply', 'applyAll']

type Event = { type: 'Paid'; data: { day: string; cents: number } }
const events = defineEvents<Event>()
const paid = (day: string, cents: number) => ({ type: 'Paid' as const, data: { day, cents } })

let count = 0
const newName = () => `projector-${(count += 1)}`

const suite = (backend: PostgresBackend) => {
  describe(`projectors into own tables: ${backend.name}`, () => {
    const opened: PostgresStore<Event>[] = []
    afterEach(() => Promise.all(opened.splice(0).map((store) => store.close())))
    const open = async (name = newName()) => {
      const store = await backend.open<Event>(name, { events })
      opened.push(store)
      return store
    }
    /** A table of the app, and a projector that sums into it. */
    const sums = async (
      store: PostgresStore<Event>,
      name: string,
      bad: (position: number) => boolean = () => false,
      form: Form = 'apply',
    ) => {
      const table = `${backend.schema()}.revenue_${store.name.replaceAll(/\W/g, '_')}_${name}`
      await backend.pool().query(`create table if not exists ${table} (day text primary key, cents int not null)`)
      /** How many events each call got. */
      const calls: number[] = []
      const add = async (paid: readonly RecordedEvent<Event>[], sql: ProjectorSql) => {
        calls.push(paid.length)
        await sql.query(
          `insert into ${table} as t
           select day, sum(cents) from json_to_recordset($1::json) as row(day text, cents int) group by day
           on conflict (day) do update set cents = t.cents + excluded.cents`,
          [JSON.stringify(paid.map(({ data }) => data))],
        )
        // After the write, which has to be taken back.
        const failing = paid.find(({ position }) => bad(position))
        if (failing !== undefined) throw new Error(`bad ${failing.position}`)
      }
      const projector = sqlProjector<Event>(store, {
        name,
        ...(form === 'apply' ? { apply: (event, sql) => add([event], sql) } : { applyAll: add }),
        onFailure: () => 'park',
      })
      const rows = async () =>
        Object.fromEntries(
          (await backend.pool().query(`select day, cents from ${table} order by day`)).rows.map(({ day, cents }) => [
            day,
            cents,
          ]),
        )
      return { projector, rows, calls }
    }

    test.for(forms)('N84: every event is in the table once, over several runs: %s', async (form) => {
      const store = await open()
      const { projector, rows } = await sums(store, 'revenue', undefined, form)
      await store.append('s', [paid('a', 1), paid('b', 2), paid('a', 4)])
      expect(await runProjection(store, projector)).toMatchObject({ applied: 3, position: 3 })
      expect(await runProjection(store, projector)).toMatchObject({ applied: 0, position: 3 })
      await store.append('s', [paid('b', 8)])
      expect(await runProjection(store, projector)).toMatchObject({ applied: 1, position: 4 })
      expect(await rows()).toEqual({ a: 5, b: 10 })
      expect(await store.checkpoints.load('revenue')).toBe(4)
    })

    test.for(forms)(
      'N84: an event that fails takes back its own writes only; its dead letter is replayed: %s',
      async (form) => {
        const store = await open()
        let isBad = true
        const { projector, rows } = await sums(store, 'failing', (position) => isBad && position % 3 === 2, form)
        await store.append(
          's',
          Array.from({ length: 9 }, (_, at) => paid('a', 10 ** (at % 6))),
        )
        expect(await runProjection(store, projector)).toMatchObject({ applied: 6, parked: 3, position: 9 })
        const sum = (positions: readonly number[]) => positions.reduce((all, one) => all + 10 ** ((one - 1) % 6), 0)
        expect(await rows()).toEqual({ a: sum([1, 3, 4, 6, 7, 9]) })
        expect(await store.checkpoints.countDeadLetters('failing')).toBe(3)
        isBad = false
        const running = startProjection(store, projector)
        await running.caughtUp(9, { timeout: 20_000 })
        for await (const letter of running.deadLetters()) await letter.replay()
        await running.stop()
        expect(await rows()).toEqual({ a: sum([1, 2, 3, 4, 5, 6, 7, 8, 9]) })
      },
    )

    test('N84: of two runners that both believe to lead, one gets leadership-lost, and every event counts once', async () => {
      const name = newName()
      const [one, other] = [await open(name), await open(name)]
      const { projector, rows } = await sums(one, 'raced')
      const second = await sums(other, 'raced')
      await one.append(
        's',
        Array.from({ length: 50 }, () => paid('a', 1)),
      )
      const free = { tryAcquire: async () => ({ release() {} }), acquire: async () => ({ release() {} }) }
      const held = gate()
      let isFirst = true
      const slow = {
        ...projector,
        apply: async (...given: Parameters<typeof projector.apply>) => {
          if (isFirst) {
            isFirst = false
            await held.opened
          }
          await projector.apply(...given)
        },
      }
      const run = (store: typeof one, of: typeof projector) =>
        runProjection({ reader: store, checkpoints: store.checkpoints, coordinator: free }, of)
      const late = run(one, slow)
      // It has read the checkpoint; the other one passes it.
      expect(await run(other, second.projector)).toMatchObject({ applied: 50 })
      held.open()
      await late.catch((error: unknown) => expect(error).toMatchObject({ code: 'leadership-lost' }))
      expect(await rows()).toEqual({ a: 50 })
      expect(await one.checkpoints.load('raced')).toBe(50)
    })

    /** Two runs of 1,000 events and one of 300. */
    const many = async () => {
      const store = await open()
      for (let at = 0; at < 5; at += 1)
        await store.append(
          `s-${at}`,
          Array.from({ length: 460 }, () => paid(`day-${at}`, 1)),
        )
      const all = Object.fromEntries(Array.from({ length: 5 }, (_, at) => [`day-${at}`, 460]))
      return { store, all }
    }

    test('N84: a run of events is one call; if it fails, they come one by one, and no others', async () => {
      const { store, all } = await many()
      const bad = new Set([2100, 2101, 2200])
      const { projector, rows, calls } = await sums(store, 'many', (position) => bad.has(position), 'applyAll')
      expect(await runProjection(store, projector)).toMatchObject({ applied: 2297, parked: 3, position: 2300 })
      expect(await rows()).toEqual({ ...all, 'day-4': 457 })
      expect(await store.checkpoints.load('many')).toBe(2300)
      const letters = await store.checkpoints.deadLetters?.('many', 0, 10)
      expect(letters?.map(({ position, message }) => [position, message])).toEqual(
        [...bad].map((position) => [position, `bad ${position}`]),
      )
      expect(calls.filter((count) => count > 1).reduce((sum, count) => sum + count, 0)).toBe(2300)
      expect(calls.filter((count) => count === 1)).toHaveLength(300)
      expect(Math.max(...calls)).toBe(1000)
    })

    test('N84: a run of events ends at the budget, and with a checkpoint for each event it has one', async () => {
      const store = await open()
      await store.append(
        's',
        Array.from({ length: 10 }, () => paid('a', 1)),
      )
      const { projector, rows, calls } = await sums(store, 'some', undefined, 'applyAll')
      const budget = { maxEvents: 4 }
      expect(await runProjection(store, projector, { budget })).toMatchObject({ applied: 4, position: 4 })
      expect([await rows(), await store.checkpoints.load('some'), calls]).toEqual([{ a: 4 }, 4, [4]])
      await runProjection(store, projector, { checkpoint: 'each-event' })
      expect([await rows(), await store.checkpoints.load('some'), calls]).toEqual([
        { a: 10 },
        10,
        [4, 1, 1, 1, 1, 1, 1],
      ])
    })

    test.for(forms)('N84: while it waits for the next try of an event, no transaction is open: %s', async (form) => {
      const store = await open()
      let isBad = true
      const { projector, rows } = await sums(store, 'waiting', () => isBad, form)
      await store.append('s', [paid('a', 1), paid('b', 2), paid('a', 4)])
      const clock = virtualClock()
      let waits = () => {}
      const waiting = new Promise<void>((resolve) => (waits = resolve))
      const run = runProjection(
        store,
        { ...projector, onFailure: () => 'retry' },
        {
          clock,
          retry: { maxRetries: 1, delay: 3_600_000, maxDelay: 3_600_000, jitter: 0 },
          onReport: ({ type }) => void (type === 'retrying' && waits()),
        },
      )
      await waiting
      // PostgreSQL ends one that does nothing after 30 s, and the checkpoint is locked as long as it is there.
      const text = `select count(*)::int as count from pg_stat_activity where application_name = $1 and state like 'idle in%'`
      await expect.poll(async () => (await backend.pool().query(text, [backend.schema()])).rows[0]?.['count']).toBe(0)
      isBad = false
      await clock.advance(3_600_000)
      expect(await run).toMatchObject({ applied: 3, position: 3 })
      expect(await rows()).toEqual({ a: 5, b: 2 })
    })

    test('N84: of two runners of a projector of runs one gets leadership-lost', async () => {
      const name = newName()
      const [one, other] = [await open(name), await open(name)]
      await one.append(
        's',
        Array.from({ length: 50 }, () => paid('a', 1)),
      )
      const { projector, rows } = await sums(one, 'raced_runs', undefined, 'applyAll')
      const second = await sums(other, 'raced_runs', undefined, 'applyAll')
      const free = { tryAcquire: async () => ({ release() {} }), acquire: async () => ({ release() {} }) }
      const held = gate()
      const load = async (of: string) => {
        const position = await one.checkpoints.load(of)
        await held.opened
        return position
      }
      const checkpoints = { ...one.checkpoints, load }
      const late = runProjection({ reader: one, checkpoints, coordinator: free }, projector)
      const run = runProjection({ reader: other, checkpoints: other.checkpoints, coordinator: free }, second.projector)
      expect(await run).toMatchObject({ applied: 50 })
      held.open()
      await late.catch((error: unknown) => expect(error).toMatchObject({ code: 'leadership-lost' }))
      expect(await rows()).toEqual({ a: 50 })
      expect(await one.checkpoints.load('raced_runs')).toBe(50)
    })

    test('a projector has one of apply and applyAll', async () => {
      const store = await open()
      const work = async () => {}
      for (const wrong of [{}, { apply: work, applyAll: work }, { applyAll: 1 }, { apply: work, applyAll: 1 }])
        expect(() => sqlProjector(store, { name: 'wrong', ...wrong } as never)).toThrow(
          expect.objectContaining({ code: 'invalid-argument' }),
        )
    })

    test.skipIf(backend.name === 'PGlite')('N84: a connection that is lost within a run of events', async () => {
      const { store } = await many()
      const calls: number[] = []
      const table = `${backend.schema()}.cut_${store.name.replaceAll(/\W/g, '_')}`
      await backend.pool().query(`create table ${table} (position int primary key)`)
      let cuts = 1
      const cut = sqlProjector<Event>(store, {
        name: 'cut',
        applyAll: async (run, sql) => {
          calls.push(run.length)
          for (const { position } of run.slice(0, 3)) await sql.query(`insert into ${table} values ($1)`, [position])
          if (calls.length === 2 && cuts-- > 0) await sql.query('select pg_terminate_backend(pg_backend_pid())')
          await sql.query(`insert into ${table} select unnest($1::int[])`, [
            run.slice(3).map(({ position }) => position),
          ])
        },
      })
      expect(await runProjection(store, cut)).toMatchObject({ applied: 2300, position: 2300 })
      expect(cuts).toBe(0)
      const { rows: found } = await backend
        .pool()
        .query(`select count(*)::int as n, max(position) as last from ${table}`)
      expect(found).toEqual([{ n: 2300, last: 2300 }])
      expect(calls.every((count) => count > 1)).toBe(true)
    })

    test('N84: a second projector of the same name on the same store takes nothing away', async () => {
      const store = await open()
      await store.append('s', [paid('a', 1)])
      const { projector, rows } = await sums(store, 'twice')
      const another = await sums(store, 'twice')
      const first = startProjection(store, projector)
      await first.caughtUp(1, { timeout: 20_000 })
      const second = startProjection(store, another.projector)
      await store.append('s', [paid('a', 2), paid('a', 4)])
      await first.caughtUp(3, { timeout: 20_000 })
      expect(await rows()).toEqual({ a: 7 })
      expect(await store.checkpoints.load('twice')).toBe(3)
      await Promise.all([first.stop(), second.stop()])
    })

    test.for(['apply', 'applyAll', 'onFailure'] as const)(
      'a second one of the same name that does something else is refused while the first runs: %s',
      async (part) => {
        const store = await open()
        const nothing = async () => {}
        const specification = (does: () => Promise<void>, decides: () => 'park' | 'fatal') => ({
          name: 'twice',
          ...(part === 'applyAll' ? { applyAll: does } : { apply: does }),
          onFailure: decides,
        })
        const other = async () => void (await Promise.resolve())
        const first = startProjection(
          store,
          sqlProjector<Event>(
            store,
            specification(nothing, () => 'park'),
          ),
        )
        await first.caughtUp(0, { timeout: 20_000 })
        const same = sqlProjector<Event>(
          store,
          specification(nothing, () => 'park'),
        )
        await expect(runProjection(store, same)).rejects.toMatchObject({ code: 'already-running' })
        const changed =
          part === 'onFailure' ? specification(nothing, () => 'fatal') : specification(other, () => 'park')
        await expect(runProjection(store, sqlProjector<Event>(store, changed))).rejects.toMatchObject({
          code: 'definition-changed',
        })
        await first.stop()
        await runProjection(store, sqlProjector<Event>(store, changed))
      },
    )

    /** A projector that stores the day of each event, and does something else with the second event of each run. */
    const days = async (form: Form, second: (sql: ProjectorSql, table: string) => unknown) => {
      const store = await open()
      await store.append('s', [paid('a', 1), paid('b', 2), paid('c', 4)])
      const table = `${backend.schema()}.days_${store.name.replaceAll(/\W/g, '_')}`
      await backend.pool().query(`create table ${table} (day text primary key)`)
      const failures: string[] = []
      const insert = async ({ data, position }: RecordedEvent<Event>, sql: ProjectorSql) => {
        await sql.query(`insert into ${table} values ($1)`, [data.day])
        if (position === 2) await second(sql, table)
      }
      const projector = sqlProjector<Event>(store, {
        name: 'days',
        ...(form === 'apply'
          ? { apply: insert }
          : {
              applyAll: async (run, sql) => {
                for (const event of run) await insert(event, sql)
              },
            }),
        onFailure: ({ position, error }) => (failures.push(`${position} ${String(error)}`), 'park'),
      })
      const result = await runProjection(store, projector)
      const { rows } = await backend.pool().query(`select day from ${table} order by day`)
      return { result, failures, days: rows.map(({ day }) => day as string) }
    }

    test.for(forms)('N84: a statement that failed and was ignored fails its own event: %s', async (form) => {
      const { result, failures, days: stored } = await days(form, (sql) => sql.query('select 1 / 0').catch(() => {}))
      expect(result).toMatchObject({ applied: 2, parked: 1, position: 3 })
      expect(stored).toEqual(['a', 'c'])
      expect(failures).toEqual([expect.stringMatching(/^2 .*division by zero/)])
    })

    test.for(forms)('N84: one that failed behind a savepoint of the app may be ignored: %s', async (form) => {
      const { result, days: stored } = await days(form, async (sql) => {
        await sql.query('savepoint mine')
        await sql.query('select 1 / 0').catch(() => {})
        await sql.query('rollback to savepoint mine')
      })
      expect(result).toMatchObject({ applied: 3, parked: 0, position: 3 })
      expect(stored).toEqual(['a', 'b', 'c'])
    })

    test('N84: an event fails that does not wait for a statement', async () => {
      const hasty = await days('apply', (sql, table) => void sql.query(`insert into ${table} values ('late')`))
      expect(hasty.failures).toEqual([expect.stringContaining('did not wait for a statement')])
      expect(hasty.days).toEqual(['a', 'c'])
    })

    test.for(forms)('N84: an event fails that would end the transaction: %s', async (form) => {
      for (const text of ['commit', ' ROLLBACK;', 'begin', 'end'])
        expect((await days(form, (sql) => sql.query(text))).days).toEqual(['a', 'c'])
    })

    test.for(forms)('N84: what was given to a call is refused after it: %s', async (form) => {
      let kept: ProjectorSql | undefined
      await days(form, (sql) => void (kept = sql))
      await expect(kept?.query('select 1')).rejects.toMatchObject({ code: 'invalid-argument' })
    })

    test('N85: devices pull what the server appends, and its projections see what devices push', async () => {
      const store = await open()
      const log = serverLog(store.log)
      await store.append('s', [paid('a', 1)], { expectedVersion: 'no-stream' })
      const pushed = { id: 'from-a-device', stream: 's', type: 'Paid', time: 5, data: { day: 'b', cents: 2 } }
      const answer = await log.push({ commits: [{ events: [pushed] }] }, { author: 'anna' })
      expect(answer).toEqual({ head: 2, answers: [{ id: 'from-a-device', accepted: 2 }] })
      await store.append('s', [paid('a', 4)], { expectedVersion: 2 })
      const again = await store.append('s', [{ ...paid('b', 2), id: 'from-a-device' }])
      expect(again).toMatchObject({ duplicate: true, position: 2 })
      const found = []
      for await (const event of store.read()) found.push(event)
      expect(found.map(({ position, version, id }) => [position, version, id.length > 0])).toEqual([
        [1, 1, true],
        [2, 2, true],
        [3, 3, true],
      ])
      const { projector, rows } = await sums(store, 'shared')
      await runProjection(store, projector)
      expect(await rows()).toEqual({ a: 5, b: 2 })
      const lines: string[] = []
      for await (const part of await log.pull({ after: 0 }))
        lines.push(...part.split('\n').filter((line) => line !== ''))
      const [, ...all] = lines.map((line) => JSON.parse(line) as Record<string, unknown>)
      expect(all.slice(0, 3).map(({ data }) => data)).toEqual(
        [paid('a', 1), paid('b', 2), paid('a', 4)].map((e) => e.data),
      )
      // The chain is the one that any server computes of these lines.
      const memory = memoryLogStore()
      for (const commit of await store.log.read(0, 100))
        await memory.decide(async (decision) => decision.add({ ...commit, chain: commit.chain }))
      expect(await memory.chainAt(3)).toBe(await store.log.chainAt(3))
      expect(all.at(-1)).toMatchObject({ scannedTo: 3, chain: await store.log.chainAt(3) })
    })

    test('a log moves in and out as an export, with its ids, versions, times and commits', async () => {
      const memory = await openMemory<Event>({ name: 'moving', events })
      for (let at = 0; at < 30; at += 1) await memory.append(`s-${at % 3}`, [paid('a', at), paid('b', at)])
      const store = await open()
      const lines = async (from: Parameters<typeof exportEvents>[0]) => {
        const all: string[] = []
        for await (const line of exportEvents(from)) all.push(line)
        return all
      }
      const source = await lines(memory as never)
      expect(await importEvents(store, source)).toEqual({ imported: 60, skipped: 0, total: 60, position: 60 })
      expect(await importEvents(store, source)).toMatchObject({ imported: 0, skipped: 60 })
      const moved = await lines(store as never)
      const parsed = (all: readonly string[]) => all.slice(1).map((line) => JSON.parse(line) as Record<string, unknown>)
      // A local log does not know who made its commits, and when they were stored: the server did, now.
      const isFirst = ({ commit, position }: Record<string, unknown>) => commit === position
      const stored = parsed(moved).map(({ author, recorded, ...rest }) => [rest, author, typeof recorded])
      expect(stored).toEqual(
        parsed(source).map((line) => [line, ...(isFirst(line) ? ['', 'number'] : [undefined, 'undefined'])]),
      )
      expect(JSON.parse(moved[0] as string)).toMatchObject({ log: (await store.log.identity()).log, head: 60 })
      expect(await verifyEventStore(store)).toMatchObject({ ok: true, events: 60 })
      const back = await openMemory<Event>({ name: 'back', events })
      await importEvents(back, moved)
      expect(parsed(await lines(back as never))).toEqual(parsed(source))
      for (const each of [memory, back]) await each.close()
    })
  })
}

onPostgres(suite)
onPglite(suite)
