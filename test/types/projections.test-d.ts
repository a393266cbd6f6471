// What the compiler knows of a projection: events by their type, rows by their table.
import { expectTypeOf } from 'vitest'
import { z } from 'zod'
import {
  defineEvents, defineProjection, liveProjection, openEventStore, openReadModel, runProjection, startProjection, table, type LivePage, type CheckpointStore, type Coordinator, type DeadLetterRecord, type FailureStrategy, type Guard,
  type LiveSnapshot, type ProjectionOptions, type ProjectionResult, type Projector, type ProjectorOptions, type RecordedEvent, type RetryOptions,
} from 'tidemark'

type Landed = { type: 'Landed'; data: { airport: string; delay: number } }
type Cancelled = { type: 'Cancelled'; data: { airport: string } }
interface Airport { code: string; landed: number }

const events = defineEvents<Landed | Cancelled>()
const store = await openEventStore({ name: 'types', events })

const board = defineProjection(events, {
  name: 'board',
  tables: {
    airports: table<Airport>()({ key: 'code', indexes: { byLanded: 'landed' } }),
    days: { key: 'day', schema: z.object({ day: z.string(), flights: z.number() }) },
    tidied: { key: 'day', schema: z.object({ day: z.string().trim(), flights: z.union([z.number(), z.string().transform(Number)]), late: z.number().default(0) }) },
    loose: { key: 'id' },
  },
  on: {
    Landed: async (event, tables) => {
      expectTypeOf(event.data).toEqualTypeOf<{ airport: string; delay: number }>()
      expectTypeOf(event.position).toEqualTypeOf<number>()
      expectTypeOf(await tables.airports.get('LAS')).toEqualTypeOf<Airport | undefined>()
      expectTypeOf(await tables.days.get('1')).toEqualTypeOf<{ day: string; flights: number } | undefined>()
      expectTypeOf(await tables.loose.get('1')).toEqualTypeOf<Record<string, unknown> | undefined>()
      tables.airports.put({ code: 'LAS', landed: 1 })
      // A row that is put is the stored row: the output of its schema.
      expectTypeOf(tables.tidied.put).parameter(0).toEqualTypeOf<{ day: string; flights: number; late: number }>()
      // @ts-expect-error a row needs all of its properties
      tables.airports.put({ code: 'LAS' })
      // @ts-expect-error there is no such table
      tables.nowhere
    },
    // A handler need not be asynchronous, nor take everything.
    Cancelled: () => {},
  },
  fold: {
    airports: {
      key: (event) => (event.type === 'Landed' ? event.data.airport : undefined),
      evolve: (row, event) => {
        expectTypeOf(row).toEqualTypeOf<Airport | undefined>()
        return event.type === 'Cancelled' ? null : { code: event.data.airport, landed: (row?.landed ?? 0) + 1 }
      },
    },
  },
  onFailure: ({ error, event, retryCount }) => {
    expectTypeOf(error).toBeUnknown()
    expectTypeOf(event.type).toEqualTypeOf<'Landed' | 'Cancelled'>()
    return retryCount < 3 ? 'retry' : 'park'
  },
})

defineProjection(events, {
  name: 'wrong', tables: {},
  on: {
    // @ts-expect-error there is no such event
    Exploded: () => {},
  },
})
// @ts-expect-error the key must be a property of the row
table<Airport>({ key: 'name' })
// @ts-expect-error so must what an index sorts by
table<Airport>()({ key: 'code', indexes: { byName: 'name' } })
table<{ id: string; at: { day: string; hour: number } }>()({ key: 'id', indexes: { byTime: ['at.day', 'at.hour'] } })
defineProjection(events, {
  name: 'narrowed', tables: {}, on: { Landed: () => {} },
  // @ts-expect-error there is no such event
  filter: { types: ['Exploded'] },
})
// @ts-expect-error there is no such event
await store.readPage({ filter: { types: ['Exploded'] }, limit: 1 })
// @ts-expect-error there is no such event
store.read({ filter: { types: ['Landed', 'Exploded'] } })

expectTypeOf(await runProjection(store, board)).toEqualTypeOf<ProjectionResult>()
// @ts-expect-error there is no such mode
await runProjection(store, board, { mode: 'sometimes' })

const plain: Projector<Landed | Cancelled, { seen: number }> = {
  name: 'plain',
  apply(event, context) {
    expectTypeOf(event).toEqualTypeOf<RecordedEvent<Landed | Cancelled>>()
    context.seen += 1
  },
  onFailure: (): FailureStrategy => 'skip',
}
await runProjection(store, plain, { context: { seen: 0 } })
await runProjection(store, plain, { context: () => ({ seen: 0 }) })
// @ts-expect-error the context is another one
await runProjection(store, plain, { context: { noticed: 0 } })
const projection = startProjection(store, plain, { context: { seen: 0 } })
await runProjection(store, plain, { checkpoint: 'each-event' })

// What is for plain projectors only
// @ts-expect-error the handlers of a read model get the tables
await runProjection(store, board, { context: { seen: 0 } })
// @ts-expect-error the checkpoint of a read model is stored with its rows
await runProjection(store, board, { checkpoint: 'each-event' })
// @ts-expect-error as above
startProjection(store, board, { context: { seen: 0 } })

// The ports instead of a store
declare const ports: { readonly checkpoints: CheckpointStore; readonly coordinator: Coordinator }
await runProjection({ reader: store, ...ports }, plain, { context: { seen: 0 } })
await runProjection({ reader: store, checkpoints: store.checkpoints, coordinator: store.coordinator }, plain)
// @ts-expect-error a read model needs a store of openEventStore
await runProjection({ reader: store, ...ports }, board)
// @ts-expect-error the checkpoints are missing
await runProjection({ reader: store, coordinator: store.coordinator }, plain)
expectTypeOf(store.coordinator.tryAcquire('x')).resolves.toEqualTypeOf<Guard | undefined | null>()
expectTypeOf(store.checkpoints.deadLetters('x', 0, 1)).resolves.toEqualTypeOf<readonly DeadLetterRecord[]>()
const retry = { maxRetries: 3, delay: 100, multiplier: 2, maxDelay: 5000, jitter: 0.1 } satisfies Required<RetryOptions>
await runProjection(store, board, { retry } satisfies ProjectionOptions)
await runProjection(store, plain, { retry, checkpoint: 'each-batch' } satisfies ProjectorOptions)
// @ts-expect-error three retries are four attempts: the option counts retries
await runProjection(store, board, { retry: { maxAttempts: 3 } })
expectTypeOf(projection.status.getSnapshot().phase).extract<'live' | 'stalled'>().toEqualTypeOf<'live' | 'stalled'>()
expectTypeOf(await projection.caughtUp(1)).toEqualTypeOf<{ readonly position: number; readonly head: number; readonly stale: boolean }>()

const view = await openReadModel(store, board)
expectTypeOf(await view.airports.getAll({ index: 'byLanded', direction: 'prev', limit: 10 })).toEqualTypeOf<Airport[]>()
expectTypeOf(await view.days.count()).toEqualTypeOf<number>()
const indexed = await openReadModel(store, defineProjection(events, {
  name: 'indexed', on: { Landed: () => {} },
  tables: { days: { key: 'day', schema: z.object({ day: z.string(), flights: z.number() }), indexes: { byFlights: 'flights' } } },
}))
await indexed.days.getAll({ index: 'byFlights' })
// @ts-expect-error the table declares no such index
await indexed.days.count({ index: 'byDay' })
const worst = view.live(({ airports }) => airports.getAll({ range: { lower: 'A', upperOpen: true } }))
expectTypeOf(worst.getSnapshot()).toEqualTypeOf<LiveSnapshot<readonly Readonly<Airport>[]>>()
expectTypeOf(worst.getServerSnapshot).toEqualTypeOf(worst.getSnapshot)
expectTypeOf(projection.status.getServerSnapshot).toEqualTypeOf(projection.status.getSnapshot)
// Destructuring narrows, as every member has data, error and stale.
const { status, data, error, stale } = worst.getSnapshot()
expectTypeOf(stale).toEqualTypeOf<boolean>()
if (status === 'ready') expectTypeOf(data).toEqualTypeOf<readonly Readonly<Airport>[]>()
if (status === 'ready') expectTypeOf(error).toEqualTypeOf<undefined>()
if (status === 'loading') expectTypeOf(data).toEqualTypeOf<undefined>()
if (status === 'error') expectTypeOf(data).toEqualTypeOf<readonly Readonly<Airport>[] | undefined>()
const failed = worst.getSnapshot()
if (failed.status === 'error') expectTypeOf(failed.data).toEqualTypeOf<readonly Readonly<Airport>[] | undefined>()

expectTypeOf(projection.rebuild({ wait: false })).toEqualTypeOf<Promise<void>>()
// @ts-expect-error: gone, as it waits unless it is told not to
void projection.rebuild({ until: 'complete' })
const total = liveProjection(store, { initial: 0, on: { Landed: (sum, event) => sum + event.data.delay } })
expectTypeOf(total.getSnapshot()).toEqualTypeOf<LiveSnapshot<number>>()
liveProjection(store, {
  initial: 0,
  on: {
    // @ts-expect-error the state is a number
    Landed: () => 'many',
  },
})

// Live queries of one table, and with keys: as the readers, and readonly.
const rowsLive = indexed.days.live({ index: 'byFlights', limit: 3 })
expectTypeOf(rowsLive.ready()).toEqualTypeOf<Promise<readonly Readonly<{ day: string; flights: number }>[]>>()
expectTypeOf(indexed.tables.days.live).toEqualTypeOf(indexed.days.live)
expectTypeOf(view.airports.liveRow('LAS').getSnapshot()).toEqualTypeOf<LiveSnapshot<Readonly<Airport> | undefined>>()
expectTypeOf(view.airports.liveCount().ready()).toEqualTypeOf<Promise<number>>()
// @ts-expect-error the table declares no such index
indexed.days.live({ index: 'byDay' })
// @ts-expect-error a number has no limit
indexed.days.liveCount({ index: 'byFlights', limit: 3 })
// @ts-expect-error the answer is shared
rowsLive.getSnapshot().data?.push({ day: 'x', flights: 1 })
const keyed = view.live(['one', { a: 1 }, new Date(0)], async ({ airports }) => ({ one: await airports.get('LAS'), n: 1 }))
expectTypeOf(keyed.ready()).resolves.toEqualTypeOf<{ readonly one: Readonly<Airport> | undefined; readonly n: number }>()
// @ts-expect-error readers within a query have no live methods
view.live(({ airports }) => airports.liveRow('LAS'))
// @ts-expect-error a key is a list
view.live('one', () => 1)
const pages = indexed.days.livePages({ index: 'byFlights', pageSize: 10 })
pages.more()
expectTypeOf(pages.ready()).resolves.toEqualTypeOf<LivePage<Readonly<{ day: string; flights: number }>>>()
// @ts-expect-error a list has pages, not a limit
indexed.days.livePages({ index: 'byFlights', limit: 10 })
