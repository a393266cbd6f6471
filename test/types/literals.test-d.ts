// Folds may return literals and tuples: they are not widened before they are held against the type that they have to fit.
import { expectTypeOf } from 'vitest'
import { defineCommand, defineEvents, defineProjection, execute, liveProjection, refuse, table, type Command, type EventStore, type LiveProjectionSpec, type RecordedEvent } from 'tidemark'
import { given } from 'tidemark/testing'

type Opened = { type: 'Opened'; data: { n: number } }
type DoorEvent = Opened | { type: 'Closed'; data: { by: string } }
interface Door { id: string; status: 'open' | 'closed' }
interface Pair { id: string; at: [number, number]; kind?: 'a' | 'b' }
interface Listing { id: string; doors: Door[]; at: Date; by: Map<string, 'x' | 'y'> }

const events = defineEvents<DoorEvent>()
declare const store: EventStore<DoorEvent>
const tables = { doors: table<Door>({ key: 'id' }), pairs: table<Pair>()({ key: 'id', indexes: { byKind: 'kind' } }), lists: table<Listing>({ key: 'id' }) }

// fold
const doors = defineProjection(events, {
  name: 'doors', tables,
  fold: {
    doors: { key: (event) => event.stream, evolve: (_row, event) => ({ id: event.stream, status: 'open' }) },
    pairs: {
      key: (event) => (event.type === 'Opened' ? event.stream : undefined),
      evolve: (row, event) => (event.type === 'Opened' ? { id: event.stream, at: [event.data.n, 2] } : row === undefined ? null : { ...row, kind: 'a' }),
    },
    lists: {
      key: (event) => event.stream,
      evolve: (row, event) => ({ id: event.stream, at: new Date(0), by: new Map([['a', 'x']]), doors: [...(row?.doors ?? []), { id: 'a', status: 'open' }] }),
    },
  },
})
expectTypeOf(doors.tables.doors).toEqualTypeOf<(typeof tables)['doors']>()
defineProjection(events, {
  name: 'without parameters', tables,
  fold: { doors: { key: () => 'a', evolve: () => ({ id: 'a', status: 'open' }) }, pairs: { key: () => 'b', evolve: () => ({ id: 'b', at: [1, 2], kind: 'b' }) } },
})
defineProjection(events, {
  name: 'methods', tables: { doors: table<Door>({ key: 'id' }) },
  fold: {
    doors: {
      key(event) { return event.stream },
      evolve(row, event) {
        if (event.type === 'Closed') return { id: event.stream, status: 'closed' }
        return row ?? null
      },
    },
  },
  on: { Opened: (event, { doors }) => doors.put({ id: event.stream, status: 'open' }) },
})
defineProjection(events, {
  name: 'annotated', tables: { doors: table<Door>({ key: 'id' }) },
  fold: { doors: { key: (event) => event.stream, evolve: (_row: Door | undefined, event: RecordedEvent<DoorEvent>) => ({ id: event.stream, status: 'open' }) } },
})
// @ts-expect-error no such status
defineProjection(events, { name: 'a', tables, fold: { doors: { key: (event) => event.stream, evolve: (row, event) => ({ id: event.stream, status: 'ajar' }) } } })
// @ts-expect-error no such status, without parameters
defineProjection(events, { name: 'a', tables, fold: { doors: { key: () => 'a', evolve: () => ({ id: 'a', status: 'ajar' }) } } })
// @ts-expect-error a property is missing
defineProjection(events, { name: 'a', tables, fold: { doors: { key: (event) => event.stream, evolve: (row, event) => ({ id: event.stream }) } } })
// @ts-expect-error a tuple of three
defineProjection(events, { name: 'a', tables, fold: { pairs: { key: (event) => event.stream, evolve: (row, event) => ({ id: event.stream, at: [1, 2, 3] }) } } })
// @ts-expect-error null deletes, undefined is a forgotten return
defineProjection(events, { name: 'a', tables, fold: { doors: { key: (event) => event.stream, evolve: (row, event) => undefined } } })
// @ts-expect-error no such table
defineProjection(events, { name: 'a', tables, fold: { windows: { key: (event: RecordedEvent<DoorEvent>) => event.stream, evolve: () => null } } })

// execute
const open = { id: 'a', status: 'open' } as Door
await execute(store, { streams: ['a'], initial: open, evolve: (door, event) => (event.type === 'Closed' ? { ...door, status: 'closed' } : door), decide: (door) => (door.status === 'open' ? [{ stream: 'a', type: 'Closed', data: { by: 'x' } }] : refuse('no')) })
await execute(store, { streams: ['a'], initial: open, evolve: (_door, event) => ({ id: event.stream, status: 'open' }), decide: () => [] })
await execute(store, { streams: ['a'], initial: (): Door => ({ id: 'a', status: 'open' }), evolve: (_door, event) => ({ id: event.stream, status: 'open' }), decide: () => [] })
await execute(store, { streams: ['a'], initial: open, evolve: () => ({ id: 'a', status: 'closed' }), decide: () => [] })
await execute(store, { streams: ['a'], initial: { id: 'a', status: 'open' }, evolve: (_door: Door, event) => ({ id: event.stream, status: 'open' }), decide: () => [] })
await execute(store, { streams: ['a'], initial: { id: 'a', status: 'open' }, evolve: (_door: Door, event): Door => ({ id: event.stream, status: 'open' }), decide: () => [] })
await execute(store, { streams: ['a'], initial: { id: 'a', status: 'open' }, evolve: (_door, event) => ({ id: event.stream, status: 'ajar' }), decide: () => [] })
await execute(store, { streams: ['a'], initial: [0, 0] as [number, number], evolve: ([a, b], _event) => [a + 1, b], decide: () => [] })
await execute(store, { streams: ['a'], initial: 'open' as Door['status'], evolve: (_status, event) => (event.type === 'Closed' ? 'closed' : 'open'), decide: () => [] })
await execute(store, { streams: ['a'], initial: 'open' as Door['status'], evolve: () => 'closed', decide: () => [] })
await execute(store, { streams: ['a'], initial: null as null | { kind: 'x'; n: number } | { kind: 'y' }, evolve: (state, event) => (event.type === 'Opened' ? { kind: 'x', n: event.data.n } : state === null ? null : { kind: 'y' }), decide: () => [] })
await execute(store, {
  streams: ['a'], initial: { n: 0, kind: 'a' }, evolve: (state) => ({ ...state, kind: 'b' }),
  decide: (state) => {
    // What `initial` says is as wide as ever.
    expectTypeOf(state).toEqualTypeOf<{ n: number; kind: string }>()
    return []
  },
})
await execute(store, { streams: ['a'], initial: 0, evolve: (n) => n + 1, decide: (n) => (expectTypeOf(n).toEqualTypeOf<number>(), []) })
// @ts-expect-error no such status
await execute(store, { streams: ['a'], initial: open, evolve: (door, event) => ({ id: event.stream, status: 'ajar' }), decide: () => [] })
// @ts-expect-error no such status, without parameters
await execute(store, { streams: ['a'], initial: open, evolve: () => ({ id: 'a', status: 'ajar' }), decide: () => [] })
// @ts-expect-error another type
await execute(store, { streams: ['a'], initial: 0, evolve: () => 'x', decide: () => [] })
// Data that is written in place: constant, and yet it fits lists and tuples that are not.
type Tagged = { type: 'Tagged'; data: { tags: string[]; pair: [number, number]; kind: 'a' | 'b' } } | { type: 'Any'; data: unknown } | { type: 'Nested'; data: { kids: { a: 1 | 2 }[] } }
declare const tagged: EventStore<Tagged>
await execute(tagged, { streams: ['a'], initial: 0, evolve: (n) => n, decide: () => [{ stream: 'a', type: 'Tagged', data: { tags: ['x'], pair: [1, 2], kind: 'a' } }, { stream: 'a', type: 'Nested', data: { kids: [{ a: 1 }] } }] })
await execute(tagged, { streams: ['a'], initial: 0, evolve: (n) => n, decide: (n) => (n > 1 ? refuse('no') : [{ stream: 'a', type: 'Tagged', data: { tags: ['x'], pair: [1, 2], kind: 'a' } }]) })
defineCommand(defineEvents<Tagged>(), { streams: ['a'], initial: 0, evolve: (n) => n, decide: () => [{ stream: 'a', type: 'Tagged', data: { tags: [], pair: [1, 2], kind: 'b' } }] })
// @ts-expect-error a tuple of three
await execute(tagged, { streams: ['a'], initial: 0, evolve: (n) => n, decide: () => [{ stream: 'a', type: 'Tagged', data: { tags: [], pair: [1, 2, 3], kind: 'b' } }] })
// @ts-expect-error a number in a list of objects
await execute(tagged, { streams: ['a'], initial: 0, evolve: (n) => n, decide: () => [{ stream: 'a', type: 'Nested', data: { kids: [1] } }] })
const declared: Command<DoorEvent, Door> = { streams: ['a'], initial: { id: 'a', status: 'open' }, evolve: (_door, event) => ({ id: event.stream, status: 'open' }), decide: () => [] }
await execute(store, declared)

// defineCommand
defineCommand(events, { streams: ['a'], initial: open, evolve: (_door, event) => ({ id: event.stream, status: 'open' }), decide: (door) => (door.status === 'open' ? [] : refuse('no')) })
const shut = defineCommand(events, (id: string) => ({
  streams: [id], initial: { id, status: 'open' } as Door, evolve: (_door, event) => ({ id: event.stream, status: 'open' }),
  decide: (door) => (expectTypeOf(door).toEqualTypeOf<Door>(), door.status === 'open' ? [] : refuse('no')),
}))
defineCommand(events, (id: string): Command<DoorEvent, Door> => ({ streams: [id], initial: { id, status: 'open' }, evolve: (_door, event) => ({ id: event.stream, status: 'open' }), decide: () => [] }))
defineCommand(events, (id: string) => ({ streams: [id], initial: [0, 0] as [number, number], evolve: ([a, b], _event) => [a + 1, b], decide: ([a]) => (a > 1 ? [] : refuse('no')) }))
defineCommand(events, (id: string) => ({ streams: [id], initial: 'open' as Door['status'], evolve: () => 'closed', decide: () => [] }))
// @ts-expect-error no such status
defineCommand(events, { streams: ['a'], initial: open, evolve: (door, event) => ({ id: event.stream, status: 'ajar' }), decide: () => [] })
const result = await execute(store, shut('a'))
if (result.type === 'refused') expectTypeOf(result.reason).toEqualTypeOf<'no'>()

// given
void given<DoorEvent>([]).when({ streams: ['a'], initial: open, evolve: (_door, event) => ({ id: event.stream, status: 'open' }), decide: () => [] })

// liveProjection
expectTypeOf(liveProjection(store, { initial: open, on: { Opened: (_door, event) => ({ id: event.stream, status: 'open' }), Closed: (door) => ({ ...door, status: 'closed' }) } }).getSnapshot()).extract<{ status: 'ready' }>().toHaveProperty('data').toEqualTypeOf<Door>()
liveProjection(store, { initial: open, on: { Opened: () => ({ id: 'a', status: 'open' }), Closed: () => ({ id: 'a', status: 'closed' }) } })
liveProjection(store, { initial: [0, 0] as [number, number], on: { Opened: ([a, b], event) => [a + event.data.n, b] } })
liveProjection(store, { initial: 'open' as Door['status'], on: { Opened: () => 'open', Closed: () => 'closed' } })
liveProjection(store, { initial: 'open' as Door['status'], on: { Opened: (status) => status, Closed: (status, event) => (event.data.by === '' ? status : 'closed') } })
liveProjection(store, { initial: null as number | null, on: { Opened: (n, event) => (n ?? 0) + event.data.n, Closed: () => null } })
liveProjection<DoorEvent, Door>(store, { initial: { id: 'a', status: 'open' }, on: { Opened: (_door, event) => ({ id: event.stream, status: 'open' }) } })
const specification: LiveProjectionSpec<DoorEvent, Door> = { initial: { id: 'a', status: 'open' }, on: { Opened: (_door, event) => ({ id: event.stream, status: 'open' }) } }
liveProjection(store, specification)
// @ts-expect-error no such status
liveProjection(store, { initial: open, on: { Opened: (door, event) => ({ id: event.stream, status: 'ajar' }) } })
// @ts-expect-error no such status, without parameters
liveProjection(store, { initial: open, on: { Opened: () => ({ id: 'a', status: 'ajar' }) } })
