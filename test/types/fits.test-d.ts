// Definitions that are typed by their own events, and the stores that they fit.
import { expectTypeOf } from 'vitest'
import { z } from 'zod'
import {
  defineCommand, defineEvents, defineProjection, deleteReadModel, execute, liveProjection, openEventStore, openReadModel, refuse, runProjection, startProjection, table,
  verifyReadModel, type Command, type EventShape, type FitsStore, type LiveProjectionSpec, type Projection, type Projector, type Tables, type TidemarkStore,
} from 'tidemark'
import { given } from 'tidemark/testing'

type A = { type: 'A'; data: { n: number; more: string } }
type B = { type: 'B'; data: { s: string } }
type C = { type: 'C'; data: null }
type Less = { type: 'A'; data: { n: number } }
const wide = defineEvents<A | B | C>()
const store = await openEventStore({ name: 'wide', events: wide })
const anyStore = await openEventStore({ name: 'any' })
const tables = { rows: table<{ id: string }>({ key: 'id' }) }

// Of their own types, or of less of them, and of types that the store does not have.
const onA = defineProjection(defineEvents<A>(), { name: 'p', tables, on: { A: ({ data }, { rows }) => rows.put({ id: data.more }) } })
const onLess = defineProjection(defineEvents<Less>(), { name: 'p', tables, on: { A: ({ data }, { rows }) => rows.put({ id: `${data.n}` }) } })
const onOther = defineProjection(defineEvents<A | { type: 'Z'; data: 1 }>(), { name: 'p', tables, on: { A: () => {}, Z: () => {} } })
const ofAll = defineProjection(wide, { name: 'p', tables, on: { A: () => {} } })
const named = defineProjection(defineEvents<A>(), { name: 'p', tables, filter: { types: ['A'] }, fold: { rows: { key: ({ data }) => data.more, evolve: (_row, { data }) => ({ id: data.more }) } } })
const foldOfAll = defineProjection(wide, { name: 'p', tables, fold: { rows: { key: ({ stream }) => stream, evolve: (_row, { stream }) => ({ id: stream }) } } })
const known = defineProjection(defineEvents({ A: { schema: z.object({ n: z.number() }) } }), {
  name: 'p', tables, fold: { rows: { key: ({ data }) => `${data.n}`, evolve: (_row, { stream }) => ({ id: stream }) } },
})
await runProjection(store, onA)
startProjection(store, onA)
await deleteReadModel(store, onA)
await verifyReadModel(store, onA)
expectTypeOf(await (await openReadModel(store, onA)).rows.getAll()).toEqualTypeOf<{ id: string }[]>()
await given<A | B | C>([]).whenProjected(onA).thenRows({ rows: [{ id: 'a' }] })
startProjection(store, onLess)
startProjection(store, onOther)
startProjection(store, ofAll)
startProjection(store, named)
startProjection(store, foldOfAll)
startProjection(store, known)
startProjection(anyStore, onA)
startProjection(anyStore, foldOfAll)
declare const annotated: Projection<A | B | C>
startProjection(store, annotated)

// A fold sees every event, where neither a filter nor definitions name the types.
const foldOfA = defineProjection(defineEvents<A>(), { name: 'p', tables, fold: { rows: { key: ({ data }) => data.more, evolve: (_row, { data }) => ({ id: data.more }) } } })
startProjection(await openEventStore({ name: 'same', events: defineEvents<A>() }), foldOfA)
// @ts-expect-error it sees B, which it does not know
startProjection(store, foldOfA)
// @ts-expect-error it sees B, which it does not know
await runProjection(store, foldOfA)
// @ts-expect-error it sees B, which it does not know
await openReadModel(store, foldOfA)
// @ts-expect-error what it sees is not known any more
startProjection(store, onA as Projection<A>)

// What the store has is another event.
const wrong = defineProjection(defineEvents<{ type: 'A'; data: { n: string } }>(), { name: 'p', tables, on: { A: () => {} } })
const more = defineProjection(defineEvents<{ type: 'A'; data: { n: number; even: boolean } }>(), { name: 'p', tables, on: { A: () => {} } })
const meta = defineProjection(defineEvents<A & { meta: { user: string } }>(), { name: 'p', tables, on: { A: () => {} } })
// @ts-expect-error n is a number
startProjection(store, wrong)
// @ts-expect-error n is a number
await runProjection(store, wrong)
// @ts-expect-error n is a number
await openReadModel(store, wrong)
// @ts-expect-error n is a number
await deleteReadModel(store, wrong)
// @ts-expect-error n is a number
await verifyReadModel(store, wrong)
// @ts-expect-error n is a number
given<A | B | C>([]).whenProjected(wrong)
// @ts-expect-error there is no even
startProjection(store, more)
// @ts-expect-error there is no meta
startProjection(store, meta)

// Plain projectors.
const plain: Projector<A> = { name: 'plain', filter: { types: ['A'] }, apply: ({ data }) => void data.n }
await runProjection(store, plain)
await runProjection(store, { name: 'plain', apply: (event) => { expectTypeOf(event.type).toEqualTypeOf<'A' | 'B' | 'C'>() } })
const wrongPlain: Projector<{ type: 'A'; data: { n: string } }> = { name: 'plain', apply: () => {} }
// @ts-expect-error n is a number
await runProjection(store, wrongPlain)

// Commands.
const say = defineCommand(defineEvents<A | B>(), (id: string) => ({
  streams: [id], initial: 0, evolve: (sum, event) => (event.type === 'A' ? sum + event.data.n : sum),
  decide: (sum) => (sum > 1 ? refuse('enough') : [{ stream: id, type: 'B', data: { s: 'x' } }]),
}))
const said = await execute(store, say('a'))
if (said.type === 'refused') expectTypeOf(said.reason).toEqualTypeOf<'enough'>()
await execute(anyStore, say('a'))
await given<A | B | C>([]).when(say('a')).thenEvents([{ stream: 'a', type: 'B', data: { s: 'x' } }])
declare const declared: Command<A | B, number>
await execute(store, declared)
await execute(store, defineCommand(defineEvents<Less | B>(), { streams: ['a'], initial: 0, evolve: (sum, event) => (event.type === 'A' ? event.data.n : sum), decide: () => [{ stream: 'a', type: 'B', data: { s: 'x' } }] }))
// @ts-expect-error it decides what is no event of the store
await execute(store, defineCommand(defineEvents<A | { type: 'Z'; data: 1 }>(), { streams: ['a'], initial: 0, evolve: (n) => n, decide: () => [{ stream: 'a', type: 'Z', data: 1 }] }))
// @ts-expect-error it decides less than the store's event
await execute(store, defineCommand(defineEvents<Less>(), { streams: ['a'], initial: 0, evolve: (n) => n, decide: () => [{ stream: 'a', type: 'A', data: { n: 1 } }] }))
// @ts-expect-error it reads what the store does not have
await execute(store, defineCommand(defineEvents<{ type: 'A'; data: { n: string } }>(), { streams: ['a'], initial: 0, evolve: (n) => n, decide: () => [] }))
// @ts-expect-error and so in given
given<A | B | C>([]).when(defineCommand(defineEvents<{ type: 'A'; data: { n: string } }>(), { streams: ['a'], initial: 0, evolve: (n) => n, decide: () => [] }))
// @ts-expect-error no event of the store, in place
await execute(store, { streams: ['a'], initial: 0, evolve: (n) => n, decide: () => [{ stream: 'a', type: 'Z', data: null }] })

// Live projections.
declare const counting: LiveProjectionSpec<A, number>
declare const miscounting: LiveProjectionSpec<{ type: 'A'; data: { n: string } }, number>
liveProjection(store, counting)
// @ts-expect-error n is a number
liveProjection(store, miscounting)

// A function that is generic over the events of both.
export function both<E extends EventShape, T extends Tables, S>(store: TidemarkStore<E>, definition: Projection<E, T>, plain: Projector<E>, command: Command<E, S>, live: LiveProjectionSpec<E, S>) {
  void [startProjection(store, definition), runProjection(store, definition), startProjection(store, plain), runProjection(store, plain), deleteReadModel(store, definition)]
  void [verifyReadModel(store, definition), openReadModel(store, definition), execute(store, command), liveProjection(store, live)]
}

// What the message says.
expectTypeOf<FitsStore<A | B, A>>().toBeUnknown()
expectTypeOf<FitsStore<A | B, { type: 'A'; data: string }>>().toEqualTypeOf<"The store's 'A' is not the event that this is typed by.">()
expectTypeOf<FitsStore<A | B, A, 'every event'>>().toEqualTypeOf<"It reads every event, and is not typed by the store's 'B': name the types in 'filter'.">()
