// Both forms of append, conditions, and pages, for the compiler.
import { expectTypeOf } from 'vitest'
import { defineEvents, openEventStore, type AppendResult, type EventPage, type PageRequest, type RecordedEvent, type StreamAppendOptions } from 'tidemark'

type FlightEvent = { type: 'Landed'; data: { delay: number } } | { type: 'Boarded'; data: { seat: string }; meta: { by: string } }
const events = defineEvents<FlightEvent>()
const store = await openEventStore({ name: 'flights', events })
declare const some: readonly FlightEvent[]
declare const options: StreamAppendOptions<FlightEvent>

// The form with one stream.
expectTypeOf(store.append('a', { type: 'Landed', data: { delay: 1 } })).toEqualTypeOf<Promise<AppendResult>>()
await store.append('a', events.Landed({ delay: 1 }), { expectedVersion: 3, durability: 'relaxed' })
await store.append('a', [events.Landed({ delay: 1 }), { type: 'Boarded', data: { seat: '1A' }, meta: { by: 'me' } }], { expectedVersion: 'no-stream' })
await store.append('a', some, options)
await store.append('a', [])
// @ts-expect-error other data
await store.append('a', { type: 'Landed', data: { delay: '1' } })
// @ts-expect-error another type
await store.append('a', [{ type: 'Started', data: {} }])
// @ts-expect-error no events
await store.append('a')
// @ts-expect-error no version
await store.append('a', some, { expectedVersion: 'new' })
// @ts-expect-error the events are not of the options
await store.append('a', { events: some })
// @ts-expect-error meta is needed
await store.append('a', { type: 'Boarded', data: { seat: '1A' } })

// The form with writes.
await store.append({ stream: 'a', events: [events.Landed({ delay: 1 })], expectedVersion: 1 })
await store.append([{ stream: 'a', events: some }, { stream: 'b', events: [], expectedVersion: 0 }], { durability: 'strict' })
// @ts-expect-error each write has its own version
await store.append([{ stream: 'a', events: some }], { expectedVersion: 1 })
// @ts-expect-error also where the options are a variable
await store.append([{ stream: 'a', events: some }], options)
// @ts-expect-error other data
await store.append({ stream: 'a', events: [{ type: 'Landed', data: { delay: '1' } }] })

// Conditions.
await store.append('a', some, { condition: { failIfEventsMatch: { types: ['Landed'], streamPrefix: 'a' } } })
await store.append({ stream: 'a', events: some }, { condition: { failIfEventsMatch: {}, after: 3 } })
// @ts-expect-error no such type
await store.append('a', some, { condition: { failIfEventsMatch: { types: ['Started'] } } })
// @ts-expect-error the old name
await store.append('a', some, { condition: { filter: {} } })
// @ts-expect-error nothing that may not be there
await store.append('a', some, { condition: { after: 3 } })

// Pages.
const page = await store.readPage({ filter: { types: ['Landed'] }, after: 3, limit: 10, signal: undefined })
expectTypeOf(page).toEqualTypeOf<EventPage<FlightEvent>>()
expectTypeOf(page.events).toEqualTypeOf<RecordedEvent<FlightEvent>[]>()
expectTypeOf<PageRequest>().toHaveProperty('limit')
await store.readPage({ limit: 1 })
// @ts-expect-error how many
await store.readPage({ after: 1 })
// @ts-expect-error no such type
await store.readPage({ filter: { types: ['Started'] }, limit: 1 })
// @ts-expect-error for this package's own callers
await store.readPage({ limit: 1, unreadable: 'collect' })
// @ts-expect-error for this package's own callers
await store.readPage({ limit: 1 }, { own: true })
