/** The one tap of a store: everything is told, with counts and times, and nothing of it costs what is observed. */
import { afterEach, describe, expect, test, vi } from 'vitest'
import {
  defineCommand,
  defineEvents,
  defineProjection,
  execute,
  exportEvents,
  importEvents,
  openReadModel,
  refuse,
  runProjection,
  table,
  type StoreReport,
  type TidemarkStore,
} from 'tidemark'
import { editRecord } from '../support/raw-database.js'

type Event = { type: 'Added'; data: { n: number; secret: string } }
const events = defineEvents<Event>()
const added = (n: number) => events.Added({ n, secret: 'hidden' })
const sums = defineProjection(events, {
  name: 'sums',
  tables: { sums: table<{ id: string; total: number }>({ key: 'id' }) },
  on: {
    Added: async ({ stream, data }, { sums }) => {
      await sums.update(stream, (row) => ({ id: stream, total: (row?.total ?? 0) + data.n }))
    },
  },
})
const add = (n: number) =>
  defineCommand(events, {
    streams: ['a'],
    initial: 0,
    evolve: (count) => count + 1,
    decide: (count) => (count > 2 ? refuse('full') : [{ stream: 'a', ...added(n) }]),
  })

export interface ObservedBackend {
  readonly name: string
  /** Records can be edited by hand. */
  readonly onDevice: boolean
  open(name: string, options: object): Promise<TidemarkStore<Event>>
}

export function observeContract({ name: backend, onDevice, open }: ObservedBackend): void {
  let count = 0
  const stores: TidemarkStore<Event>[] = []
  const opened = async () => {
    const store = await open(`observe-${(count += 1)}-${Math.random()}`, { events, durability: 'relaxed' })
    stores.push(store)
    return store
  }
  /** A store, and what it tells from here on. */
  const observed = async () => {
    const store = await opened()
    const reports: StoreReport[] = []
    const stop = store.observe((report) => reports.push(report))
    await Promise.resolve()
    await Promise.resolve()
    return { store, reports, stop, types: () => reports.map(({ type }) => type) }
  }
  afterEach(async () => {
    vi.restoreAllMocks()
    for (const store of stores.splice(0)) await store.close()
  })

  describe(`observing a store: ${backend}`, () => {
    test('the first report is of its opening', async () => {
      const before = performance.now()
      const { store, reports } = await observed()
      expect(reports).toEqual([
        {
          type: 'opened',
          name: store.name,
          time: expect.any(Number),
          start: expect.any(Number),
          duration: expect.any(Number),
        },
      ])
      const [{ start, duration }] = reports as [StoreReport]
      expect(start).toBeGreaterThanOrEqual(before)
      expect(start + duration).toBeLessThanOrEqual(performance.now())
    })

    test('appends: counts, places and times, in both forms and as imports', async () => {
      const { store, reports } = await observed()
      const first = added(1)
      const before = performance.now()
      await store.append('a', [first, added(2)])
      const after = performance.now()
      await store.append([
        { stream: 'b', events: [added(3)] },
        { stream: 'c', events: [], expectedVersion: 0 },
      ])
      await store.append('a', [first])
      const characters = JSON.stringify({ n: 1, secret: 'hidden' }).length
      const rest = { time: expect.any(Number), start: expect.any(Number), duration: expect.any(Number) }
      expect(reports.slice(1)).toEqual([
        {
          type: 'appended',
          position: 2,
          firstPosition: 1,
          duplicate: false,
          events: 2,
          characters: 2 * characters,
          streams: ['a'],
          ...rest,
        },
        {
          type: 'appended',
          position: 3,
          firstPosition: 3,
          duplicate: false,
          events: 1,
          characters,
          streams: ['b', 'c'],
          ...rest,
        },
        {
          type: 'appended',
          position: 1,
          firstPosition: 1,
          duplicate: true,
          events: 1,
          characters,
          streams: ['a'],
          ...rest,
        },
      ])
      const { start, duration } = reports[1] as StoreReport
      expect(start).toBeGreaterThanOrEqual(before)
      expect(start + duration).toBeLessThanOrEqual(after)
      const copy = await observed()
      await importEvents(copy.store, exportEvents(store))
      expect(copy.reports.filter(({ type }) => type === 'appended')).toMatchObject([{ events: 3, position: 3 }])
    })

    test('appends that are refused, before the storage and by it, with the error that the caller gets', async () => {
      const { store, reports, types } = await observed()
      await store.append('a', added(1))
      const refused = [
        () => store.append('a', added(2), { expectedVersion: 7 }),
        () => store.append('a', { type: 'Added' } as never),
        () => store.append('a', added(2), { durabilty: 'strict' } as never),
      ]
      for (const append of refused) {
        const error = await append().catch((error: unknown) => error)
        expect(reports.at(-1)).toMatchObject({ type: 'append-failed' })
        expect((reports.at(-1) as { error?: unknown }).error).toBe(error)
      }
      expect(types()).toEqual(['opened', 'appended', 'append-failed', 'append-failed', 'append-failed'])
    })

    test('commands: accepted, refused and failed', async () => {
      const { store, reports } = await observed()
      for (const n of [1, 2, 3]) await execute(store, add(n))
      await execute(store, add(4))
      await execute(store, {
        ...add(5),
        decide: () => {
          throw new Error('no')
        },
      } as never).catch(() => {})
      const executed = reports.filter(({ type }) => type === 'executed')
      expect(executed).toMatchObject([
        ...[1, 2, 3].map(() => ({ outcome: 'accepted', events: 1, attempts: 1 })),
        { outcome: 'refused', events: 0, attempts: 1 },
        { outcome: 'failed', error: { message: 'no' } },
      ])
      // The append of a command lies within it.
      const [whole] = executed as [StoreReport]
      const part = reports.find(({ type }) => type === 'appended') as StoreReport
      expect(part.start).toBeGreaterThanOrEqual(whole.start)
      expect(part.start + part.duration).toBeLessThanOrEqual(whole.start + whole.duration)
    })

    test('projections, by their name, and what views read', async () => {
      const { store, reports } = await observed()
      await store.append('a', [added(1), added(2)])
      await store.append('b', added(5))
      const own: unknown[] = []
      await runProjection(store, sums, { onReport: ({ type }) => own.push(type) })
      const told = reports.filter(({ projection }) => projection === 'sums')
      expect(told.map(({ type }) => type)).toEqual(own)
      expect(told.find(({ type }) => type === 'committed')).toMatchObject({ position: 3, events: 3 })
      for (const { start, duration } of told) expect([start, duration].every((time) => time >= 0)).toBe(true)
      const view = await openReadModel(store, sums)
      const from = reports.length
      await view.sums.getAll()
      await view.sums.get('a')
      await view.sums.get('never')
      expect(reports.slice(from)).toMatchObject([
        { type: 'queried', readModel: 'sums@1', tables: ['sums'], rows: 2 },
        { type: 'queried', rows: 1 },
        { type: 'queried', rows: 0 },
      ])
      await view.close()
    })

    test('reads of the app, page by page; those of projections are told by these', async () => {
      const { store, reports } = await observed()
      await store.append('a', [added(1), added(2)])
      const from = reports.length
      await store.readPage({ limit: 5 })
      for await (const _ of store.read()) void _
      for await (const _ of store.readStream('a')) void _
      for await (const _ of store.read({ direction: 'backwards', limit: 1 })) void _
      for await (const _ of store.follow()) break
      const read = reports.slice(from).filter(({ type }) => type === 'read')
      expect(read).toHaveLength(reports.length - from)
      expect(read.map((report) => (report as { events?: number }).events).filter((count) => count !== 0)).toEqual([
        2, 2, 2, 1, 2,
      ])
    })

    test.runIf(onDevice)('a read that fails', async () => {
      const { store, reports } = await observed()
      await store.append('a', added(1))
      await editRecord(store.name, 1, (record) => ({ ...record, events: 'no JSON' }))
      const failed = store.readPage({ limit: 5 })
      await expect(failed).rejects.toMatchObject({ code: 'event-unreadable' })
      const error = await failed.catch((error: unknown) => error)
      expect(reports.at(-1)).toMatchObject({ type: 'storage-failed', what: 'reading' })
      expect((reports.at(-1) as { error?: unknown }).error).toBe(error)
      const back = async () => {
        for await (const _ of store.readStream('a', { direction: 'backwards' })) void _
      }
      await expect(back()).rejects.toMatchObject({ code: 'event-unreadable' })
      expect(reports.at(-1)).toMatchObject({ type: 'storage-failed', what: 'reading' })
    })

    test('no report holds the data of an event', async () => {
      const { store, reports } = await observed()
      await store.append('a', added(1))
      await execute(store, add(2))
      await runProjection(store, sums)
      for await (const _ of store.read()) void _
      expect(reports.length).toBeGreaterThan(6)
      expect(JSON.stringify(reports)).not.toContain('hidden')
    })

    test('a listener that throws harms nothing, and is reported once', async () => {
      const { store, reports } = await observed()
      const console_ = vi.spyOn(console, 'error').mockImplementation(() => {})
      const page = vi.fn()
      vi.stubGlobal('reportError', page)
      try {
        store.observe(() => {
          throw new Error('of a listener')
        })
        expect(await store.append('a', added(1))).toMatchObject({ position: 1 })
        await runProjection(store, sums)
        expect(page.mock.calls).toEqual([[expect.objectContaining({ message: 'of a listener' })]])
        expect(console_).not.toHaveBeenCalled()
        expect(reports.map(({ type }) => type)).toContain('appended')
      } finally {
        vi.unstubAllGlobals()
      }
    })

    // On memory: a simulated IndexedDB asks the same clock.
    test.runIf(!onDevice)('a clock that throws while a report is made harms nothing', async () => {
      const { store } = await observed()
      await store.append('a', added(1))
      const page = vi.fn()
      vi.stubGlobal('reportError', page)
      try {
        vi.spyOn(Date, 'now').mockImplementation(() => {
          throw new Error('no time')
        })
        expect((await store.readPage({ limit: 1 })).events).toHaveLength(1)
        expect(page.mock.calls).toEqual([[expect.objectContaining({ message: 'no time' })]])
      } finally {
        vi.unstubAllGlobals()
        vi.restoreAllMocks()
      }
    })

    test('after stop, and once the store is closed, nothing is told; another listener still is', async () => {
      const { store, reports, stop } = await observed()
      const others: StoreReport[] = []
      const early = store.observe((report) => others.push(report))
      early()
      const stopSecond = store.observe((report) => others.push(report))
      stop()
      stop()
      const before = reports.length
      await store.append('a', added(1))
      expect(reports).toHaveLength(before)
      expect(others.map(({ type }) => type)).toEqual(['opened', 'appended'])
      await store.close()
      expect(() => store.observe(() => {})).toThrow(expect.objectContaining({ code: 'closed' }))
      stopSecond()
      expect(others).toHaveLength(2)
    })

    test.for([undefined, null, {}, 'all'])('%o is no listener', async (listener) => {
      const store = await opened()
      expect(() => store.observe(listener as never)).toThrow(expect.objectContaining({ code: 'invalid-argument' }))
    })
  })
}
