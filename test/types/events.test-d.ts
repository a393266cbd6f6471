// Type tests are checked by `npm run typecheck`; nothing runs them.
import { expectTypeOf } from 'vitest'
import { z } from 'zod'
import { defineEvents, typed as typedData, type DataOfType, type EventCatalogue, type EventOf, type EventOfType, type EventStore, type NewEvent, type RecordedEvent } from 'tidemark'

type FlightEvent =
  | { type: 'FlightScheduled'; data: { origin: string; distance: number } }
  | { type: 'FlightLanded'; data: { delay: number }; meta: { user: string } }

// What an `open` function does: infers the events from the catalogue.
declare function open<E extends { type: string; data: unknown }>(options: { events: EventCatalogue<E> }): E

// Types only.
const typed = defineEvents<FlightEvent>()
expectTypeOf<EventOf<typeof typed>>().toEqualTypeOf<FlightEvent>()
expectTypeOf(open({ events: typed })).toEqualTypeOf<FlightEvent>()
expectTypeOf(typed.FlightScheduled).parameter(0).toEqualTypeOf<{ origin: string; distance: number }>()
expectTypeOf(typed.FlightScheduled({ origin: 'OSL', distance: 1 })).toExtend<NewEvent<FlightEvent>>()
expectTypeOf(typed.FlightScheduled({ origin: 'OSL', distance: 1 }).id).toEqualTypeOf<string>()
expectTypeOf(typed.FlightLanded({ delay: 1 }, { meta: { user: 'a' } }).meta).toEqualTypeOf<{ user: string }>()
// @ts-expect-error the event has meta
typed.FlightLanded({ delay: 1 })
// @ts-expect-error no such type
typed.FlightLost
// @ts-expect-error wrong data
typed.FlightScheduled({ origin: 1, distance: 1 })

// Schemas.
const defined = defineEvents({
  FlightScheduled: { schema: z.object({ origin: z.string(), distance: z.string().transform(Number) }) },
  FlightLanded: {
    schema: z.object({ delay: z.number().default(0) }),
    version: 2,
    upcast: { 1: (data) => ({ delay: data.minutesLate }) },
  },
  FlightDiverted: { version: 2, upcast: { 1: (data: { to: string }) => ({ to: [data.to] }) } },
})
type Defined = EventOf<typeof defined>
type Expected =
  | { type: 'FlightScheduled'; data: { origin: string; distance: number } }
  | { type: 'FlightLanded'; data: { delay: number } }
  | { type: 'FlightDiverted'; data: unknown }
expectTypeOf<Defined>().toEqualTypeOf<Expected>()
expectTypeOf(open({ events: defined })).toEqualTypeOf<Expected>()
expectTypeOf(defined.FlightScheduled).parameter(0).toEqualTypeOf<{ origin: string; distance: string }>()
expectTypeOf(defined.FlightLanded).parameter(0).toEqualTypeOf<{ delay?: number | undefined }>()
expectTypeOf(defined.FlightScheduled({ origin: 'OSL', distance: '1' }).data.distance).toEqualTypeOf<number>()
// @ts-expect-error the schema takes a string
defined.FlightScheduled({ origin: 'OSL', distance: 1 })
// @ts-expect-error not a schema
defineEvents({ A: { schema: {} } })
// @ts-expect-error not a catalogue
open({ events: {} })

// Plain events have what is stored, the output; what a creator made may be appended, and says so where its schema changes its own output.
expectTypeOf<{ type: 'FlightScheduled'; data: { origin: string; distance: number } }>().toExtend<NewEvent<Defined>>()
expectTypeOf<{ type: 'FlightScheduled'; data: { origin: string; distance: string } }>().not.toExtend<NewEvent<Defined>>()
expectTypeOf<{ type: 'FlightLanded'; data: {} }>().not.toExtend<NewEvent<Defined>>()
expectTypeOf(defined.FlightScheduled({ origin: 'OSL', distance: '1' })).toExtend<NewEvent<Defined>>()
expectTypeOf(defined.FlightScheduled({ origin: 'OSL', distance: '1' }).checked).toEqualTypeOf<string | undefined>()
expectTypeOf({ ...defined.FlightScheduled({ origin: 'OSL', distance: '1' }), meta: { user: 'a' } }).toExtend<NewEvent<Defined>>()

// Narrowing.
declare const recorded: RecordedEvent<Defined>
if (recorded.type === 'FlightLanded') expectTypeOf(recorded.data).toEqualTypeOf<{ delay: number }>()
switch (recorded.type) {
  case 'FlightScheduled':
    expectTypeOf(recorded.data.distance).toEqualTypeOf<number>()
    break
  case 'FlightLanded':
  case 'FlightDiverted':
    break
  default:
    expectTypeOf(recorded).toBeNever()
}

// One member of a union with several types.
const several = defineEvents<{ type: 'A' | 'B'; data: { n: number } }>()
expectTypeOf(several.A({ n: 1 }).type).toEqualTypeOf<'A'>()

// Creators by a type that a function is generic over.
type LegEvent = { type: 'Landed'; data: { delay: number } } | { type: 'Cancelled'; data: { why: string }; meta?: { user: string } }
const legs = defineEvents<LegEvent>()
declare const store: EventStore<LegEvent>
const make = <T extends LegEvent['type']>(type: T, data: EventOfType<LegEvent, T>['data']) => legs[type](data)
expectTypeOf(make('Landed', { delay: 1 }).data).toEqualTypeOf<{ delay: number }>()
// @ts-expect-error the data of another type
make('Landed', { why: 'fog' })
export const extracted = <T extends LegEvent['type']>(type: T, data: Extract<LegEvent, { type: T }>['data']) => legs[type](data)
type Data = { [E in LegEvent as E['type']]: E['data'] }
export const lookedUp = <T extends LegEvent['type']>(type: T, data: Data[T]) => legs[type](data)
export const byParameters = <T extends LegEvent['type']>(type: T, data: Parameters<(typeof legs)[T]>[0]) => legs[type](data)
export const withId = <T extends LegEvent['type']>(type: T, data: DataOfType<LegEvent, T>, id: string) => legs[type](data, { id })
export async function send<T extends LegEvent['type']>(type: T, data: EventOfType<LegEvent, T>['data']) {
  await store.append({ stream: 'a', events: [legs[type](data)] })
}
// @ts-expect-error any data
export const wrong = <T extends LegEvent['type']>(type: T, data: unknown) => legs[type](data)
const described = defineEvents({ Landed: { schema: z.object({ delay: z.number() }) }, Cancelled: { schema: z.object({ why: z.string() }) } })
export const ofSchemas = <T extends 'Landed' | 'Cancelled'>(type: T, data: EventOfType<EventOf<typeof described>, T>['data']) => described[type](data)
// A union of types, where their data is the same.
const alike = defineEvents<{ type: 'Up'; data: { by: number } } | { type: 'Down'; data: { by: number } }>()
expectTypeOf((['Up', 'Down'] as const).map((type) => alike[type]({ by: 1 }))[0]).toExtend<{ type: 'Up' | 'Down'; data: { by: number } } | undefined>()

// Types without a validator, in a catalogue with definitions.
const plain = defineEvents({
  Moved: { schema: typedData<{ by: number }>() },
  Named: { schema: typedData<{ name: string }>(), version: 2, upcast: { 1: (data) => ({ name: data.title }) } },
})
expectTypeOf<EventOf<typeof plain>>().toEqualTypeOf<{ type: 'Moved'; data: { by: number } } | { type: 'Named'; data: { name: string } }>()
expectTypeOf(plain.Moved).parameter(0).toEqualTypeOf<{ by: number }>()
// @ts-expect-error wrong data
plain.Moved({ by: '1' })
// @ts-expect-error a Date is not JSON
defineEvents({ Late: { schema: typedData<{ at: Date }>() } })
