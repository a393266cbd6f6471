/** Read models: rows and checkpoint that commit together. */
import { describe, expect, test } from 'vitest'
import { defineEvents, defineProjection, deleteEventStore, openReadModel, runProjection, table } from 'tidemark'
import { z } from 'zod'
import { added, allOf, events, fold, newName, other, rowsOf, sums, type Backend } from './model.js'

export function readModelContract({ name, open, shared, onDevice = shared }: Backend): void {
  describe(`read models: ${name}`, () => {
    test('N1, N10: thousands of events over many pages equal a plain fold, foreign ones move the checkpoint', async () => {
      const store = await open(newName())
      for (let at = 0; at < 25; at += 1) {
        await store.append({
          stream: `s${at}`,
          events: Array.from({ length: 400 }, (_, index) =>
            index % 4 === 0 ? other() : added(`k${index % 37}`, index),
          ),
        })
      }
      await store.append({ stream: 'tail', events: Array.from({ length: 50 }, () => other()) })
      const definition = sums()
      expect(await runProjection(store, definition)).toMatchObject({ position: 10_050, reason: 'caught-up' })
      expect(await rowsOf(store, definition)).toEqual(fold(await allOf(store)))
      await store.close()
    })
    test('N13: of two runners that both believe to lead, every effect is there once', async () => {
      const store = await open(newName())
      await store.append({ stream: 's', events: Array.from({ length: 300 }, (_, index) => added(`k${index % 5}`, 1)) })
      const definition = sums()
      // A coordinator that grants everything: leadership must not be what correctness rests on.
      const guard = { release() {} }
      const free = { ...store, coordinator: { tryAcquire: async () => guard, acquire: async () => guard } }
      const runs = await Promise.allSettled(
        [1, 2, 3].map(() => runProjection(free, definition, { batch: { maxEvents: 50 } })),
      )
      for (const run of runs)
        if (run.status === 'rejected') expect(run.reason).toMatchObject({ code: 'leadership-lost' })
      expect(runs.some((run) => run.status === 'fulfilled')).toBe(true)
      expect(await rowsOf(store, definition)).toEqual(fold(await allOf(store)))
      await store.close()
    })
    test('fold: the short form folds as handlers do, deletes on null, and leaves a row alone that comes back as it was', async () => {
      const store = await open(newName())
      const rows = [1, 2, 3, -10, 4].map((amount) => added('a', amount))
      await store.append({ stream: 's', events: [...rows, added('b', 7), other(), added('', 5)] })
      const seen: (number | undefined)[] = []
      const definition = defineProjection(events, {
        name: 'short',
        tables: { sums: table<{ name: string; total: number }>({ key: 'name' }) },
        fold: {
          sums: {
            key: (event) => (event.type === 'Added' && event.data.to !== '' ? event.data.to : undefined),
            evolve: (row, event) => {
              if (event.type !== 'Added') throw new Error('not asked for')
              seen.push(row?.total)
              const total = (row?.total ?? 0) + event.data.amount
              return total < 0
                ? null
                : total === 3 && row !== undefined
                  ? { ...row, total }
                  : { name: event.data.to, total }
            },
          },
        },
      })
      expect(await runProjection(store, definition)).toMatchObject({ applied: 8, position: 8 })
      // After the fourth event the sum was below zero: the row went, and the fifth began anew.
      expect(seen).toEqual([undefined, 1, 3, 6, undefined, undefined])
      const view = await openReadModel(store, definition)
      expect(await view.sums.getAll()).toEqual([
        { name: 'a', total: 4 },
        { name: 'b', total: 7 },
      ])
      await store.append({ stream: 's', events: [added('b', 1)] })
      await runProjection(store, definition)
      expect(await view.sums.get('b')).toEqual({ name: 'b', total: 8 })
      await view.close()
      await store.close()
    })
    test('fold: of a store that holds more it sees the types that its catalogue has definitions of, that a filter names, or all of them', async () => {
      const store = await open(newName())
      await store.append({ stream: 's', events: [added('a', 1), other(), added('a', 2)] })
      const seen: string[] = []
      const spec = (name: string) => ({
        name,
        tables: { types: table<{ id: string }>({ key: 'id' }) },
        fold: {
          types: {
            key: ({ type, position }: { type: string; position: number }) => (
              seen.push(`${name} ${type} ${position}`),
              undefined
            ),
            evolve: () => null,
          },
        },
      })
      const described = defineEvents({ Added: { schema: z.object({ to: z.string(), amount: z.number() }) } })
      expect(await runProjection(store, defineProjection(described, spec('described')))).toMatchObject({
        position: 3,
        applied: 2,
      })
      await runProjection(store, defineProjection(events, { ...spec('named'), filter: { types: ['Other'] } }))
      await runProjection(store, defineProjection(described, { ...spec('both'), filter: { types: [] } }))
      await runProjection(store, defineProjection(events, spec('all')))
      expect(seen).toEqual([
        'described Added 1',
        'described Added 3',
        'named Other 2',
        'all Added 1',
        'all Other 2',
        'all Added 3',
      ])
      await store.close()
    })
    test('table: both of its forms give what they were given', async () => {
      const store = await open(newName())
      await store.append({ stream: 's', events: [added('a', 2), added('b', 1)] })
      type Sum = { name: string; total: number }
      const declared = { key: 'name', indexes: { byTotal: 'total' } } as const
      expect(table<Sum>()(declared)).toBe(declared)
      // JavaScript may write it in one call.
      expect(table<Sum>(declared as never)).toBe(declared)
      const definition = defineProjection(events, {
        name: 'forms',
        tables: { one: table<Sum>({ key: 'name' }), two: table<Sum>()(declared) },
        on: {
          Added: ({ data }, { one, two }) => {
            one.put({ name: data.to, total: data.amount })
            two.put({ name: data.to, total: data.amount })
          },
        },
      })
      await runProjection(store, definition)
      const view = await openReadModel(store, definition)
      expect(await view.one.getAll()).toEqual([
        { name: 'a', total: 2 },
        { name: 'b', total: 1 },
      ])
      expect(await view.two.getAll({ index: 'byTotal' })).toEqual([
        { name: 'b', total: 1 },
        { name: 'a', total: 2 },
      ])
      await view.close()
      await store.close()
    })
    test('fold: a row with another key than the one that was asked for fails its event', async () => {
      const store = await open(newName())
      await store.append({ stream: 's', events: [added('a', 1)] })
      const definition = defineProjection(events, {
        name: 'astray',
        tables: { sums: table<{ name: string }>({ key: 'name' }) },
        fold: { sums: { key: () => 'a', evolve: () => ({ name: 'b' }) } },
      })
      await expect(runProjection(store, definition)).rejects.toMatchObject({
        code: 'projection-failed',
        cause: { code: 'invalid-argument' },
      })
      await store.close()
    })
    test('a model that is gone on with reads its rows again, one by one, all at once, and for a fold together', async () => {
      const store = await open(newName())
      const round = () =>
        store.append({ stream: 's', events: Array.from({ length: 200 }, (_, at) => added(`k${at % 100}`, at)) })
      const folded = defineProjection(events, {
        name: 'folded',
        tables: { sums: table<{ name: string; total: number }>({ key: 'name' }) },
        fold: {
          sums: {
            key: (event) => (event.type === 'Added' ? event.data.to : undefined),
            evolve: (row, event) => ({
              name: (event.data as { to: string }).to,
              total: (row?.total ?? 0) + (event.data as { amount: number }).amount,
            }),
          },
        },
      })
      for (let rounds = 0; rounds < 3; rounds += 1) {
        await round()
        await runProjection(store, sums())
        await runProjection(store, folded)
      }
      const expected = fold(await allOf(store))
      expect(await rowsOf(store, sums())).toEqual(expected)
      const view = await openReadModel(store, folded)
      expect(await view.sums.getAll()).toEqual(expected.map(({ name, total }) => ({ name, total })))
      await view.close()
      await store.close()
    })
    test('a schema of a table types its rows, and refuses what does not fit before it is stored', async () => {
      const store = await open(newName())
      await store.append({ stream: 's', events: [added('a', 1), added('b', -1), added('c', 2)] })
      const definition = defineProjection(events, {
        name: 'checked',
        tables: { rows: { key: 'name', schema: z.object({ name: z.string(), amount: z.number().min(0) }) } },
        on: { Added: ({ data }, { rows }) => rows.put({ name: data.to, amount: data.amount }) },
        onFailure: () => 'park',
      })
      expect(await runProjection(store, definition)).toMatchObject({ applied: 2, parked: 1 })
      const view = await openReadModel(store, definition)
      const names: string[] = (await view.rows.getAll()).map((row) => row.name)
      expect(names).toEqual(['a', 'c'])
      await view.close()
      await store.close()
    })
    test('queries: by key and by index, ranges, backwards, limits and counts', async () => {
      const store = await open(newName())
      await store.append({ stream: 's', events: [added('a', 5), added('b', 1), added('c', 5), added('d', 3)] })
      await runProjection(store, sums())
      const view = await openReadModel(store, sums())
      const names = async (options?: Parameters<typeof view.sums.getAll>[0]) =>
        (await view.sums.getAll(options)).map((row) => row.name).join('')
      expect(await names()).toBe('abcd')
      expect(await names({ direction: 'prev', limit: 2 })).toBe('dc')
      expect(await names({ index: 'byTotal' })).toBe('bdac')
      expect(await names({ index: 'byTotal', direction: 'prev' })).toBe('cadb')
      expect(await names({ index: 'byTotal', range: { lower: 3 } })).toBe('dac')
      expect(await names({ index: 'byTotal', range: { lower: 3, lowerOpen: true, upper: 9 } })).toBe('ac')
      expect(await names({ index: 'byTotal', range: 5 })).toBe('ac')
      expect(await names({ range: { upper: 'c', upperOpen: true } })).toBe('ab')
      expect(await names({ limit: 0 })).toBe('')
      expect([await view.sums.count(), await view.sums.count({ index: 'byTotal', range: { lower: 4 } })]).toEqual([
        4, 2,
      ])
      expect(await view.sums.get('x')).toBeUndefined()
      for (const bad of [
        { limit: -1 },
        { index: 'toString' as never },
        { range: { lower: Number.NaN } },
        { direction: 'up' as never },
      ]) {
        await expect(view.sums.getAll(bad as {})).rejects.toMatchObject({ code: 'invalid-argument' })
      }
      await expect(view.sums.get(undefined as never)).rejects.toMatchObject({ code: 'invalid-argument' })
      await view.close()
      await store.close()
    })
    test('H51: other tables under the same name and version are refused, with what to do', async () => {
      const store = await open(newName())
      await runProjection(store, sums())
      const changed = defineProjection(events, {
        name: 'sums',
        tables: { sums: table<{ id: string }>({ key: 'id' }) },
        on: { Added: () => {} },
      })
      await expect(runProjection(store, changed)).rejects.toMatchObject({
        code: 'definition-changed',
        message: expect.stringContaining("Raise 'version'"),
      })
      await expect(openReadModel(store, changed)).rejects.toMatchObject({ code: 'definition-changed' })
      await store.close()
    })
    test.for(['fatal', 'skip', 'park'] as const)('N7: an event that cannot be decoded, under %s', async (strategy) => {
      const codec = {
        encode: (data: unknown) => data,
        decode: (stored: unknown) => {
          if ((stored as { amount?: number } | null)?.amount === 13) throw new Error('unlucky')
          return stored
        },
      }
      const store = await open(newName(), { codec })
      await store.append({ stream: 's', events: [added('a', 1), added('a', 13), added('a', 2)] })
      const skipped: unknown[] = []
      const definition = sums({ onFailure: () => strategy })
      const running = runProjection(store, definition, {
        onReport: (report) => void (report.type === 'skipped' && skipped.push(report)),
      })
      if (strategy === 'fatal') {
        await expect(running).rejects.toMatchObject({
          code: 'projection-failed',
          position: 2,
          cause: { code: 'event-unreadable', position: 2 },
        })
        expect(await rowsOf(store, definition)).toEqual([{ name: 'a', count: 1, total: 1 }])
      } else {
        expect(await running).toMatchObject({
          applied: 2,
          [strategy === 'skip' ? 'skipped' : 'parked']: 1,
          position: 3,
        })
        expect(await rowsOf(store, definition)).toEqual([{ name: 'a', count: 2, total: 3 }])
        expect(skipped).toMatchObject(
          strategy === 'skip' ? [{ position: 2, eventType: 'Added', stream: 's', attempts: 1 }] : [],
        )
      }
      await store.close()
    })
    test('N8: many events that cannot be decoded, then a good one, are gone through once', async () => {
      const codec = {
        encode: (data: unknown) => data,
        decode: (stored: unknown) => {
          if ((stored as { amount: number }).amount < 0) throw new Error('no')
          return stored
        },
      }
      const store = await open(newName(), { codec })
      await store.append({
        stream: 's',
        events: [...Array.from({ length: 1500 }, () => added('a', -1)), added('a', 1)],
      })
      expect(await runProjection(store, sums({ onFailure: () => 'skip' }))).toMatchObject({
        skipped: 1500,
        applied: 1,
        position: 1501,
        reason: 'caught-up',
      })
      await store.close()
    })
    test('N13, N14: a runner that lost a commit drops what it held and goes on from what is stored', async () => {
      const store = await open(newName())
      const guard = { release() {} }
      const free = { ...store, coordinator: { tryAcquire: async () => guard, acquire: async () => guard } }
      await store.append({ stream: 's', events: Array.from({ length: 10 }, () => added('a', 1)) })
      const lost: number[] = []
      let interfered = false
      const definition = sums()
      const stopping = new AbortController()
      const interrupted: typeof definition = {
        ...definition,
        on: {
          Added: async (event, tables) => {
            // In the middle of its work another runner does all of it.
            if (event.position === 6 && !interfered) {
              interfered = true
              await runProjection(free, interrupted)
            }
            await definition.on.Added?.(event, tables)
          },
        },
      }
      const racing = runProjection(free, interrupted, {
        mode: 'continuous',
        signal: stopping.signal,
        onReport: (report) => {
          if (report.type === 'leadership-lost') lost.push(1)
          if (report.type === 'idle') stopping.abort()
        },
      })
      expect(await racing).toMatchObject({ reason: 'aborted', position: 10 })
      expect(lost).toHaveLength(1)
      expect(await rowsOf(store, interrupted)).toEqual([{ name: 'a', count: 10, total: 10 }])
      await store.close()
    })
    test('a commit of thousands of rows is stored whole', async () => {
      const store = await open(newName())
      await store.append({ stream: 's', events: Array.from({ length: 2501 }, (_, at) => added(`k${at}`, at)) })
      const commits: number[] = []
      await runProjection(store, sums(), {
        batch: { maxTime: 60_000 },
        onReport: (report) => void (report.type === 'committed' && commits.push(report.events)),
      })
      expect(commits).toEqual([2501])
      expect(await rowsOf(store, sums())).toEqual(fold(await allOf(store)))
      await store.close()
    })
    test('Z4: twenty writers at once, then a batch: every balance is exact', async () => {
      const store = await open(newName())
      await Promise.all(
        Array.from({ length: 20 }, async (_, writer) => {
          for (let at = 0; at < 15; at += 1)
            await store.append({ stream: `account-${writer}`, events: [added(`account-${writer}`, writer + at)] })
        }),
      )
      await runProjection(store, sums())
      const rows = await rowsOf(store, sums())
      expect(rows).toHaveLength(20)
      expect(rows).toEqual(fold(await allOf(store)))
      await store.close()
    })
    test('N30, N34: a new version is built beside the old one, which stays as it was', async () => {
      const store = await open(newName())
      await store.append({ stream: 's', events: [added('a', 1)] })
      await runProjection(store, sums())
      await store.append({ stream: 's', events: [added('a', 1)] })
      await runProjection(store, sums({ version: 2 }))
      expect(await rowsOf(store, sums())).toEqual([{ name: 'a', count: 1, total: 1 }])
      expect(await rowsOf(store, sums({ version: 2 }))).toEqual([{ name: 'a', count: 2, total: 2 }])
      await store.close()
    })
    test('N38: a budget ends the run after at least one batch, and the next run goes on', async () => {
      const store = await open(newName())
      await store.append({ stream: 's', events: Array.from({ length: 100 }, () => added('a', 1)) })
      const definition = sums()
      let runs = 0
      for (let reason = ''; reason !== 'caught-up' && runs < 200; runs += 1)
        ({ reason } = await runProjection(store, definition, { budget: { maxEvents: 30 } }))
      expect(runs).toBe(4)
      expect(await rowsOf(store, definition)).toEqual([{ name: 'a', count: 100, total: 100 }])
      await store.close()
    })
    test('N39: an aborted continuous run settles, and what it committed is consistent', async () => {
      const store = await open(newName())
      await store.append({ stream: 's', events: Array.from({ length: 50 }, () => added('a', 1)) })
      const controller = new AbortController()
      const definition = sums({ bad: (event) => (event.position === 25 && controller.abort(), false) })
      expect(await runProjection(store, definition, { mode: 'continuous', signal: controller.signal })).toMatchObject({
        reason: 'aborted',
      })
      await runProjection(store, definition)
      expect(await rowsOf(store, definition)).toEqual([{ name: 'a', count: 50, total: 50 }])
      await store.close()
    })
    test('N17: updates of one row side by side all count, a late write is refused, and what cannot be frozen is a copy', async () => {
      const store = await open(newName())
      const refused: unknown[] = []
      const definition = defineProjection(events, {
        name: 'careful',
        tables: { rows: table<{ name: string; n: number; at: Date }>({ key: 'name' }) },
        on: {
          Added: async ({ position }, { rows }) => {
            const more = () => rows.update('a', (row) => ({ name: 'a', n: (row?.n ?? 0) + 1, at: new Date(1000) }))
            await Promise.all([more(), more(), more()])
            const row = await rows.get('a')
            row?.at.setTime(0)
            expect(() => Object.assign(row ?? {}, { n: -1 })).not.toThrow()
            // Not awaited on purpose: it comes back after the handler ended.
            if (position === 1)
              void new Promise((resolve) => setTimeout(resolve))
                .then(() => rows.put({ name: 'late', n: 1, at: new Date() }))
                .catch((error: unknown) => refused.push(error))
          },
        },
      })
      await store.append({ stream: 's', events: [added('a', 1), added('a', 1)] })
      await runProjection(store, definition)
      await expect.poll(() => refused).toMatchObject([{ code: 'invalid-argument' }])
      await store.append({ stream: 's', events: [added('a', 1)] })
      await runProjection(store, definition)
      const view = await openReadModel(store, definition)
      expect(await view.rows.getAll()).toEqual([{ name: 'a', n: 9, at: new Date(1000) }])
      await view.close()
      await store.close()
    })
    test('rows without such parts are frozen', async () => {
      const store = await open(newName())
      await store.append({ stream: 's', events: [added('a', 1)] })
      const definition = defineProjection(events, {
        name: 'frozen',
        tables: { rows: table<{ name: string; tags: string[] }>({ key: 'name' }) },
        on: {
          Added: async (_event, { rows }) => {
            rows.put({ name: 'a', tags: [] })
            ;(await rows.get('a'))?.tags.push('x')
          },
        },
      })
      await expect(runProjection(store, definition)).rejects.toMatchObject({
        code: 'projection-failed',
        cause: { name: 'TypeError' },
      })
      await store.close()
    })
    if (onDevice)
      test('destroying a store takes its read models with it, and not those of its neighbours', async () => {
        const names = ['x', 'x:sums@1'].map((name) => `${name}-${newName()}`)
        for (const name of names) {
          const store = await open(name)
          await store.append({ stream: 's', events: [added('a', 1)] })
          await runProjection(store, sums())
          await store.close()
        }
        await deleteEventStore(names[0] as string)
        const again = await open(names[0] as string)
        expect(await again.head()).toBe(0)
        expect(await rowsOf(again, sums())).toEqual([])
        await again.close()
        const neighbour = await open(names[1] as string)
        expect(await rowsOf(neighbour, sums())).toEqual([{ name: 'a', count: 1, total: 1 }])
        await neighbour.close()
      })
  })
}
