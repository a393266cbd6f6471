/** Live queries of one table, with keys, and as promises. */
import { describe, expect, test } from 'vitest'
import { openReadModel, runProjection, type LiveQuery } from 'tidemark'
import { virtualClock } from 'tidemark/testing'
import { added, folded, sums, type Backend, type Store } from './model.js'

const soon = { timeout: 25_000 }
const add = async (store: Store, to: string, amount: number) => {
  await store.append({ stream: 's', events: [added(to, amount)] })
  await runProjection(store, sums())
}

export function liveSurfaceContract({ name, open }: Backend): void {
  describe(`live tables: ${name}`, () => {
    const opened = async () => {
      const { store } = await folded(open)
      const clock = virtualClock()
      const view = await openReadModel(store, sums(), { clock })
      const close = async () => {
        await view.close()
        expect(clock.pending).toBe(0)
        await store.close()
      }
      return { store, clock, view, close }
    }

    test('rows, one row and their number follow the commits, as the methods of the reader return them', async () => {
      const { store, view, close } = await opened()
      const { sums: table } = view
      const options = { index: 'byTotal', direction: 'prev', limit: 2 } as const
      const [rows, row, none, count, no] = [
        table.live(options),
        table.liveRow('a'),
        table.liveRow('z'),
        table.liveCount({ range: { lower: 'b' } }),
        table.live({ limit: 0 }),
      ]
      const stops = [rows, row, none, count, no].map((live: LiveQuery<unknown>) => live.subscribe(() => {}))
      const same = async () => {
        const expected = [
          await table.getAll(options),
          await table.get('a'),
          undefined,
          await table.count({ range: { lower: 'b' } }),
          [],
        ]
        await expect
          .poll(() => [rows, row, none, count, no].map((live: LiveQuery<unknown>) => live.getSnapshot().data), soon)
          .toEqual(expected)
        return expected
      }
      const before = await same()
      await add(store, 'c', 100)
      await add(store, 'a', 50)
      expect(await same()).not.toEqual(before)
      for (const stop of stops) stop()
      await close()
    })

    test('equal options, keys and lists are one query, and others are not', async () => {
      const { view, close } = await opened()
      const { sums: table } = view
      const fn = () => 1
      const one: [unknown, unknown][] = [
        [table.live(), table.live({})],
        [table.live(), table.live({ direction: 'next', limit: Infinity, range: {} })],
        [table.live({ range: 'a' }), table.live({ range: { lower: 'a', upper: 'a', lowerOpen: false } })],
        [table.live({ index: 'byTotal', range: -0 }), table.live({ range: 0, index: 'byTotal' })],
        [table.liveRow(new Date(5)), table.liveRow(new Date(5))],
        [table.liveCount(), table.liveCount({})],
        [view.live(['x', { a: 1, b: [new Date(3)] }], fn), view.live(['x', { b: [new Date(3)], a: 1 }], fn)],
        [view.live(['x', { a: undefined }], fn), view.live(['x', {}], fn)],
        [view.tables.sums.liveRow('a'), table.liveRow('a')],
      ]
      for (const [at, [left, right]] of one.entries()) expect(left, String(at)).toBe(right)
      const bytes = (...given: number[]) => Uint8Array.from(given)
      const others = [
        ...[1, '1', new Date(1), [1], bytes(1), [bytes(1)], { 0: 1 }, '[1]', true, 'true', null, undefined, '', []].map(
          (part) => view.live([part], fn),
        ),
        ...[[1, 2], ['1,2'], [[1, 2]], [bytes(1, 2)], [bytes(1), 2], ['a', 'b'], ['a","b']].map((key) =>
          view.live(key, fn),
        ),
        ...[1, '1', new Date(1)].map((key) => table.liveRow(key)),
        ...[{}, { limit: 1 }, { range: 1 }, { range: { lower: 1 } }, { direction: 'prev' }, { index: 'byTotal' }].map(
          (options) => table.live(options as never),
        ),
        table.liveCount(),
        view.live(fn),
        view.live(fn),
      ]
      expect(new Set(others).size).toBe(others.length)
      await close()
    })

    test('what cannot be asked is refused when the query is made', async () => {
      const { view, close } = await opened()
      const { sums: table } = view
      const refused = { code: 'invalid-argument' }
      const wrong = (make: () => unknown) => {
        try {
          make()
        } catch (error) {
          return error
        }
        return 'nothing was thrown'
      }
      for (const make of [
        () => table.live({ limit: -1 }),
        () => table.live({ index: 'other' as never }),
        () => table.live({ order: 'asc' } as never),
        () => table.live({ range: null as never }),
        () => table.liveRow(undefined as never),
        () => table.liveRow(Number.NaN),
        () => table.liveCount({ limit: 1 } as never),
        () => view.live(undefined as never),
        () => view.live(['a'], undefined as never),
        () => view.live('a' as never, () => 1),
        () => view.live([new (class A {})()], () => 1),
        () => view.live([() => 1], () => 1),
        () => view.live([Symbol('a')], () => 1),
        () => view.live([new Map()], () => 1),
      ])
        expect(wrong(make), String(make)).toMatchObject(refused)
      const loop: unknown[] = []
      loop.push(loop)
      expect(wrong(() => view.live(loop, () => 1))).toMatchObject(refused)
      await close()
    })

    test('a list grows page by page, and a row that moves to another page is neither missing nor there twice', async () => {
      const { store, view, close } = await opened()
      for (const [at, to] of [...'cdefgh'].entries()) await add(store, to, at)
      const options = { index: 'byTotal', direction: 'prev' } as const
      const list = view.sums.livePages({ ...options, pageSize: 3 })
      expect(view.sums.livePages({ direction: 'prev', index: 'byTotal', pageSize: 3, range: {} })).toBe(list)
      const stop = list.subscribe(() => {})
      const shows = async (count: number, hasMore: boolean) => {
        const rows = (await view.sums.getAll(options)).slice(0, count)
        await expect
          .poll(() => list.getSnapshot(), soon)
          .toMatchObject({ status: 'ready', stale: false, data: { rows, hasMore } })
      }
      await shows(3, true)
      // More is asked for once, however often it is called before the page is there.
      list.more()
      list.more()
      await shows(6, true)
      const before = list.getSnapshot().data?.rows ?? []
      await add(store, before.at(-1)?.name as string, 100)
      await shows(6, true)
      const after = list.getSnapshot().data?.rows ?? []
      expect(after.slice(1)).toEqual(before.slice(0, -1))
      for (const [at, row] of after.slice(1).entries()) expect(row).toBe(before[at])
      list.more()
      await shows(8, false)
      list.more()
      await add(store, 'new', 1)
      await shows(9, false)
      stop()
      await close()
    })

    test('a list without a subscriber grows with its next promise, and wrong options of it are refused', async () => {
      const { view, close } = await opened()
      const list = view.sums.livePages({ pageSize: 1 })
      expect(await list.ready()).toMatchObject({ rows: [{ name: 'a' }], hasMore: true })
      const { more, ready } = list
      more()
      expect(await ready()).toMatchObject({ rows: [{ name: 'a' }, { name: 'b' }], hasMore: false })
      expect(await view.sums.livePages({ pageSize: 1, ranges: [] }).ready()).toEqual({
        rows: [],
        hasMore: false,
      })
      for (const options of [
        undefined,
        {},
        { pageSize: 0 },
        { pageSize: 1.5 },
        { pageSize: 1, limit: 3 },
        { pageSize: 1, index: 'no' },
      ])
        expect(() => view.sums.livePages(options as never), JSON.stringify(options)).toThrow(
          expect.objectContaining({ code: 'invalid-argument' }),
        )
      await close()
    })

    test('what did not change stays the same object, whatever the query makes of it, and is frozen', async () => {
      const { store, view, close } = await opened()
      const live = view.live(async ({ sums }) => {
        const rows = await sums.getAll()
        return {
          byName: Object.fromEntries(rows.map((row) => [row.name, { row }])),
          last: rows.at(-1),
          at: new Date(5),
          bytes: new Uint8Array([1]),
          count: rows.length,
        }
      })
      const stop = live.subscribe(() => {})
      await expect.poll(() => live.getSnapshot(), soon).toMatchObject({ status: 'ready', data: { count: 2 } })
      const before = live.getSnapshot().data
      await add(store, 'c', 1)
      await expect.poll(() => live.getSnapshot(), soon).toMatchObject({ data: { count: 3 } })
      const after = live.getSnapshot().data
      expect(after?.byName['a']).toBe(before?.byName['a'])
      expect(after?.byName['b']?.row).toBe(before?.last)
      expect([after?.at, after?.bytes]).toEqual([before?.at, before?.bytes])
      expect(after?.at).toBe(before?.at)
      expect(after?.bytes).toBe(before?.bytes)
      expect([
        Object.isFrozen(after),
        Object.isFrozen(after?.byName),
        Object.isFrozen(after?.byName['c']?.row),
      ]).toEqual([true, true, true])
      // A reader's own rows are the reader's.
      expect(Object.isFrozen(await view.sums.get('a'))).toBe(false)
      stop()
      await close()
    })

    test('readers inside a query have no live methods', async () => {
      const { view, close } = await opened()
      expect(
        await view.live(({ sums }) => Object.keys(sums).filter((name) => name.startsWith('live'))).ready(),
      ).toEqual([])
      await close()
    })

    test('ready resolves without a subscriber, as one promise until the next change', async () => {
      const { store, view, close } = await opened()
      const live = view.sums.liveRow('a')
      const first = live.ready()
      expect(live.ready()).toBe(first)
      expect(await first).toMatchObject({ name: 'a', total: 4 })
      expect(live.ready()).toBe(first)
      expect(live.getSnapshot()).toMatchObject({ status: 'ready', stale: false })
      await add(store, 'a', 6)
      await expect.poll(() => live.getSnapshot(), soon).toMatchObject({ stale: true, data: { total: 4 } })
      const second = live.ready()
      expect(second).not.toBe(first)
      expect(await second).toMatchObject({ total: 10 })
      await close()
      await expect(live.ready()).rejects.toMatchObject({ code: 'closed' })
    })

    test('after an error ready is a new try, and nothing runs between', async () => {
      const { clock, view, close } = await opened()
      let runs = 0
      const live = view.live(async ({ sums }) => {
        runs += 1
        if (runs < 3) throw new Error('no')
        return sums.count()
      })
      await expect(live.ready()).rejects.toMatchObject({ message: 'no' })
      await clock.advance(100_000)
      expect(runs).toBe(1)
      await expect(live.ready()).rejects.toMatchObject({ message: 'no' })
      expect(await live.ready()).toBe(2)
      expect(runs).toBe(3)
      await close()
    })
  })
}
