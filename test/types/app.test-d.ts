// Apps of `tidemark()`: models that fit, names that are free, and what calls return.
import { expectTypeOf } from 'vitest'
import {
  defineCommand, defineEvents, defineProjection, refuse, table, tidemark, type AppStatus, type CatchUpResult, type LiveQuery, type ProjectionResult, type ReservedModelName, type StatusStore,
} from 'tidemark'
import { openEventStore } from 'tidemark/memory'

type A = { type: 'A'; data: { n: number; more: string } }
type B = { type: 'B'; data: { s: string } }
type Less = { type: 'A'; data: { n: number } }
const events = defineEvents<A | B>()
const tables = { rows: table<{ id: string; n: number }>()({ key: 'id', indexes: { byN: 'n' } }) }
const onA = defineProjection(defineEvents<A>(), { name: 'p', tables, on: { A: ({ data }, { rows }) => rows.put({ id: data.more, n: data.n }) } })
const onLess = defineProjection(defineEvents<Less>(), { name: 'q', tables, on: { A: ({ data }, { rows }) => rows.put({ id: 'x', n: data.n }) } })
const ofAll = defineProjection(events, { name: 'r', tables, on: { B: () => {} } })
const app = tidemark({ name: 'app', events, models: { onA, onLess, ofAll }, open: openEventStore })

expectTypeOf(app.onA.rows.live({ index: 'byN' })).toEqualTypeOf<LiveQuery<readonly Readonly<{ id: string; n: number }>[]>>()
expectTypeOf(app.models.ofAll.rows.liveCount()).toEqualTypeOf<LiveQuery<number>>()
expectTypeOf(await app.onA.rows.get('x')).toEqualTypeOf<{ id: string; n: number } | undefined>()
expectTypeOf(app.status).toEqualTypeOf<StatusStore<AppStatus<'onA' | 'onLess' | 'ofAll'>>>()
expectTypeOf((await app.append('s', events.A({ n: 1, more: '' }), { until: 'visible' })).visible).toEqualTypeOf<boolean | undefined>()
expectTypeOf((await app.catchUp()).models).toEqualTypeOf<{ readonly [N in 'onA' | 'onLess' | 'ofAll']: ProjectionResult }>()
expectTypeOf<Awaited<ReturnType<typeof app.catchUp>>>().toEqualTypeOf<CatchUpResult<'onA' | 'onLess' | 'ofAll'>>()
for await (const event of app.read()) expectTypeOf(event.type).toEqualTypeOf<'A' | 'B'>()

const command = defineCommand(events, (n: number) => ({
  streams: ['s'],
  initial: 0,
  evolve: (state) => state,
  decide: () => (n > 1 ? refuse('too many') : [{ stream: 's', type: 'A', data: { n, more: '' } }]),
}))
const result = await app.execute(command(1), { until: 'visible' })
if (result.type === 'refused') expectTypeOf(result.reason).toEqualTypeOf<'too many'>()
else expectTypeOf(result.visible).toEqualTypeOf<boolean | undefined>()

// @ts-expect-error there is no such index
app.onA.rows.live({ index: 'byX' })
// @ts-expect-error an app ends as a whole
app.onA.stop()
// @ts-expect-error an app ends as a whole
await app.onA.close()
// @ts-expect-error a model has no such table
app.onA.lines
// @ts-expect-error n is a number
await app.append('s', { type: 'A', data: { n: 'x', more: '' } })
// @ts-expect-error until is one of two
await app.append('s', events.A({ n: 1, more: '' }), { until: 'soon' })

// Misfits say why.
const wrong = defineProjection(defineEvents<{ type: 'A'; data: { n: string } }>(), { name: 'p', tables, on: { A: () => {} } })
// @ts-expect-error The store's 'A' is not the event that this is typed by.
tidemark({ name: 'app', events, models: { wrong } })
const foldOfA = defineProjection(defineEvents<A>(), { name: 'p', tables, fold: { rows: { key: ({ data }) => data.more, evolve: (_row, { data }) => ({ id: data.more, n: 1 }) } } })
// @ts-expect-error It reads every event, and is not typed by the store's 'B'.
tidemark({ name: 'app', events, models: { foldOfA } })
// @ts-expect-error It must come from defineProjection.
tidemark({ name: 'app', events, models: { none: 3 } })
// @ts-expect-error 'status' is a reserved name
tidemark({ name: 'app', events, models: { status: onA } })
// @ts-expect-error '$x' is a reserved name
tidemark({ name: 'app', events, models: { $x: onA } })
// @ts-expect-error there is no such option
tidemark({ name: 'app', events, modles: { onA } })
expectTypeOf<'sync' | 'undo' | 'persist' | 'append' | 'catchUp' | 'then'>().toExtend<ReservedModelName>()
expectTypeOf(tidemark({ name: 'app', events }).models).toEqualTypeOf<{}>()
