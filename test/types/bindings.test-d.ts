// Bindings and observables: what a query returns is what they show, with every status told apart.
import { filter, from, map, type Observable } from 'rxjs'
import { expectTypeOf } from 'vitest'
import { defineEvents, defineProjection, openEventStore, openReadModel, startProjection, table, toObservable, type LiveSnapshot, type ProjectionStatus } from 'tidemark'
import { LiveController, type LiveHost } from 'tidemark/lit'
import { useLiveQuery, useLiveSuspenseQuery, useStatus, type Live } from 'tidemark/react'
import { toSignal } from 'tidemark/signals'

interface Line { sku: string; quantity: number }
const events = defineEvents<{ type: 'ItemAdded'; data: Line }>()
const lines = defineProjection(events, {
  name: 'lines',
  tables: { lines: table<Line>()({ key: 'sku', indexes: { byQuantity: 'quantity' } }) },
  on: { ItemAdded: ({ data }, { lines }) => lines.put(data) },
})
const store = await openEventStore({ name: 'shop', events })
const view = await openReadModel(store, lines)
const projection = startProjection(store, lines)
declare const sku: string | undefined
type Row = Readonly<Line> | undefined

// React
expectTypeOf(useLiveQuery(view.lines.liveCount())).toEqualTypeOf<Live<number>>()
expectTypeOf(useLiveQuery(sku && view.lines.liveRow(sku))).toEqualTypeOf<Live<Row>>()
expectTypeOf(useLiveQuery(sku === undefined ? null : view.lines.liveRow(sku))).toEqualTypeOf<Live<Row>>()
expectTypeOf(useLiveSuspenseQuery(view.lines.live({ index: 'byQuantity' }))).toEqualTypeOf<readonly Readonly<Line>[]>()
expectTypeOf(useStatus(projection)).toEqualTypeOf<ProjectionStatus>()
expectTypeOf(useStatus(projection.status)).toEqualTypeOf<ProjectionStatus>()
const { status, data, error, stale } = useLiveQuery(view.lines.liveCount())
expectTypeOf(data).toEqualTypeOf<number | undefined>()
expectTypeOf(error).toBeUnknown()
expectTypeOf(stale).toBeBoolean()
if (status === 'ready') expectTypeOf(data).toBeNumber()
if (status === 'off' || status === 'loading') expectTypeOf(data).toBeUndefined()
// @ts-expect-error not a query
useLiveQuery(view.lines)
// @ts-expect-error a function of the tables belongs into view.live
useLiveQuery(() => view.lines.count())
// @ts-expect-error it cannot wait for nothing
useLiveSuspenseQuery(null)
// @ts-expect-error no status
useStatus(view)

// Signals
expectTypeOf(toSignal(view.lines.liveCount()).value).toEqualTypeOf<LiveSnapshot<number>>()
expectTypeOf(toSignal(() => sku && view.lines.liveRow(sku)).value).toEqualTypeOf<Live<Row>>()
// @ts-expect-error read only
toSignal(view.lines.liveCount()).value = 1

// Lit
declare const host: LiveHost
expectTypeOf(new LiveController(host, view.lines.liveCount()).value).toEqualTypeOf<Live<number>>()
expectTypeOf(new LiveController(host, () => sku && view.lines.liveRow(sku)).value).toEqualTypeOf<Live<Row>>()

// RxJS
const counts = from(toObservable(view.lines.liveCount()))
expectTypeOf(counts).toEqualTypeOf<Observable<LiveSnapshot<number>>>()
const sums: Observable<number | undefined> = counts.pipe(filter((each) => each.status === 'ready'), map((each) => each.data))
void sums
