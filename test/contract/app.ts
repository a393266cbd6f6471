/** `tidemark()`: what an app does on every backend. */
import { describe, expect, test, vi } from 'vitest'
import {
  defineCommand,
  defineEvents,
  defineProjection,
  deleteEventStore,
  deleteReadModel,
  exportEvents,
  openEventStore,
  refuse,
  startProjection,
  StorageBusyError,
  StorageUnavailableError,
  table,
  tidemark,
  UnsupportedFormatError,
  type AppOptions,
  type EventStoreOptions,
  type LiveQuery,
  type TidemarkStore,
} from 'tidemark'
import { virtualClock } from 'tidemark/testing'
import { show } from '../../src/bindings/shown.js'
import { systemClock, type Clock } from '../../src/platform/clock.js'
import { heldClock } from '../support/held-clock.js'

type ShopEvent =
  | { type: 'ItemAdded'; data: { sku: string; quantity: number } }
  | { type: 'OrderPlaced'; data: { total: number } }
  | { type: 'Noticed'; data: null }
interface Line {
  readonly sku: string
  readonly quantity: number
}

const events = defineEvents<ShopEvent>()
const add = (sku: string, quantity = 1) => events.ItemAdded({ sku, quantity })
const tables = { lines: table<Line>()({ key: 'sku', indexes: { byQuantity: 'quantity' } }) }

/** Its handler fails for one item. */
const makeBaskets = () =>
  defineProjection(events, {
    name: 'baskets',
    tables,
    on: {
      ItemAdded: async ({ data: { sku, quantity } }, { lines }) => {
        if (sku === 'bad') throw new TypeError(`no ${sku}`)
        await lines.update(sku, (line) => ({ sku, quantity: (line?.quantity ?? 0) + quantity }))
      },
    },
  })
const baskets = makeBaskets()
/** The same name, and another handler. */
const otherBaskets = defineProjection(events, {
  name: 'baskets',
  tables,
  on: {
    ItemAdded: ({ data: { sku, quantity } }, { lines }) => lines.put({ sku, quantity: quantity * 2 }),
  },
})
const orders = defineProjection(events, {
  name: 'orders',
  tables: { totals: table<{ id: string; sum: number }>({ key: 'id' }) },
  on: { OrderPlaced: ({ data, stream }, { totals }) => totals.put({ id: stream, sum: data.total }) },
})
const place = defineCommand(events, (stream: string, total: number) => ({
  streams: [stream],
  initial: 0,
  evolve: (count) => count + 1,
  decide: (count) => (count === 0 ? refuse('empty') : [{ stream, type: 'OrderPlaced', data: { total } }]),
}))

/** Where a suite gets its stores from. */
export interface AppBackend {
  readonly name: string
  /** Absent: the default of `tidemark()`. */
  readonly open?: (options: EventStoreOptions<ShopEvent>) => Promise<TidemarkStore<ShopEvent>>
  /** Whether a second store of a name sees the first one's events. */
  readonly shared: boolean
}

let made = 0
const newName = () => `app-${(made += 1)}-${Math.random()}`
const soon = { timeout: 25_000 }
/** Where each look lets virtual time pass: the engine works in real time, and must not be late for every deadline. */
const passing = { ...soon, interval: 50 }
/** With as much time as a busy machine may need. */
const shown = { until: 'visible', ...soon } as const
const nothing = () => {}
/** Turns of the event loop in which nothing of an app may begin. */
const settled = async () => {
  for (let round = 0; round < 20; round += 1) await new Promise<void>((resolve) => setTimeout(resolve, 0))
}

export function appContract({ name: backendName, open, shared }: AppBackend): void {
  const opener = open ?? openEventStore
  type Options = Omit<AppOptions<ShopEvent>, 'events' | 'models' | 'name'> & {
    readonly name?: AppOptions<ShopEvent>['name']
  }
  const make = (options: Options = {}, models = { baskets, orders }) =>
    tidemark({ name: newName(), events, models, durability: 'relaxed', ...(open && { open }), ...options })
  /** Counts openings. */
  const counted = (fails?: () => unknown) => {
    const names: string[] = []
    return {
      names,
      open: async (options: EventStoreOptions<ShopEvent>) => {
        names.push(options.name)
        const error = fails?.()
        if (error !== undefined) throw error
        return opener(options)
      },
    }
  }
  const ready = async <V>(live: LiveQuery<V>, data: unknown) =>
    expect.poll(() => live.getSnapshot(), soon).toMatchObject({ status: 'ready', data, stale: false })

  describe(`an app: ${backendName}`, () => {
    test('appends, executes, reads, and shows its rows live', async () => {
      const shop = make()
      const all = shop.baskets.lines.live({ index: 'byQuantity', direction: 'prev' })
      const one = shop.baskets.lines.liveRow('A1')
      const count = shop.baskets.lines.liveCount()
      const both = shop.baskets.live(async ({ lines }) => ({ all: await lines.count(), one: await lines.get('A1') }))
      const lives: LiveQuery<unknown>[] = [all, one, count, both]
      const stops = lives.map((live) => live.subscribe(nothing))
      expect(await shop.append('basket-1', add('A1', 2))).toMatchObject({ position: 1, duplicate: false })
      expect(await shop.append([{ stream: 'basket-1', events: [add('tea', 5)] }])).not.toHaveProperty('visible')
      await ready(all, [
        { sku: 'tea', quantity: 5 },
        { sku: 'A1', quantity: 2 },
      ])
      await ready(one, { sku: 'A1', quantity: 2 })
      await ready(count, 2)
      await ready(both, { all: 2, one: { sku: 'A1', quantity: 2 } })
      expect(await shop.execute(place('basket-1', 4200))).toMatchObject({ type: 'accepted', position: 3 })
      expect(await shop.execute(place('basket-2', 4200))).toMatchObject({ type: 'refused', reason: 'empty' })
      expect(await shop.head()).toBe(3)
      const types: string[] = []
      for await (const event of shop.read({ after: 1 })) types.push(event.type)
      for await (const event of shop.readStream('basket-1', { limit: 1 })) types.push(event.type)
      expect(types).toEqual(['ItemAdded', 'OrderPlaced', 'ItemAdded'])
      await shop.orders.caughtUp(3)
      expect(await shop.models.orders.totals.getAll()).toEqual([{ id: 'basket-1', sum: 4200 }])
      expect(await shop.orders.position()).toBe(3)
      for (const stop of stops) stop()
      await shop.close()
    })

    test('a codec stands between the store and what is stored; the app reads what it wrote', async () => {
      const codec = {
        encode: (data: unknown, { type, id }: { type: string; id: string }) => ({
          sealed: [type, id, JSON.stringify(data)],
        }),
        decode(stored: unknown, { type, id }: { type: string; id: string }) {
          const [ofType, ofId, text] = (stored as { sealed: string[] }).sealed
          if (ofType !== type || ofId !== id) throw new Error('of another event')
          return JSON.parse(text!) as unknown
        },
      }
      const app = make({ codec })
      await app.append('basket-1', add('A1', 2), { until: 'visible' })
      expect(await app.baskets.lines.getAll()).toEqual([{ sku: 'A1', quantity: 2 }])
      const stored: unknown[] = []
      for await (const line of exportEvents(await app.ready())) stored.push(JSON.parse(line))
      expect(stored[1]).toMatchObject({
        data: { '~': { sealed: ['ItemAdded', expect.any(String), '{"sku":"A1","quantity":2}'] } },
      })
      await app.close()
      for (const wrong of [null, {}, { encode: codec.encode }, 'aes'])
        expect(() => make({ codec: wrong as never })).toThrow(/codec must have the functions/)
    })

    test('reading comes first, and opens as well', async () => {
      const shop = make()
      const types: string[] = []
      for await (const event of shop.read()) types.push(event.type)
      expect(types).toEqual([])
      expect(await shop.baskets.lines.get('A1')).toBeUndefined()
      await shop.close()
    })

    test('nothing starts before the first use: not at import, not for snapshots', async () => {
      const opens = counted()
      const shop = make({ open: opens.open })
      const live = shop.baskets.lines.live()
      expect(live.getSnapshot()).toMatchObject({ status: 'loading', stale: false })
      expect(live.getSnapshot()).toBe(live.getServerSnapshot())
      expect(shop.status.getSnapshot()).toBe(shop.status.getServerSnapshot())
      expect(shop.status.getSnapshot()).toMatchObject({ phase: 'idle', behind: 0 })
      expect(shop.baskets.status.getSnapshot()).toMatchObject({ phase: 'starting', position: 0 })
      await settled()
      expect(opens.names).toEqual([])
      await shop.close()
      expect(opens.names).toEqual([])
    })

    test.for<[string, (shop: ReturnType<typeof make>) => unknown]>([
      ['a live query', (shop) => shop.baskets.lines.live().subscribe(nothing)],
      ['a status', (shop) => shop.status.subscribe(nothing)],
      ['the status of a model', (shop) => shop.orders.status.subscribe(nothing)],
      ['an append', (shop) => shop.append('s', events.Noticed(null))],
      ['ready()', (shop) => shop.ready()],
      ['a promise of a live query', (shop) => shop.baskets.lines.live().ready()],
      ['a control', (shop) => shop.baskets.resume()],
    ])('%s opens the store, once, and starts every projection', async ([, use]) => {
      const opens = counted()
      const shop = make({ open: opens.open })
      use(shop)
      const stop = shop.status.subscribe(nothing)
      await expect
        .poll(() => shop.status.getSnapshot(), soon)
        .toMatchObject({
          phase: 'live',
          models: { baskets: { phase: 'live', leader: true }, orders: { phase: 'live', leader: true } },
        })
      expect(opens.names).toHaveLength(1)
      stop()
      await shop.close()
      expect(shop.status.getSnapshot()).toMatchObject({ phase: 'closed' })
    })

    test('equal options are one live query, before the store is open and after', async () => {
      const shop = make()
      const { lines } = shop.baskets
      const query = async () => 1
      const before = [
        lines.live({ limit: 3 }),
        lines.liveRow('A1'),
        lines.liveCount(),
        shop.baskets.live(['k', 1], query),
      ]
      await shop.ready()
      const after = [
        lines.live({ limit: 3, direction: 'next' }),
        lines.liveRow('A1'),
        lines.liveCount({}),
        shop.baskets.live(['k', 1], query),
      ]
      after.forEach((live, at) => expect(live).toBe(before[at]))
      expect(lines.live({ limit: 4 })).not.toBe(before[0])
      expect(shop.baskets.live(['k', 2], query)).not.toBe(before[3])
      expect(shop.baskets.live(query)).not.toBe(shop.baskets.live(query))
      await shop.close()
    })

    test('bad options of a live query are refused where it is made, although the store is not open', async () => {
      const shop = make()
      expect(() => shop.baskets.lines.live({ limit: -1 })).toThrow(
        expect.objectContaining({ code: 'invalid-argument' }),
      )
      // @ts-expect-error there is no such index
      expect(() => shop.baskets.lines.live({ index: 'byName' })).toThrow(
        expect.objectContaining({ code: 'invalid-argument' }),
      )
      expect(() => shop.baskets.live('x' as never)).toThrow(expect.objectContaining({ code: 'invalid-argument' }))
      await shop.close()
    })

    test('ready() of a live query is one promise while the store opens, and runs without a subscriber', async () => {
      const shop = make()
      const live = shop.baskets.lines.liveCount()
      const promise = live.ready()
      expect(live.ready()).toBe(promise)
      expect(await promise).toBe(0)
      expect(live.getSnapshot()).toMatchObject({ status: 'ready', data: 0 })
      await shop.close()
    })

    test('ready() resolves with the store once it is open', async () => {
      const shop = make()
      const store = await shop.ready()
      expect(await store.head()).toBe(0)
      expect(await shop.ready()).toBe(store)
      await shop.close()
      await expect(shop.ready()).rejects.toMatchObject({ code: 'closed' })
    })

    describe('opening fails', () => {
      const busy = new StorageBusyError('another tab')

      test('the call that asked rejects, and the next one is a try immediately', async () => {
        const errors: unknown[] = []
        let failures = 2
        const opens = counted(() => ((failures -= 1) >= 0 ? busy : undefined))
        const shop = make({ open: opens.open, onError: (error) => errors.push(error) })
        await expect(shop.append('s', add('A1'))).rejects.toBe(busy)
        expect(shop.status.getSnapshot()).toMatchObject({ phase: 'failed', error: busy })
        expect(shop.baskets.lines.live().getSnapshot()).toMatchObject({ status: 'error', error: busy })
        await expect(shop.baskets.lines.count()).rejects.toBe(busy)
        expect(await shop.append('s', add('A1'))).toMatchObject({ position: 1 })
        expect(opens.names).toHaveLength(3)
        // A promise carried each of them.
        expect(errors).toEqual([])
        await shop.close()
      })

      test('while something is subscribed, tries follow after 1, 2, … 30 s; onError hears of it once', async () => {
        const errors: unknown[] = []
        const clock = virtualClock()
        const at: number[] = []
        let fails = true
        const shop = make({
          clock,
          onError: (error) => errors.push(error),
          open: async (options) => {
            at.push(clock.monotonic())
            if (fails) throw busy
            return opener(options)
          },
        })
        const live = shop.baskets.lines.liveCount()
        const stop = live.subscribe(nothing)
        const second = shop.orders.totals.live().subscribe(nothing)
        await clock.advance(100_000)
        expect(at).toEqual([0, 1_000, 3_000, 7_000, 15_000, 31_000, 61_000, 91_000])
        expect(errors).toEqual([busy])
        expect(live.getSnapshot()).toMatchObject({ status: 'error', error: busy })
        expect(shop.status.getSnapshot()).toMatchObject({ phase: 'failed', error: busy })
        // Another subscription does not disturb the pauses, and nothing is tried without one.
        shop.baskets.lines.live()
        stop()
        second()
        await clock.advance(100_000)
        expect(at).toHaveLength(8)
        fails = false
        const again = live.subscribe(nothing)
        await clock.runUntil(shop.ready())
        await clock.runUntil(live.ready())
        expect(live.getSnapshot()).toMatchObject({ status: 'ready', data: 0 })
        expect(errors).toHaveLength(1)
        again()
        await clock.runUntil(shop.close())
      })

      test.for([new UnsupportedFormatError('newer')])('no try follows by itself after $code', async (error) => {
        const errors: unknown[] = []
        const clock = virtualClock()
        const opens = counted(() => error)
        const shop = make({ clock, open: opens.open, onError: (each) => errors.push(each) })
        const stop = shop.baskets.lines.live().subscribe(nothing)
        await clock.advance(100_000)
        const other = shop.orders.totals.live().subscribe(nothing)
        await clock.advance(100_000)
        expect(opens.names).toHaveLength(1)
        expect(errors).toEqual([error])
        await expect(shop.head()).rejects.toBe(error)
        expect(opens.names).toHaveLength(2)
        stop()
        other()
        await clock.runUntil(shop.close())
      })

      test('each try may throw another error: onError hears of the problem once, and of another problem as well', async () => {
        const errors: unknown[] = []
        const clock = virtualClock()
        const thrown: unknown[] = []
        const shop = make({
          clock,
          onError: (error) => errors.push(error),
          open: async () => {
            // Its text is another one each time.
            const error =
              thrown.length < 8 ? new StorageBusyError(`tab ${thrown.length}`) : new UnsupportedFormatError('newer')
            thrown.push(error)
            throw error
          },
        })
        const stops = [
          shop.baskets.lines.live().subscribe(nothing),
          shop.orders.totals.live().subscribe(nothing),
          shop.status.subscribe(nothing),
        ]
        await clock.advance(100_000)
        expect(thrown).toHaveLength(8)
        expect(errors).toEqual([thrown[0]])
        await clock.advance(100_000)
        expect(thrown).toHaveLength(9)
        expect(errors).toEqual([thrown[0], thrown[8]])
        for (const stop of stops) stop()
        await clock.runUntil(shop.close())
      })

      test('what a promise carries, a subscribed live query shows, and onError does not hear of it', async () => {
        const errors: unknown[] = []
        const clock = virtualClock()
        const shop = make({ clock, open: counted(() => busy).open, onError: (error) => errors.push(error) })
        const appended = shop.append('s', add('A1'))
        const live = shop.baskets.lines.live()
        const stop = live.subscribe(nothing)
        await expect(appended).rejects.toBe(busy)
        await clock.advance(10)
        expect(live.getSnapshot()).toMatchObject({ status: 'error', error: busy })
        expect(errors).toEqual([])
        stop()
        await clock.runUntil(shop.close())
      })

      test('after storage-unavailable nothing is tried by itself, and nothing hangs', async () => {
        const errors: unknown[] = []
        const clock = virtualClock()
        const unavailable = new StorageUnavailableError('no storage')
        const opens = counted(() => unavailable)
        const shop = make({ clock, open: opens.open, onError: (error) => errors.push(error) })
        const live = shop.baskets.lines.live()
        const stops = [live.subscribe(nothing), shop.status.subscribe(nothing)]
        await clock.advance(1_000_000)
        expect(opens.names).toHaveLength(1)
        expect(errors).toEqual([unavailable])
        expect(clock.pending).toBe(0)
        const calls: Promise<unknown>[] = [
          shop.append('s', add('A1'), { until: 'visible' }),
          shop.ready(),
          shop.catchUp(),
          shop.baskets.caughtUp(1),
          live.ready(),
        ]
        for (const call of calls) await expect(call).rejects.toBe(unavailable)
        expect(opens.names).toHaveLength(2)
        for (const stop of stops) stop()
        await clock.runUntil(shop.close())
        expect(clock.pending).toBe(0)
      })

      test('without onError, the console gets it', async () => {
        const said = vi.spyOn(console, 'error').mockImplementation(nothing)
        try {
          const shop = make({ open: counted(() => busy).open })
          const stop = shop.status.subscribe(nothing)
          await expect.poll(() => said.mock.calls, soon).toEqual([[busy]])
          stop()
          await shop.close()
        } finally {
          said.mockRestore()
        }
      })
    })

    describe('onError', () => {
      test('a fault and a failing query are told once each', async () => {
        const errors: unknown[] = []
        const shop = make({ onError: (error) => errors.push(error) })
        const wrong = new RangeError('wrong query')
        const failing = shop.baskets.live(async ({ lines }) => {
          await lines.count()
          throw wrong
        })
        const stops = [failing.subscribe(nothing), failing.subscribe(nothing)]
        await expect.poll(() => errors, soon).toEqual([wrong])
        await shop.append('s', add('bad'))
        await expect.poll(() => errors.length, soon).toBe(2)
        expect(errors[1]).toMatchObject({ code: 'projection-failed', position: 1 })
        expect(shop.status.getSnapshot()).toMatchObject({ phase: 'stalled', model: 'baskets', behind: 1 })
        expect(shop.status.getSnapshot().error).toBe(errors[1])
        await expect.poll(() => shop.orders.status.getSnapshot(), soon).toMatchObject({ phase: 'live' })
        for (const stop of stops) stop()
        await shop.close()
        expect(errors).toHaveLength(2)
      })

      test('a rebuild that was given up is told once, and the status says so until the next one', async () => {
        const errors: unknown[] = []
        let problem: Error | undefined
        const careful = defineProjection(events, {
          name: 'careful',
          tables,
          on: {
            ItemAdded: ({ data }, { lines }) => {
              if (problem !== undefined) throw problem
              return lines.put(data)
            },
          },
        })
        const onError = (error: unknown) => errors.push(error)
        const shop = tidemark({ name: newName(), events, models: { careful }, onError, ...(open && { open }) })
        await shop.append('s', add('A1', 1), shown)
        problem = new TypeError('nothing has no text')
        await expect(shop.careful.rebuild()).rejects.toMatchObject({ code: 'projection-failed', position: 1 })
        await expect
          .poll(() => errors, soon)
          .toMatchObject([{ code: 'projection-failed', position: 1, cause: problem }])
        const said = { phase: 'stalled', model: 'careful', error: errors[0] }
        await expect.poll(() => shop.status.getSnapshot(), soon).toMatchObject(said)
        expect(shop.status.getSnapshot().message).toContain('nothing has no text')
        problem = undefined
        // The rows move all the same.
        expect(await shop.append('s', add('C3', 1), shown)).toMatchObject({ visible: true })
        expect(shop.status.getSnapshot()).toMatchObject(said)
        await shop.careful.rebuild()
        await expect.poll(() => shop.status.getSnapshot(), soon).toMatchObject({ phase: 'live' })
        const { message, lastError, rebuildFault } = shop.careful.status.getSnapshot()
        expect([message, lastError, rebuildFault]).toEqual([undefined, undefined, undefined])
        await shop.close()
        expect(errors).toHaveLength(1)
      })

      test('a query that throws another error in each run is told once, and again after it was ready', async () => {
        const errors: unknown[] = []
        const clock = virtualClock()
        const thrown: unknown[] = []
        let fails = true
        const shop = make({ clock, onError: (error) => errors.push(error) })
        await clock.runUntil(shop.ready())
        const live = shop.baskets.live(async ({ lines }) => {
          const count = await lines.count()
          if (fails) {
            thrown.push(new RangeError(`wrong ${thrown.length}`))
            throw thrown.at(-1)
          }
          return count
        })
        const stop = live.subscribe(nothing)
        /** Lets time pass until that is so: what another thread does takes no virtual time. */
        const until = (isSo: () => boolean) =>
          expect
            .poll(
              async () => {
                await clock.advance(5_000)
                return isSo()
              },
              { ...soon, interval: 1 },
            )
            .toBe(true)
        await until(() => thrown.length >= 4)
        expect(errors).toEqual([thrown[0]])
        fails = false
        await until(() => live.getSnapshot().status === 'ready')
        fails = true
        const before = thrown.length
        await clock.runUntil(shop.append('s', add('A1')))
        await until(() => thrown.length >= before + 3)
        expect(errors).toEqual([thrown[0], thrown[before]])
        stop()
        await clock.runUntil(shop.close())
      })
    })

    describe("until: 'visible'", () => {
      test('the write is in the rows of every model that handles it, and in live queries', async () => {
        // No time passes, so that no wait ends because it took too long.
        const clock = heldClock()
        const shop = make({ clock })
        const live = shop.baskets.lines.live()
        const stop = live.subscribe(nothing)
        const result = await shop.append('basket-1', add('A1', 2), shown)
        expect(result).toMatchObject({ position: 1, visible: true })
        expect(await shop.baskets.lines.get('A1')).toEqual({ sku: 'A1', quantity: 2 })
        expect(live.getSnapshot()).toMatchObject({ status: 'ready', data: [{ sku: 'A1', quantity: 2 }] })
        const executed = await shop.execute(place('basket-1', 7), shown)
        expect(executed).toMatchObject({ type: 'accepted', visible: true })
        expect(await shop.orders.totals.getAll()).toHaveLength(1)
        expect(await shop.execute(place('basket-2', 7), shown)).toEqual({
          type: 'refused',
          reason: 'empty',
          attempts: 1,
        })
        expect(await shop.append('basket-1', add('A1', 2), { until: 'stored' })).not.toHaveProperty('visible')
        expect(await shop.append('basket-1', [], shown)).toMatchObject({ visible: true })
        stop()
        clock.release()
        await shop.close()
      })

      test('every subscribed live query shows the write at once, whatever its kind', async () => {
        const clock = heldClock()
        const shop = make({ clock })
        const { lines } = shop.baskets
        const lives: LiveQuery<unknown>[] = [
          lines.live({ index: 'byQuantity', direction: 'prev', limit: 2 }),
          lines.liveRow('A1'),
          lines.liveCount(),
          lines.livePages({ pageSize: 1 }),
          shop.baskets.live(async (tables) => [await tables.lines.count(), await tables.lines.get('A1')]),
        ]
        const stops = lives.map((live) => live.subscribe(nothing))
        for (let quantity = 1; quantity <= 3; quantity += 1) {
          const row = { sku: 'A1', quantity }
          expect(await shop.append('s', add('A1'), shown)).toMatchObject({ visible: true })
          expect(lives.map((live) => live.getSnapshot().data)).toEqual([
            [row],
            row,
            1,
            { rows: [row], hasMore: false },
            [1, row],
          ])
        }
        for (const stop of stops) stop()
        clock.release()
        await shop.close()
      })

      test('a live query has one second to show it, and one that fails has shown it', async () => {
        const clock = virtualClock()
        const shop = make({ clock, onError: nothing })
        let held: Promise<void> | undefined
        const slow = shop.baskets.live(async ({ lines }) => {
          const count = await lines.count()
          await held
          return count
        })
        const failing = shop.baskets.live(async ({ lines }) => {
          if ((await lines.count()) > 0) throw new RangeError('too many')
        })
        const stops = [slow.subscribe(nothing), failing.subscribe(nothing)]
        await clock.runUntil(slow.ready())
        let release = nothing
        held = new Promise((resolve) => (release = resolve))
        let late: { visible?: boolean } | undefined
        const appended = shop.append('s', add('A1'), { until: 'visible' }).then((result) => (late = result))
        // What is stored takes no virtual time.
        await expect.poll(() => shop.baskets.status.getSnapshot().position, soon).toBe(1)
        await expect.poll(() => failing.getSnapshot().status, soon).toBe('error')
        await settled()
        await clock.advance(999)
        expect(late).toBeUndefined()
        await clock.advance(1)
        await appended
        expect([late?.visible, slow.getSnapshot().data]).toEqual([true, 0])
        release()
        expect(await slow.ready()).toBe(1)
        const before = clock.monotonic()
        expect(await shop.append('s', add('tea'), { until: 'visible' })).toMatchObject({ visible: true })
        expect([slow.getSnapshot().data, clock.monotonic()]).toEqual([2, before])
        for (const stop of stops) stop()
        await clock.runUntil(shop.close())
      })

      test('visible is false, immediately, if a model that handles the write is paused or faulted; others do not count', async () => {
        const shop = make({ onError: nothing })
        await shop.ready()
        await shop.baskets.pause()
        expect(await shop.append('s', add('A1'), { until: 'visible' })).toMatchObject({ position: 1, visible: false })
        expect(await shop.append('s', events.OrderPlaced({ total: 1 }), shown)).toMatchObject({
          visible: true,
        })
        // Nothing handles it.
        expect(await shop.append('s', events.Noticed(null), shown)).toMatchObject({ visible: true })
        await shop.baskets.resume()
        expect(await shop.append('s', add('A1'), shown)).toMatchObject({ visible: true })
        expect(await shop.append('s', add('bad'), { until: 'visible' })).toMatchObject({ visible: false })
        await shop.close()
      })

      test('visible is false after the timeout; waiting never rejects', async () => {
        let release = nothing
        const held = new Promise<void>((resolve) => (release = resolve))
        const slow = defineProjection(events, {
          name: 'slow',
          tables,
          on: { ItemAdded: async () => held },
        })
        const clock = virtualClock()
        const shop = tidemark({ name: newName(), events, models: { slow }, clock, ...(open && { open }) })
        await clock.runUntil(shop.ready())
        // From the moment at which it is stored: while an engine stores, other timers of this clock fire.
        let stored = 0
        shop.observe(({ type }) => type === 'appended' && (stored = clock.monotonic()))
        const waited = () => clock.monotonic() - stored
        const result = await clock.runUntil(shop.append('s', add('A1'), { until: 'visible' }))
        expect(result).toMatchObject({ position: 1, visible: false })
        expect(waited()).toBe(5_000)
        const quick = await clock.runUntil(shop.append('s', add('A1'), { until: 'visible', timeout: 200 }))
        expect(quick).toMatchObject({ position: 2, visible: false })
        expect(waited()).toBe(200)
        release()
        await clock.runUntil(shop.close())
      })

      test('live queries have a second to show it: one that hangs keeps no write from being visible', async () => {
        const clock = virtualClock()
        const shop = make({ clock, onError: nothing })
        await clock.runUntil(shop.ready())
        let runs = 0
        const hanging = shop.baskets.live(async ({ lines }) => {
          await lines.count()
          runs += 1
          return new Promise<never>(nothing)
        })
        const stop = hanging.subscribe(nothing)
        await expect.poll(() => runs, soon).toBe(1)
        const began = clock.monotonic()
        const result = shop.append('s', add('A1'), { until: 'visible' })
        // Time passes only for the second, not while an engine works.
        await expect.poll(() => shop.baskets.status.getSnapshot(), soon).toMatchObject({ phase: 'live', position: 1 })
        for (let turn = 0; turn < 50; turn += 1) await new Promise((resolve) => setTimeout(resolve))
        expect(await clock.runUntil(result)).toMatchObject({ position: 1, visible: true })
        expect(clock.monotonic() - began).toBeGreaterThanOrEqual(1_000)
        expect(clock.monotonic() - began).toBeLessThan(5_000)
        stop()
        await clock.runUntil(shop.close())
      })

      test('bad options are refused before anything is stored', async () => {
        const shop = make()
        const refused = { code: 'invalid-argument' }
        await expect(shop.append('s', add('A1'), { until: 'soon' as never })).rejects.toMatchObject(refused)
        await expect(shop.append('s', add('A1'), { until: 'visible', timeout: -1 })).rejects.toMatchObject(refused)
        await expect(shop.append('s', add('A1'), { untill: 'visible' } as never)).rejects.toMatchObject(refused)
        for (const budget of [{ maxtime: 20_000 }, { maxTime: -1 }, { maxEvents: 0.5 }, null])
          await expect(shop.catchUp({ budget } as never)).rejects.toMatchObject(refused)
        expect(await shop.head()).toBe(0)
        await shop.close()
      })
    })

    test('one model with definition-changed stops no other', async () => {
      if (!shared) return
      const name = newName()
      const before = make({ name })
      await before.append('s', add('A1'), shown)
      await before.close()
      const changed = defineProjection(events, {
        name: 'baskets',
        tables: { lines: table<Line>()({ key: 'sku', indexes: { byQuantity: 'quantity', bySku: 'sku' } }) },
        on: { ItemAdded: nothing },
      })
      const errors: unknown[] = []
      const shop = tidemark({
        name,
        events,
        models: { baskets: changed, orders },
        onError: (error) => errors.push(error),
        ...(open && { open }),
      })
      const live = shop.baskets.lines.live()
      const stop = live.subscribe(nothing)
      expect(await shop.ready()).toMatchObject({ name })
      const stored = await shop.append('s', events.OrderPlaced({ total: 3 }), shown)
      expect(stored).toMatchObject({ visible: true })
      expect(await shop.orders.totals.count()).toBe(1)
      await expect(shop.baskets.lines.count()).rejects.toMatchObject({ code: 'definition-changed' })
      await expect.poll(() => live.getSnapshot(), soon).toMatchObject({ error: { code: 'definition-changed' } })
      await expect.poll(() => shop.status.getSnapshot(), soon).toMatchObject({ phase: 'stalled', model: 'baskets' })
      // The run and the view each meet it, and say it once together.
      expect(errors).toMatchObject([{ code: 'definition-changed' }])
      stop()
      await shop.close()
    })

    test('with a model at definition-changed, the store can be had, to export its events and to delete the rows', async () => {
      if (!shared) return
      const name = newName()
      const before = make({ name })
      await before.append('s', add('A1', 2), shown)
      await before.close()
      // One more event type, under the same version.
      const changed = defineProjection(events, {
        name: 'baskets',
        tables,
        on: { ItemAdded: ({ data }, { lines }) => lines.put(data), OrderPlaced: nothing },
      })
      const afterEdit = (onError = nothing) =>
        tidemark({ name, events, models: { baskets: changed, orders }, onError, ...(open && { open }) })
      const shop = afterEdit()
      const live = shop.baskets.lines.live()
      const stop = live.subscribe(nothing)
      await expect.poll(() => live.getSnapshot(), soon).toMatchObject({ error: { code: 'definition-changed' } })
      const lines: string[] = []
      for await (const line of exportEvents(await shop.ready())) lines.push(line)
      expect(lines.join()).toContain('A1')
      await deleteReadModel(await shop.ready(), changed)
      stop()
      await shop.close()
      // The page is loaded again.
      const errors: unknown[] = []
      const again = afterEdit((error?: unknown) => errors.push(error))
      expect(await again.append('s', add('rye'), shown)).toMatchObject({ visible: true })
      expect(await again.baskets.lines.count()).toBe(2)
      expect(again.status.getSnapshot()).toMatchObject({ phase: 'live' })
      expect(errors).toEqual([])
      await again.close()
    })

    test('close() is final: calls reject, live queries say so, and closing again is no error', async () => {
      const shop = make()
      const live = shop.baskets.lines.live()
      const stop = live.subscribe(nothing)
      await shop.append('s', add('A1'), shown)
      await shop.close()
      await shop.close()
      expect(live.getSnapshot()).toMatchObject({ status: 'error', error: { code: 'closed' } })
      await expect(live.ready()).rejects.toMatchObject({ code: 'closed' })
      await expect(shop.append('s', add('A1'))).rejects.toMatchObject({ code: 'closed' })
      await expect(shop.baskets.caughtUp(1)).rejects.toMatchObject({ code: 'closed' })
      await expect(shop.reopen()).rejects.toMatchObject({ code: 'closed' })
      expect(shop.baskets.status.getSnapshot()).toMatchObject({ phase: 'stopped' })
      expect(shop.status.getSnapshot().models.baskets).toBe(shop.baskets.status.getSnapshot())
      expect(() => shop.baskets.lines.live().subscribe(nothing)()).not.toThrow()
      stop()
    })

    test('reopen() shows no row of the former user, reads name() again, and keeps subscriptions', async () => {
      let user = 'ann'
      const suffix = newName()
      const opens = counted()
      const shop = make({ name: () => `${suffix}-${user}`, open: opens.open })
      const live = shop.baskets.lines.live()
      const seen: unknown[] = []
      const stop = live.subscribe(() => seen.push(live.getSnapshot().data))
      await shop.append('s', add('ann'), shown)
      await ready(live, [{ sku: 'ann', quantity: 1 }])
      user = 'bob'
      const reopened = shop.reopen()
      expect(live.getSnapshot()).toEqual(live.getServerSnapshot())
      expect(seen.at(-1)).toBeUndefined()
      expect(shop.baskets.status.getSnapshot()).toMatchObject({ phase: 'starting', position: 0 })
      expect(shop.status.getSnapshot()).toMatchObject({ phase: 'opening' })
      const store = await reopened
      expect(store.name).toBe(`${suffix}-bob`)
      await ready(live, [])
      await shop.append('s', add('bob'), shown)
      await ready(live, [{ sku: 'bob', quantity: 1 }])
      expect(opens.names).toEqual([`${suffix}-ann`, `${suffix}-bob`])
      expect(shop.baskets.lines.live()).toBe(live)
      stop()
      await shop.close()
    })

    test('a list that grows is there before the store is, grows once there is more, and outlives reopen()', async () => {
      let user = 'ann'
      const suffix = newName()
      const opens = counted()
      const shop = make({ name: () => `${suffix}-${user}`, open: opens.open })
      const list = shop.baskets.lines.livePages({ pageSize: 2 })
      // Nothing is known to be there yet, and so there is nothing to show more of.
      list.more()
      await settled()
      expect([opens.names, list.getSnapshot()]).toEqual([[], list.getServerSnapshot()])
      const stop = list.subscribe(nothing)
      const shows = (skus: string, hasMore: boolean) =>
        ready(list, { rows: [...skus].map((sku) => ({ sku, quantity: 1 })), hasMore })
      await shop.append(
        's',
        [...'abcde'].map((sku) => add(sku)),
        shown,
      )
      await shows('ab', true)
      list.more()
      await shows('abcd', true)
      user = 'bob'
      await shop.reopen()
      await shows('', false)
      await shop.append(
        's',
        [...'uvwxyz'].map((sku) => add(sku)),
        shown,
      )
      await shows('uvwx', true)
      list.more()
      await shows('uvwxyz', false)
      expect(shop.baskets.lines.livePages({ pageSize: 2, direction: 'next' })).toBe(list)
      stop()
      await shop.close()
    })

    test('what was called before reopen() is stored for the former user', async () => {
      let user = 'ann'
      const suffix = newName()
      const stores = new Map<string, TidemarkStore<ShopEvent>>()
      const shop = make({
        name: () => `${suffix}-${user}`,
        open: async (options) => {
          const store = await opener(options)
          stores.set(options.name, store)
          return store
        },
      })
      const appended = shop.append('s', add('ann'))
      user = 'bob'
      await shop.reopen()
      expect(await appended).toMatchObject({ position: 1 })
      expect(await shop.head()).toBe(0)
      expect([...stores.keys()]).toEqual([`${suffix}-ann`, `${suffix}-bob`])
      await shop.close()
    })

    test('a promise of a live query that is asked for after reopen() is not that of the former user', async () => {
      let user = 'ann'
      const suffix = newName()
      const shop = make({ name: () => `${suffix}-${user}` })
      const live = shop.baskets.lines.liveCount()
      // The store of the former user is being opened.
      const former = live.ready().catch((error: unknown) => error)
      user = 'bob'
      const reopened = shop.reopen()
      expect(await live.ready()).toBe(0)
      await reopened
      await former
      await shop.close()
    })

    test('ready() that is overtaken by reopen() resolves with the store that is open in the end', async () => {
      let user = 'ann'
      const suffix = newName()
      const shop = make({ name: () => `${suffix}-${user}` })
      const ready = shop.ready()
      user = 'bob'
      const reopened = shop.reopen()
      expect((await ready).name).toBe(`${suffix}-bob`)
      expect(await ready).toBe(await reopened)
      await shop.close()
    })

    test('of two reopenings at once, both resolve with the store that is open in the end', async () => {
      let user = 'ann'
      const suffix = newName()
      const shop = make({ name: () => `${suffix}-${user}` })
      await shop.ready()
      user = 'bob'
      const first = shop.reopen()
      user = 'cy'
      const second = shop.reopen()
      const [one, other] = await Promise.all([first, second])
      expect(one).toBe(other)
      expect([one.name, await one.head()]).toEqual([`${suffix}-cy`, 0])
      const third = shop.reopen().catch((error: unknown) => error)
      await shop.close()
      expect(await third).toMatchObject({ code: 'closed' })
    })

    test('what is appended is what it was at the call, whether the app is open or not', async () => {
      for (const isOpen of [false, true]) {
        const shop = make()
        if (isOpen) await shop.ready()
        const list = [add('A1', 2)]
        const first = shop.append('s', list, shown)
        list.length = 0
        const write = { stream: 's', events: [add('tea', 5)], expectedVersion: 1 }
        const second = shop.append([write], shown)
        Object.assign(write, { events: undefined, expectedVersion: 7 })
        expect(await first).toMatchObject({ position: 1, visible: true })
        expect(await second).toMatchObject({ position: 2, visible: true })
        expect(await shop.baskets.lines.count()).toBe(2)
        await shop.close()
      }
    })

    test("visible is about the events that were given, whatever the caller's list holds meanwhile", async () => {
      const shop = make({ run: false })
      await shop.ready()
      const list = [add('A1', 2)]
      // No context runs the models, however long it waits.
      const appended = shop.append('s', list, { until: 'visible', timeout: 20 })
      list.length = 0
      expect(await appended).toMatchObject({ position: 1, visible: false })
      await shop.close()
    })

    test('what cannot be appended is refused in the same way, whether the app is open or not', async () => {
      const shop = make()
      const cyclic: unknown[] = []
      cyclic.push(cyclic)
      let deep: unknown = 1
      for (let level = 0; level < 100_000; level += 1) deep = [deep]
      const getter = {
        type: 'Noticed',
        get data(): null {
          throw new Error('no')
        },
      }
      for (const bad of [
        undefined,
        null,
        7,
        [null],
        { type: 'Noticed', data: cyclic },
        { type: 'Noticed', data: deep },
        getter,
      ])
        for (const until of ['stored', 'visible'] as const) {
          const closed = make()
          const refused = (of: typeof shop) =>
            of
              .append('s', bad as never, { until })
              .then(nothing, (error: unknown) => ({ ...(error as Error), name: (error as Error).name }))
          await shop.ready()
          const expected = await refused(shop)
          expect(expected).toBeDefined()
          expect(await refused(closed)).toMatchObject(expected as object)
          await closed.close()
        }
      await shop.close()
    })

    test.runIf(shared)(
      'an app of a name whose store was deleted does not share the run of the deleted one',
      async () => {
        const name = newName()
        const [former, later] = [make({ name, onError: nothing }), make({ name })]
        await former.append('s', [add('A1'), add('A1'), add('A1')], shown)
        await deleteEventStore(name)
        expect(await later.append('s', add('tea', 5), shown)).toMatchObject({
          position: 1,
          visible: true,
        })
        expect(await later.baskets.lines.getAll()).toEqual([{ sku: 'tea', quantity: 5 }])
        expect(later.baskets.status.getSnapshot()).toMatchObject({ phase: 'live', position: 1 })
        // The former app lets go of its own run.
        await former.close()
        const third = make({ name })
        expect(await third.append('s', add('tea', 5), shown)).toMatchObject({
          position: 2,
          visible: true,
        })
        await later.close()
        expect(await third.append('s', add('tea', 5), shown)).toMatchObject({
          position: 3,
          visible: true,
        })
        await third.close()
      },
    )

    test('a listener may unsubscribe in its first call', async () => {
      const shop = make()
      let calls = 0
      const of = [shop.status, shop.baskets.status, shop.baskets.lines.liveCount()]
      for (const one of of) {
        const stop: () => void = one.subscribe(() => {
          calls += 1
          stop()
        })
      }
      await expect.poll(() => calls, soon).toBe(3)
      await shop.ready()
      await settled()
      expect(calls).toBe(3)
      await shop.close()
    })

    describe('run: false', () => {
      test('runs nothing; its status says so, its snapshots stay ready, and catchUp() does the work', async () => {
        const clock = virtualClock()
        const shop = make({ run: false, clock })
        const live = shop.baskets.lines.liveCount()
        const stop = live.subscribe(nothing)
        await clock.runUntil(shop.ready())
        await clock.runUntil(shop.append('s', add('A1')))
        /** Lets time pass until the status is so: what another thread does takes no virtual time. */
        const until = (status: object) =>
          expect
            .poll(async () => {
              await clock.advance(1_000)
              return shop.baskets.status.getSnapshot()
            }, passing)
            .toMatchObject(status)
        await until({ phase: 'not-running', behind: 1, leader: false })
        expect(shop.baskets.status.getSnapshot().message).not.toBe('')
        expect(shop.status.getSnapshot()).toMatchObject({ phase: 'stalled' })
        expect(live.getSnapshot()).toMatchObject({ status: 'ready', data: 0, stale: false })
        // Without any time: nothing waits for the timeout.
        expect(await shop.append('s', add('tea'), { until: 'visible' })).toMatchObject({ visible: false })
        await clock.runUntil(shop.catchUp())
        expect(await clock.runUntil(shop.baskets.lines.count())).toBe(2)
        expect(await clock.runUntil(shop.orders.position())).toBe(2)
        await until({ phase: 'standby', behind: 0 })
        await expect
          .poll(async () => {
            await clock.advance(1_000)
            return shop.status.getSnapshot()
          }, passing)
          .toMatchObject({ phase: 'live' })
        stop()
        await clock.runUntil(shop.close())
        expect(clock.pending).toBe(0)
      })

      test('catchUp() keeps to its budget, passes its errors on, and runs the other models nevertheless', async () => {
        const shop = make({ run: false })
        await shop.append('s', [add('A1'), add('bad'), events.OrderPlaced({ total: 1 })])
        const { complete, models } = await shop.catchUp({ budget: { maxEvents: 1 } })
        expect([complete, models.baskets]).toMatchObject([false, { position: 1, applied: 1, reason: 'budget' }])
        expect(await shop.baskets.position()).toBe(1)
        await expect(shop.catchUp()).rejects.toMatchObject({ code: 'projection-failed', position: 2 })
        expect(await shop.orders.position()).toBe(3)
        await expect(shop.catchUp({ bugdet: {} } as never)).rejects.toMatchObject({ code: 'invalid-argument' })
        const aborted = new AbortController()
        aborted.abort()
        const ended = await shop.catchUp({ signal: aborted.signal })
        expect(ended).toMatchObject({ complete: false, models: { orders: { position: 3, reason: 'aborted' } } })
        await shop.close()
      })

      test('where another context runs the models, that is enough', async () => {
        let store: TidemarkStore<ShopEvent> | undefined
        const shop = make({ run: false, open: async (options) => (store = await opener(options)) })
        await shop.ready()
        const handle = startProjection(store as TidemarkStore<ShopEvent>, baskets)
        await shop.append('s', add('A1'), shown)
        const { complete, models } = await shop.catchUp()
        expect([complete, models.baskets]).toMatchObject([true, { position: 1, applied: 0 }])
        await handle.stop()
        await shop.close()
      })
    })

    test('plain projectors run as well, and count for the status', async () => {
      const applied: number[] = []
      const mailer = {
        name: 'mailer',
        apply: (event: { position: number; type: string }) => {
          if (event.type === 'Noticed') throw new TypeError('no mail')
          applied.push(event.position)
        },
      }
      const errors: unknown[] = []
      const shop = make({ projectors: [mailer], onError: (error) => errors.push(error) })
      const stop = shop.status.subscribe(nothing)
      await shop.append('s', add('A1'))
      await expect.poll(() => applied, soon).toEqual([1])
      await shop.append('s', events.Noticed(null))
      await expect.poll(() => shop.status.getSnapshot(), soon).toMatchObject({ phase: 'stalled', model: 'mailer' })
      expect(shop.status.getSnapshot().models).not.toHaveProperty('mailer')
      expect(errors).toHaveLength(1)
      stop()
      await shop.close()
    })

    test('what is not allowed is refused where the app is made', () => {
      const options = { name: 'x', events, models: {} }
      const refused = (change: object) => () => tidemark({ ...options, ...change } as never)
      const cases: object[] = [
        { nmae: 'y' },
        { name: 3 },
        { events: {} },
        { models: { a: {} } },
        { models: 'all' },
        { projectors: [{}] },
        { projectors: [null] },
        { open: 1 },
        { run: 'yes' },
        { onError: {} },
        { projectors: {} },
        { durability: 'fast' },
      ]
      for (const each of cases)
        expect(refused(each), JSON.stringify(each)).toThrow(expect.objectContaining({ code: 'invalid-argument' }))
      for (const reserved of ['append', 'status', 'then', 'sync', 'undo', 'at', 'usage', '$x', ''])
        expect(refused({ models: { [reserved]: baskets } }), reserved).toThrow(
          expect.objectContaining({ code: 'invalid-name' }),
        )
    })

    describe('two apps of one name in one context', () => {
      test('equal models share one run, counted', async () => {
        if (!shared) return
        const name = newName()
        const [one, other] = [make({ name }), make({ name }, { baskets: makeBaskets(), orders })]
        await one.append('s', add('A1'), shown)
        await other.append('s', add('tea'), shown)
        expect(other.baskets.status.getSnapshot()).toBe(one.baskets.status.getSnapshot())
        await one.close()
        expect(await other.append('s', add('rye'), shown)).toMatchObject({ visible: true })
        expect(await other.baskets.lines.count()).toBe(3)
        await other.close()
      })

      test('one that is used while the other closes has a run of its own', async () => {
        if (!shared) return
        const name = newName()
        let begin = () => {}
        const mayBegin = new Promise<void>((resolve) => (begin = resolve))
        let isThere = false
        const one = make({ name })
        const other = make({
          name,
          open: async (options) => {
            const store = await opener(options)
            isThere = true
            await mayBegin
            return store
          },
        })
        await one.append('s', add('A1'), shown)
        const added = other.append('s', add('tea'), shown)
        await expect.poll(() => isThere, soon).toBe(true)
        const closed = one.close()
        begin()
        expect(await added).toMatchObject({ visible: true })
        expect(await other.baskets.lines.count()).toBe(2)
        await closed
        expect(await other.append('s', add('rye'), shown)).toMatchObject({ visible: true })
        await other.close()
      })

      test('others of one name and version are refused, and both are named', async () => {
        if (!shared) return
        const name = newName()
        const errors: unknown[] = []
        const one = make({ name })
        const other = tidemark({
          name,
          events,
          models: { carts: otherBaskets, orders },
          onError: (error) => errors.push(error),
          ...(open && { open }),
        })
        await one.ready()
        expect(await other.ready()).toMatchObject({ name })
        await expect(other.carts.lines.count()).rejects.toMatchObject({ code: 'already-running', projector: 'baskets' })
        await expect(other.carts.lines.count()).rejects.toThrow(/baskets@1.*'baskets'.*'carts'/)
        // What to do first, where it was the dev server that made a second app.
        await expect(other.carts.lines.count()).rejects.toThrow(/'carts'\. If a dev server .*'hot: import\.meta\.hot'/)
        expect(other.carts.status.getSnapshot()).toMatchObject({
          phase: 'faulted',
          lastError: { code: 'already-running' },
        })
        expect(await other.append('s', events.OrderPlaced({ total: 1 }), shown)).toMatchObject({
          visible: true,
        })
        // The run and the view each meet it, and say it once together.
        expect(errors).toMatchObject([{ code: 'already-running' }])
        await other.close()
        await one.close()
      })

      test('catchUp() of one that was refused says why, runs its other models, and works once the other is closed', async () => {
        if (!shared) return
        const name = newName()
        const one = make({ name, run: false })
        const other = make({ name, run: false, onError: nothing }, { baskets: otherBaskets, orders })
        await one.append('s', [add('A1', 2), events.OrderPlaced({ total: 1 })])
        await one.ready()
        // As its reads say it, and not as a projection that was edited.
        await expect(other.catchUp()).rejects.toMatchObject({ code: 'already-running', projector: 'baskets' })
        await expect(other.baskets.lines.count()).rejects.toMatchObject({ code: 'already-running' })
        expect(await other.orders.position()).toBe(2)
        await one.close()
        await other.catchUp()
        expect(await other.baskets.lines.get('A1')).toEqual({ sku: 'A1', quantity: 4 })
        await other.close()
      })

      test('one that was refused works as soon as the other is closed: with the next call', async () => {
        if (!shared) return
        const name = newName()
        const [one, other] = [make({ name }), make({ name, onError: nothing }, { baskets: otherBaskets, orders })]
        await one.append('s', add('A1', 2), shown)
        await expect(other.baskets.lines.count()).rejects.toMatchObject({ code: 'already-running' })
        await one.close()
        expect(await other.baskets.lines.count()).toBe(1)
        // It is run again because of that call, and not only read.
        await expect.poll(() => other.baskets.status.getSnapshot().phase, passing).toBe('live')
        expect(await other.append('s', add('tea', 2), shown)).toMatchObject({ visible: true })
        expect(await other.baskets.lines.get('tea')).toEqual({ sku: 'tea', quantity: 4 })
        // From now on it is the one that runs.
        const third = make({ name, onError: nothing })
        await expect(third.baskets.lines.count()).rejects.toThrow(/'baskets', which came first, and as 'baskets'/)
        await third.close()
        await other.close()
      })

      test('one that was refused and is only written to works as well', async () => {
        if (!shared) return
        const name = newName()
        const [one, other] = [make({ name }), make({ name, onError: nothing }, { baskets: otherBaskets, orders })]
        await one.ready()
        expect(await other.append('s', add('A1', 2), { until: 'visible' })).toMatchObject({ visible: false })
        await one.close()
        expect(await other.append('s', add('tea', 2), shown)).toMatchObject({ visible: true })
        await other.close()
      })

      test('one that was refused works by itself while something is subscribed', async () => {
        if (!shared) return
        const name = newName()
        const clock = virtualClock()
        const errors: unknown[] = []
        const one = make({ name })
        const other = make({ name, clock, onError: (error) => errors.push(error) }, { baskets: otherBaskets, orders })
        await one.append('s', add('A1', 2), shown)
        const live = other.baskets.lines.live()
        const stop = live.subscribe(nothing)
        const shows = (snapshot: object) =>
          expect
            .poll(async () => {
              await clock.advance(1_000)
              return live.getSnapshot()
            }, passing)
            .toMatchObject(snapshot)
        await shows({ status: 'error', error: { code: 'already-running' } })
        await clock.advance(60_000)
        await one.close()
        await shows({ status: 'ready' })
        await clock.runUntil(other.append('s', add('tea', 2), { until: 'visible' }))
        await shows({ status: 'ready', data: [{ sku: 'A1' }, { sku: 'tea', quantity: 4 }] })
        expect(errors).toMatchObject([{ code: 'already-running' }])
        stop()
        await clock.runUntil(other.close())
      })

      test.for([
        [true, false],
        [false, true],
        [false, false],
      ] as const)('with run %s and run %s others are refused, and both are named', async ([first, second]) => {
        if (!shared) return
        const name = newName()
        const one = make({ name, run: first })
        const other = tidemark({
          name,
          events,
          models: { carts: otherBaskets },
          run: second,
          onError: nothing,
          ...(open && { open }),
        })
        await one.ready()
        const refused = other.carts.lines.count()
        await expect(refused).rejects.toMatchObject({ code: 'already-running', projector: 'baskets' })
        await expect(refused).rejects.toThrow(/'baskets'.*'carts'/)
        await one.close()
        expect(await other.carts.lines.count()).toBe(0)
        await other.close()
      })

      test('one that runs and one that does not share no run, and rows', async () => {
        if (!shared) return
        const name = newName()
        const [watching, running] = [make({ name, run: false }), make({ name })]
        await watching.ready()
        expect(await running.append('s', add('A1'), shown)).toMatchObject({ visible: true })
        expect(await watching.baskets.lines.count()).toBe(1)
        expect(watching.baskets.status.getSnapshot()).toMatchObject({ leader: false })
        await running.close()
        await watching.close()
      })

      test('stores in memory are logs of their own', async () => {
        if (shared) return
        const name = newName()
        const [one, other] = [make({ name }), make({ name }, { baskets: otherBaskets, orders })]
        await one.append('s', add('A1'), shown)
        expect(await other.head()).toBe(0)
        await one.close()
        await other.close()
      })
    })

    describe('hot', () => {
      /** The app after an edit. */
      const doubled = (name: string) =>
        tidemark({
          name,
          events,
          models: { baskets: otherBaskets, orders },
          hot: true,
          ...(open && { open }),
        })

      test('newer code takes over: the earlier app ends, and an edited handler folds again behind the rows', async () => {
        if (!shared) return
        const name = newName()
        const before = make({ name, hot: {} })
        await before.append('s', add('A1', 3), shown)
        const live = before.baskets.lines.live()
        const stop = live.subscribe(nothing)
        const after = doubled(name)
        const next = after.baskets.lines.live()
        const stopNext = next.subscribe(nothing)
        await ready(next, [{ sku: 'A1', quantity: 6 }])
        expect(before.status.getSnapshot()).toMatchObject({ phase: 'closed' })
        await expect(before.append('s', add('A1'))).rejects.toMatchObject({ code: 'closed' })
        expect(await after.append('s', add('tea', 1), shown)).toMatchObject({ visible: true })
        await ready(next, [
          { sku: 'A1', quantity: 6 },
          { sku: 'tea', quantity: 2 },
        ])
        stop()
        stopNext()
        await after.close()
      })

      test('rows stay on the screen while newer code takes over, and the error comes to who follows the older one later', async () => {
        if (!shared) return
        const name = newName()
        /** Timers of five seconds, which fire when the test says so. */
        const late: (() => void)[] = []
        const clock: Clock = {
          ...systemClock,
          schedule(ms, callback) {
            if (ms !== 5_000) return systemClock.schedule(ms, callback)
            late.push(callback)
            return () => {}
          },
        }
        const first = make({ name, hot: true, clock })
        await first.append('s', add('A1', 3), shown)
        const rows = [{ sku: 'A1', quantity: 3 }]
        const [kept, rested] = [first.baskets.lines.live(), first.baskets.lines.live({ limit: 1 })]
        const shownOf: unknown[] = []
        const stop = kept.subscribe(() => shownOf.push(kept.getSnapshot()))
        await ready(kept, rows)
        await rested.ready()
        rested.getSnapshot()

        // Two edits, the second one before the first is open: a component shows what it had.
        const isShown = () => {
          expect(component.getSnapshot()).toMatchObject({ status: 'ready', data: rows, stale: true })
          expect(component.getSnapshot().data).toBe(kept.getSnapshot().data)
        }
        let component = show(kept)
        const second = make({ name, hot: true })
        component = show(second.baskets.lines.live(), component)
        const opening = second.ready()
        isShown()
        const third = make({ name, hot: true })
        component = show(third.baskets.lines.live(), component)
        const opened = third.ready()
        isShown()
        await Promise.allSettled([opening, opened])
        expect(first.status.getSnapshot()).toMatchObject({ phase: 'closed' })
        for (const live of [kept, rested])
          expect(live.getSnapshot()).toMatchObject({ status: 'ready', data: rows, stale: true })
        expect(kept.getSnapshot()).toBe(kept.getSnapshot())
        await third.baskets.lines.live().ready()
        expect(shownOf).not.toContainEqual(expect.objectContaining({ data: undefined }))

        for (const callback of late.splice(0)) callback()
        expect(kept.getSnapshot()).toMatchObject({ status: 'error', data: undefined, error: { code: 'closed' } })
        expect(shownOf.at(-1)).toBe(kept.getSnapshot())
        stop()
        // Closed by the app itself, as at a logout, nothing is shown.
        const last = third.baskets.lines.live()
        expect(last.getSnapshot()).toMatchObject({ data: rows })
        await third.close()
        expect(last.getSnapshot()).toMatchObject({ status: 'error', data: undefined, error: { code: 'closed' } })
      })

      test('each query of newer code shows what the same query of the older code showed, until it has its own', async () => {
        if (!shared) return
        const name = newName()
        const queriesOf = ({ baskets: { lines, live } }: ReturnType<typeof make>) => [
          lines.live({ index: 'byQuantity', range: { lower: 2 } }),
          lines.liveRow('A1'),
          lines.liveCount(),
          lines.livePages({ pageSize: 1 }),
          live(['keyed'], (all) => all.lines.getAll()),
          live((all) => all.lines.count()),
          live((all) => all.lines.count()),
        ]
        const snapshots = (queries: readonly LiveQuery<unknown>[]) => queries.map((live) => live.getSnapshot())
        const before = make({ name, hot: true })
        await before.append('s', [add('A1', 3), add('tea')], shown)
        const old = queriesOf(before)
        const stops = old.map((live) => live.subscribe(nothing))
        await Promise.all(old.map((live) => live.ready()))
        await expect.poll(() => snapshots(old).every(({ status }) => status === 'ready'), soon).toBe(true)
        const data = snapshots(old).map((snapshot) => snapshot.data)

        const after = make({ name, hot: true }, { baskets: otherBaskets as typeof baskets, orders })
        const next = queriesOf(after)
        const seen: unknown[] = []
        const isKept = () => {
          expect(snapshots(next)).toMatchObject(data.map((each) => ({ status: 'ready', stale: true, data: each })))
          expect(snapshots(next)).toStrictEqual(snapshots(next))
          for (const [at, snapshot] of snapshots(next).entries()) expect(snapshot).toBe(next[at]?.getSnapshot())
        }
        // Without a use, as in a render, and while it takes over.
        isKept()
        expect(after.status.getSnapshot()).toMatchObject({ phase: 'idle' })
        expect(after.baskets.lines.live().getSnapshot()).toMatchObject({ status: 'loading' })
        for (const live of next) stops.push(live.subscribe(() => seen.push(live.getSnapshot().status)))
        isKept()
        await ready(next[1] as LiveQuery<unknown>, { sku: 'A1', quantity: 6 })
        await expect.poll(() => snapshots(next).every(({ stale }) => !stale), soon).toBe(true)
        expect(seen).toEqual(seen.map(() => 'ready'))
        for (const stop of stops) stop()
        await after.close()
        expect(snapshots(next).map((snapshot) => snapshot.data)).toEqual(data.map(nothing))
      })

      test.for(['reopen', 'close', 'another name'] as const)(
        'after newer code took over, %s shows no row of the former user, of either code',
        async (how) => {
          if (!shared) return
          let user = 'ann'
          const suffix = newName()
          const userName = () => `${suffix}-${user}`
          const before = make({ name: userName, hot: true })
          await before.append('s', add('A1'), shown)
          const old = before.baskets.lines.live()
          let told = 0
          const stops = [old.subscribe(() => (told += 1))]
          await ready(old, [{ sku: 'A1', quantity: 1 }])
          let begin = () => {}
          const mayOpen = new Promise<void>((resolve) => (begin = resolve))
          const after = make({
            name: userName,
            hot: true,
            open: async (options) => {
              const store = await opener(options)
              await mayOpen
              return store
            },
          })
          const next = after.baskets.lines.live()
          let component = show(next, show(old))
          expect(component.getSnapshot()).toMatchObject({ status: 'ready', data: [{ sku: 'A1' }], stale: true })
          if (how === 'another name') user = 'bob'
          stops.push(next.subscribe(nothing))
          if (how !== 'another name') {
            await expect.poll(() => before.status.getSnapshot().phase, soon).toBe('closed')
            expect(next.getSnapshot()).toMatchObject({ status: 'ready', data: [{ sku: 'A1' }], stale: true })
            expect(old.getSnapshot()).toMatchObject({ status: 'ready', data: [{ sku: 'A1' }], stale: true })
            told = 0
            user = 'bob'
            const changing = how === 'reopen' ? after.reopen() : after.close()
            expect([next, old, component].map((each) => each.getSnapshot().data)).toEqual([
              undefined,
              undefined,
              undefined,
            ])
            expect(told).toBe(1)
            begin()
            await changing
          } else {
            expect(next.getSnapshot().status).toBe('loading')
            begin()
          }
          if (how !== 'close') await ready(next, [])
          for (const stop of stops) stop()
          await Promise.all([after.close(), before.close()])
        },
      )

      test('an edit that throws is told, also after a reload, and not once it is corrected', async () => {
        if (!shared) return
        const name = newName()
        const broken = defineProjection(events, {
          name: 'baskets',
          tables,
          on: {
            ItemAdded: ({ data }, { lines }) => {
              if (data.quantity < 100) throw new TypeError('an edit that throws')
              return lines.put(data)
            },
          },
        })
        const edited = (errors: unknown[], models = { baskets: broken as typeof baskets, orders }) =>
          make({ name, hot: true, onError: (error) => errors.push(error) }, models)
        const told: unknown[][] = [[], [], []]
        const before = make({ name, hot: true })
        await before.append('s', add('A1', 3), shown)
        for (const errors of told.slice(0, 2)) {
          const app = edited(errors)
          await app.ready()
          await expect.poll(() => app.status.getSnapshot(), soon).toMatchObject({ phase: 'stalled', model: 'baskets' })
          expect(app.status.getSnapshot().message).toContain('an edit that throws')
          expect(await app.baskets.lines.get('A1')).toEqual({ sku: 'A1', quantity: 3 })
          await app.close()
        }
        const fixed = edited(told[2] as unknown[], { baskets: otherBaskets as typeof baskets, orders })
        await fixed.ready()
        await expect.poll(() => fixed.baskets.lines.get('A1'), soon).toEqual({ sku: 'A1', quantity: 6 })
        await expect.poll(() => fixed.status.getSnapshot(), soon).toMatchObject({ phase: 'live' })
        await fixed.close()
        expect(told).toMatchObject([[{ code: 'projection-failed', position: 1 }], [{ position: 1 }], []])
      })

      test('older code that is used later does not take over from newer', async () => {
        if (!shared) return
        const name = newName()
        const older = make({ name, hot: true })
        const newer = make({ name, hot: true })
        await newer.append('s', add('A1'), shown)
        await expect(older.append('s', add('A1'))).rejects.toMatchObject({ code: 'closed' })
        expect(await newer.append('s', add('A1'), shown)).toMatchObject({ position: 2, visible: true })
        await newer.close()
      })
    })
  })
}
