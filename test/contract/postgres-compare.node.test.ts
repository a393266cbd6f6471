// The read models of a shop, folded on a device and on a server by the same definitions: every row, and any query.
import { describe, expect, test } from 'vitest'
import {
  defineEvents,
  defineProjection,
  openEventStore,
  openReadModel,
  runProjection,
  startProjection,
  table,
  verifyReadModel,
  type QueryOptions,
  type TableKeys,
  type TableReader,
  type TidemarkStore,
} from 'tidemark'
import { seededRandom } from '../../src/testing/random.js'
import { onPostgres } from '../support/postgres/stores.js'
import { fakeIndexedDB } from '../support/fake-indexeddb.js'

fakeIndexedDB()

type Event =
  | { type: 'Placed'; data: { order: string; customer: string; at: number; lines: { sku: string; cents: number }[] } }
  | { type: 'Tagged'; data: { order: string; tag: string } }
  | { type: 'Paid'; data: { order: string; at: number } }
  | { type: 'Cancelled'; data: { order: string } }
  | { type: 'Renamed'; data: { customer: string; to: string } }

const events = defineEvents<Event>()

interface Order {
  readonly id: string
  readonly customer: string
  readonly status: 'open' | 'paid'
  readonly cents: number
  readonly tags: readonly string[]
  readonly placed: Date
  readonly paid?: Date | undefined
  readonly skus: ReadonlySet<string>
}
interface Seller {
  readonly day: string
  readonly sku: string
  readonly count: number
  readonly mean: number
}
interface Customer {
  readonly name: string
  readonly alias: string
  readonly orders: number
  readonly last: Uint8Array
}

const indexes = {
  byCustomer: 'customer',
  byStatusAndCents: ['status', 'cents'],
  byTag: { path: 'tags', multiEntry: true },
  byPlaced: 'placed',
  byPaid: 'paid',
} as const

const day = (at: number) => new Date(at).toISOString().slice(0, 10)

/** @param bad whether the handler refuses an order */
const shop = (version: number, bad: (order: string) => boolean) =>
  defineProjection(events, {
    name: 'shop',
    version,
    tables: {
      orders: table<Order>()({ key: 'id', indexes }),
      sellers: table<Seller>()({ key: ['day', 'sku'], indexes: { byCount: 'count' } }),
      customers: table<Customer>()({
        key: 'name',
        indexes: { byAlias: { path: 'alias', unique: true }, byLast: 'last' },
      }),
    },
    on: {
      Placed: async ({ data, position }, { orders, sellers, customers }) => {
        const cents = data.lines.reduce((sum, line) => sum + line.cents, 0)
        const skus = new Set(data.lines.map(({ sku }) => sku))
        orders.put({
          id: data.order,
          customer: data.customer,
          status: 'open',
          cents,
          tags: [],
          placed: new Date(data.at),
          paid: undefined,
          skus,
        })
        for (const sku of skus) {
          const before = await sellers.get([day(data.at), sku])
          const count = (before?.count ?? 0) + 1
          sellers.put({ day: day(data.at), sku, count, mean: ((before?.mean ?? 0) * (count - 1) + cents) / count })
        }
        const before = await customers.get(data.customer)
        customers.put({
          name: data.customer,
          alias: before?.alias ?? data.customer,
          orders: (before?.orders ?? 0) + 1,
          last: Uint8Array.of(position % 251, position % 7),
        })
        if (bad(data.order)) throw new Error('refused')
      },
      Tagged: ({ data }, { orders }) =>
        orders.update(data.order, (row) =>
          row === undefined ? null : { ...row, tags: [...row.tags.filter((tag) => tag !== data.tag), data.tag] },
        ),
      Paid: ({ data }, { orders }) =>
        orders.update(data.order, (row) =>
          row === undefined ? null : { ...row, status: 'paid', paid: new Date(data.at) },
        ),
      Cancelled: ({ data }, { orders }) => orders.delete(data.order),
      Renamed: async ({ data }, { orders, customers }) => {
        const before = await customers.get(data.customer)
        if (before === undefined) return
        customers.put({ ...before, alias: data.to })
        for (const order of await orders.getAll({ index: 'byCustomer', range: data.customer, limit: 3 }))
          orders.put({ ...order, tags: [...order.tags, `of ${data.to}`] })
      },
    },
    onFailure: ({ event }) => (event.type === 'Placed' ? 'park-stream' : 'park'),
  })

const day0 = Date.UTC(2026, 0, 1)

function anyEvents(random: () => number, count: number): { stream: string; event: Event }[] {
  const pick = (below: number) => Math.floor(random() * below)
  return Array.from({ length: count }, () => {
    const order = `order-${pick(60)}`
    const customer = `${['Ä', 'a', 'b', 'é', '\u{1f600}', 'Z'][pick(6)]}${pick(4)}`
    const at = day0 + pick(20) * 86_400_000 + pick(1000)
    const event = ((): Event => {
      switch (pick(9)) {
        case 0:
        case 1:
        case 2:
        case 3: {
          const lines = Array.from({ length: 1 + pick(3) }, () => ({ sku: `sku-${pick(8)}`, cents: pick(5_000) - 100 }))
          return { type: 'Placed', data: { order, customer, at, lines } }
        }
        case 4:
        case 5:
          return { type: 'Tagged', data: { order, tag: ['new', 'gift', '', 'Ä', '\u0000'][pick(5)] as string } }
        case 6:
          return { type: 'Paid', data: { order, at } }
        case 7:
          return { type: 'Cancelled', data: { order } }
        default:
          return { type: 'Renamed', data: { customer, to: `alias ${pick(9)}` } }
      }
    })()
    return { stream: `s-${pick(5)}`, event }
  })
}

const refusedOnly = (error: unknown) =>
  expect(error).toMatchObject({ code: expect.stringMatching(/^(unique-conflict|invalid-argument)$/) })

type View = Awaited<ReturnType<typeof openShop>>
const openShop = (store: TidemarkStore<Event>, definition: ReturnType<typeof shop>) => openReadModel(store, definition)

/** Any question to the orders. */
function anyQuestion(random: () => number, rows: readonly Order[]): QueryOptions<TableKeys, Order> {
  const pick = <T>(of: readonly T[]): T => of[Math.floor(random() * of.length)] as T
  const index = pick([undefined, ...(Object.keys(indexes) as (keyof typeof indexes)[])])
  const some = (): unknown => {
    const row = pick(rows)
    switch (index) {
      case undefined:
        return row?.id ?? 'order-3'
      case 'byStatusAndCents':
        return [row?.status ?? 'open', row?.cents ?? 3]
      case 'byTag':
        return pick(row?.tags ?? []) ?? 'gift'
      case 'byPlaced':
        return row?.placed ?? new Date(day0)
      case 'byPaid':
        return row?.paid ?? new Date(day0)
      default:
        return row?.customer ?? 'a1'
    }
  }
  const range = () =>
    random() < 0.3
      ? some()
      : {
          ...(random() < 0.7 && { lower: some(), lowerOpen: random() < 0.5 }),
          ...(random() < 0.7 && { upper: some(), upperOpen: random() < 0.5 }),
        }
  const many = random() < 0.3
  return {
    ...(index !== undefined && { index }),
    ...(random() < 0.8 && (many ? { ranges: [range(), range(), range()] } : { range: range() })),
    ...(random() < 0.5 && { direction: 'prev' as const }),
    ...(random() < 0.5 && { limit: Math.floor(random() * 8) }),
  } as QueryOptions<TableKeys, Order>
}

async function compared(random: () => number, [device, server]: readonly [View, View]): Promise<number> {
  expect(await server.position()).toBe(await device.position())
  const rows = await device.orders.getAll()
  expect(await server.orders.getAll()).toEqual(rows)
  expect(await server.sellers.getAll()).toEqual(await device.sellers.getAll())
  expect(await server.customers.getAll()).toEqual(await device.customers.getAll())
  for (const index of ['byAlias', 'byLast'] as const)
    expect(await server.customers.getAll({ index })).toEqual(await device.customers.getAll({ index }))
  const onDevice: TableReader<Order> = device.orders
  const onServer: TableReader<Order> = server.orders
  for (let at = 0; at < 40; at += 1) {
    const question = anyQuestion(random, rows)
    const told = JSON.stringify(question)
    const found = await onDevice.getAll(question)
    expect(await onServer.getAll(question), told).toEqual(found)
    const { limit: _limit, direction: _direction, ...counted } = question
    expect(await onServer.count(counted), told).toBe(await onDevice.count(counted))
    const after = found.at(-1)
    if (after !== undefined && after.paid !== undefined)
      expect(await onServer.getAll({ ...question, after }), told).toEqual(await onDevice.getAll({ ...question, after }))
  }
  const keys = rows.map(({ id }) => id).concat('none')
  expect(await onServer.getMany(keys)).toEqual(await onDevice.getMany(keys))
  return rows.length
}

onPostgres(({ open }) => {
  describe('a shop on a device and on a server', () => {
    test.for([20261130, 20261201, 20261202])(
      'N83, N81: the same rows, dead letters and results of queries, whatever comes in between (seed %i)',
      { timeout: 240_000 },
      async (seed) => {
        const random = seededRandom(seed)
        const name = `compare-${seed}`
        const stores = [await openEventStore<Event>({ name, events }), await open<Event>(name, { events })] as const
        let isBad = true
        const bad = (order: string) => isBad && order.endsWith('7')
        let version = 1
        let rows = 0
        for (let step = 0; step < 8; step += 1) {
          const list = anyEvents(random, 20 + Math.floor(random() * 150))
          while (list.length > 0) {
            const commit = list.splice(0, 1 + Math.floor(random() * 30)).map(({ stream, event }) => ({
              stream,
              events: [{ ...event, id: `id-${seed}-${random()}` }],
            }))
            for (const store of stores) await store.append(commit)
          }
          const act = Math.floor(random() * 4)
          if (act === 1) version += 1
          const definition = shop(version, bad)
          for (const store of stores) {
            if (act !== 2 && act !== 3) await runProjection(store, definition)
            else {
              const running = startProjection(store, definition)
              await running.caughtUp(await store.head(), { timeout: 40_000 }).catch((error: unknown) => {
                throw new Error(`${store === stores[0]} ${JSON.stringify(running.status.getSnapshot())}`, {
                  cause: error,
                })
              })
              if (act === 2) await running.rebuild()
              else {
                isBad = false
                // One that is in conflict with what came later, or waits for an earlier one, stays.
                for await (const letter of running.deadLetters()) await letter.replay().catch(refusedOnly)
                isBad = true
              }
              await running.stop()
            }
          }
          const views = [await openShop(stores[0], definition), await openShop(stores[1], definition)] as const
          rows += await compared(random, views)
          for (const view of views) await view.close()
          const parked = []
          for (const store of stores) {
            const running = startProjection(store, definition)
            await running.caughtUp(await store.head(), { timeout: 60_000 })
            const all = []
            for await (const { position, stream } of running.deadLetters()) all.push([position, stream])
            parked.push(all)
            await running.stop()
          }
          expect(parked[1]).toEqual(parked[0])
        }
        expect(rows).toBeGreaterThan(100)
        expect(await verifyReadModel(stores[1], shop(version, bad))).toMatchObject({
          position: await stores[1].head(),
        })
        for (const store of stores) await store.close()
      },
    )
  })
})
