// Tables: keys and indexes that IndexedDB can keep, and names of indexes that readers are held to.
import { expectTypeOf } from 'vitest'
import { z } from 'zod'
import { defineEvents, defineProjection, openEventStore, openReadModel, table } from 'tidemark'

interface Row {
  id: string; n: number; at: Date; bytes: Uint8Array; buffer: ArrayBuffer; status: 'open' | 'closed'; mixed: string | number; branded: string & { readonly __brand: 'Id' }
  maybe?: number; undef: number | undefined; deep: { day: string; hour?: number; flag: boolean }; optional?: { x: number }; record: Record<string, number>; parent?: Row
  done: boolean; due: number | null; gone: { x: number } | null; tags: string[]; pair: [number, number]; call: () => void; big: bigint; map: Map<string, string>; blob: Blob; unknown: unknown
}

// Keys: a string, a number or a Date, in every row.
for (const key of ['id', 'n', 'at', 'status', 'mixed', 'branded'] as const) void [table<Row>({ key }), table<Row>()({ key })]
// @ts-expect-error no such property
table<Row>({ key: 'name' })
// @ts-expect-error it may be missing
table<Row>({ key: 'maybe' })
// @ts-expect-error it may be undefined
table<Row>()({ key: 'undef' })
// @ts-expect-error it may be null
table<Row>()({ key: 'due' })
// @ts-expect-error a boolean
table<Row>()({ key: 'done' })
// @ts-expect-error bytes
table<Row>({ key: 'bytes' })
// @ts-expect-error a list
table<Row>({ key: 'tags' })
// @ts-expect-error a path
table<Row>({ key: 'deep.day' })
// @ts-expect-error not in every row
table<{ a: string } | { b: string }>({ key: 'a' })

// Indexes: a string, number, Date or bytes, through objects, optional or not.
table<Row>()({ key: 'id', indexes: { a: 'n', b: 'at', c: 'bytes', d: 'buffer', e: 'status', f: 'mixed', g: 'branded', h: 'maybe', i: 'undef' } })
table<Row>()({ key: 'id', indexes: { a: 'deep.day', b: 'deep.hour', c: 'optional.x', d: 'record.any', e: 'parent.parent.parent.n' } })
table<Row>()({ key: 'id', indexes: { a: ['deep.day', 'n'], b: ['n', 'at', 'optional.x'] } })
table<{ kind: 'a'; id: string; x: number } | { kind: 'b'; id: string; y?: string }>()({ key: 'id', indexes: { x: 'x', y: 'y', both: ['kind', 'id'] } })
// @ts-expect-error a boolean
table<Row>()({ key: 'id', indexes: { a: 'done' } })
// @ts-expect-error it may be null
table<Row>()({ key: 'id', indexes: { a: 'due' } })
// @ts-expect-error a list under a plain index
table<Row>()({ key: 'id', indexes: { a: 'tags' } })
// @ts-expect-error a tuple, too
table<Row>()({ key: 'id', indexes: { a: 'pair' } })
// @ts-expect-error a boolean within
table<Row>()({ key: 'id', indexes: { a: 'deep.flag' } })
// @ts-expect-error through what may be null
table<Row>()({ key: 'id', indexes: { a: 'gone.x' } })
// @ts-expect-error an object
table<Row>()({ key: 'id', indexes: { a: 'deep' } })
// @ts-expect-error a string is no object
table<Row>()({ key: 'id', indexes: { a: 'id.length' } })
// @ts-expect-error neither is a list
table<Row>()({ key: 'id', indexes: { a: 'tags.length' } })
// @ts-expect-error nor a Map
table<Row>()({ key: 'id', indexes: { a: 'map.size' } })
// @ts-expect-error nor a Blob
table<Row>()({ key: 'id', indexes: { a: 'blob.size' } })
// @ts-expect-error a function
table<Row>()({ key: 'id', indexes: { a: 'call' } })
// @ts-expect-error a bigint
table<Row>()({ key: 'id', indexes: { a: 'big' } })
// @ts-expect-error it may be anything
table<Row>()({ key: 'id', indexes: { a: 'unknown' } })
// @ts-expect-error no such property
table<Row>()({ key: 'id', indexes: { a: 'typo' } })
// @ts-expect-error no such property within
table<Row>()({ key: 'id', indexes: { a: 'deep.typo' } })
// @ts-expect-error a list of one
table<Row>()({ key: 'id', indexes: { a: ['n'] } })
// @ts-expect-error a boolean in a list
table<Row>()({ key: 'id', indexes: { a: ['n', 'done'] } })
// @ts-expect-error one of two is wrong
table<Row>()({ key: 'id', indexes: { a: 'n', b: ['n', 'typo'] } })
// @ts-expect-error a boolean or a string
table<{ id: string; b: boolean | string }>()({ key: 'id', indexes: { a: 'b' } })
// @ts-expect-error a boolean that may be missing
table<{ id: string; b?: boolean }>()({ key: 'id', indexes: { a: 'b' } })
// @ts-expect-error null or missing
table<{ id: string; b?: number | null }>()({ key: 'id', indexes: { a: 'b' } })

// Indexes with options.
table<Row>()({ key: 'id', indexes: { a: { path: 'tags', multiEntry: true }, b: { path: 'n', unique: true }, c: { path: ['n', 'at'], unique: true }, d: { path: 'deep.day' }, e: { path: 'maybe', unique: true, multiEntry: false }, f: { path: 'pair', multiEntry: true, unique: true } } })
table<{ id: string; optional?: readonly string[]; mixed: (string | number | Date)[]; deep?: { list: Uint8Array[] } }>()({ key: 'id', indexes: { a: { path: 'optional', multiEntry: true }, b: { path: 'mixed', multiEntry: true }, c: { path: 'deep.list', multiEntry: true } } })
// @ts-expect-error a list under a plain index
table<Row>()({ key: 'id', indexes: { a: { path: 'tags' } } })
// @ts-expect-error a list that is unique only as a whole
table<Row>()({ key: 'id', indexes: { a: { path: 'tags', unique: true } } })
// @ts-expect-error no list
table<Row>()({ key: 'id', indexes: { a: { path: 'n', multiEntry: true } } })
// @ts-expect-error several properties have no items
table<Row>()({ key: 'id', indexes: { a: { path: ['n', 'tags'], multiEntry: true } } })
// @ts-expect-error no such property
table<Row>()({ key: 'id', indexes: { a: { path: 'typo', multiEntry: true } } })
// @ts-expect-error no such property of a unique one
table<Row>()({ key: 'id', indexes: { a: { path: 'typo', unique: true } } })
// @ts-expect-error a boolean
table<Row>()({ key: 'id', indexes: { a: { path: 'done', unique: true } } })
// @ts-expect-error a misspelt option
table<Row>()({ key: 'id', indexes: { a: { path: 'n', uniqe: true } } })
// @ts-expect-error an option of the wrong type
table<Row>()({ key: 'id', indexes: { a: { path: 'n', unique: 'yes' } } })
// @ts-expect-error no path
table<Row>()({ key: 'id', indexes: { a: { unique: true } } })
// @ts-expect-error items that may be null
table<{ id: string; list: (string | null)[] }>()({ key: 'id', indexes: { a: { path: 'list', multiEntry: true } } })
// @ts-expect-error items that are booleans
table<{ id: string; list: boolean[] }>()({ key: 'id', indexes: { a: { path: 'list', multiEntry: true } } })
// @ts-expect-error items that are lists
table<{ id: string; list: string[][] }>()({ key: 'id', indexes: { a: { path: 'list', multiEntry: true } } })
// @ts-expect-error items that are objects
table<{ id: string; list: { a: 1 }[] }>()({ key: 'id', indexes: { a: { path: 'list', multiEntry: true } } })
// @ts-expect-error a list or null
table<{ id: string; list: string[] | null }>()({ key: 'id', indexes: { a: { path: 'list', multiEntry: true } } })
// @ts-expect-error a list or a text
table<{ id: string; list: string[] | string }>()({ key: 'id', indexes: { a: { path: 'list', multiEntry: true } } })

// Keys of several properties.
void [table<Row>({ key: ['id', 'n'] }), table<Row>()({ key: ['id', 'at', 'status'], indexes: { byN: 'n' } })]
// @ts-expect-error a list of one
table<Row>({ key: ['id'] })
// @ts-expect-error one of them may be missing
table<Row>()({ key: ['id', 'maybe'] })
// @ts-expect-error one of them is a boolean
table<Row>({ key: ['id', 'done'] })
// @ts-expect-error one of them is not there
table<Row>()({ key: ['id', 'typo'], indexes: { byN: 'n' } })

// @ts-expect-error misspelt
table<Row>()({ key: 'id', idexes: { a: 'n' } })
// @ts-expect-error this form knows no indexes
table<Row>({ key: 'id', indexes: { a: 'n' } })

// Names of indexes.
const schema = z.object({ day: z.string(), n: z.number(), flag: z.boolean(), optional: z.string().optional(), nullable: z.number().nullable() })
const events = defineEvents<{ type: 'A'; data: 1 }>()
const store = await openEventStore({ name: 'tables', events })
const view = await openReadModel(store, defineProjection(events, {
  name: 'tables', on: { A: () => {} },
  tables: {
    some: table<Row>()({ key: 'id', indexes: { byN: 'n' } }), none: table<Row>({ key: 'id' }), noneEither: table<Row>()({ key: 'id' }),
    plain: { key: 'id' }, plainWithIndex: { key: 'id', indexes: { byX: 'x' } },
    described: { key: 'day', schema, indexes: { byN: 'n', both: ['day', 'optional'] } }, describedWithout: { key: 'day', schema },
    twice: table<z.infer<typeof schema>>()({ key: 'day', schema, indexes: { byN: 'n' } }),
  },
}))
expectTypeOf(await view.some.getAll({ index: 'byN' })).toEqualTypeOf<Row[]>()
expectTypeOf(await view.none.getAll()).toEqualTypeOf<Row[]>()
expectTypeOf(await view.noneEither.getAll()).toEqualTypeOf<Row[]>()
expectTypeOf(await view.described.getAll({ index: 'both' })).toEqualTypeOf<z.infer<typeof schema>[]>()
expectTypeOf(await view.twice.getAll({ index: 'byN' })).toEqualTypeOf<z.infer<typeof schema>[]>()
await view.plainWithIndex.count({ index: 'byX' })
await view.some.getAll({ index: 'byN', ranges: [1, { lower: 3 }], after: { id: 'a', n: 1 }, limit: 2 })
// @ts-expect-error not a row of the table
await view.some.getAll({ after: { nr: 1 } })
expectTypeOf(await view.some.getMany(['a'])).toEqualTypeOf<(Row | undefined)[]>()
// Handlers know the indexes as well.
defineProjection(events, {
  name: 'asking',
  tables: { some: table<Row>()({ key: 'id', indexes: { byN: 'n', byTag: { path: 'tags', multiEntry: true } } }), of: { key: ['day', 'n'], schema, indexes: { byDay: { path: 'day', unique: true } } } },
  on: {
    A: async (_event, { some, of }) => {
      expectTypeOf(await some.getAll({ index: 'byTag', range: 'a' })).toEqualTypeOf<Row[]>()
      expectTypeOf(await of.getAll({ index: 'byDay' })).toEqualTypeOf<z.infer<typeof schema>[]>()
      expectTypeOf(await of.getMany([['a', 1]])).toEqualTypeOf<(z.infer<typeof schema> | undefined)[]>()
      // @ts-expect-error no such index
      await some.getAll({ index: 'typo' })
    },
  },
})
// Changes of a row: any of its properties but the key.
defineProjection(events, {
  name: 'patching',
  tables: { some: table<Row>()({ key: 'id', indexes: { byN: 'n' } }), two: table<Row>()({ key: ['id', 'n'] }), short: table<Row>({ key: 'id' }), of: { key: 'day', schema }, plain: { key: 'id' }, either: table<{ kind: 'a'; id: string; x: number } | { kind: 'b'; id: string; y?: string }>()({ key: 'id' }) },
  on: {
    A: async (_event, { some, two, short, of, plain, either }) => {
      expectTypeOf(await some.patch('a', { n: 1, maybe: 2 })).toEqualTypeOf<boolean>()
      await two.patch(['a', 1], { done: true }); await short.patch('a', { n: 1 }); await of.patch('a', { n: 1 }); await plain.patch('a', { x: 1 }); await either.patch('a', { x: 1 }); await either.patch('a', { y: 'a' })
      const all: { id: string; n: number } = { id: 'a', n: 1 }
      await some.patch('a', all)
      // @ts-expect-error the key stays
      await some.patch('a', { id: 'b' })
      // @ts-expect-error each part of it
      await two.patch(['a', 1], { n: 2 })
      // @ts-expect-error of a table with a schema, too
      await of.patch('a', { day: 'b' })
      // @ts-expect-error of another type
      await some.patch('a', { n: '1' })
      // @ts-expect-error misspelt
      await some.patch('a', { nn: 1 })
    },
  },
})
defineProjection(events, { name: 'returned', tables: { some: table<Row>({ key: 'id' }) }, on: { A: (_event, { some }) => some.patch('a', { n: 1 }) } })
// @ts-expect-error the table declares no such index
await view.some.getAll({ index: 'typo' })
// @ts-expect-error nor does this one
await view.some.count({ index: 'typo' })
// @ts-expect-error it has none
await view.none.getAll({ index: 'typo' })
// @ts-expect-error it has none, in the other form
await view.noneEither.getAll({ index: 'typo' })
// @ts-expect-error it has none, declared without a function
await view.plain.count({ index: 'typo' })
// @ts-expect-error no such index
await view.plainWithIndex.count({ index: 'typo' })
// @ts-expect-error no such index of a table with a schema
await view.described.getAll({ index: 'typo' })
// @ts-expect-error none of a table with a schema
await view.describedWithout.getAll({ index: 'typo' })
// @ts-expect-error within a live query
view.live(({ some }) => some.getAll({ index: 'typo' }))

// Tables that a schema describes are held to the same.
const on = { A: () => {} }
// @ts-expect-error no such property
defineProjection(events, { name: 'a', on, tables: { days: { key: 'dya', schema } } })
// @ts-expect-error the key is a boolean
defineProjection(events, { name: 'a', on, tables: { days: { key: 'flag', schema } } })
// @ts-expect-error the key may be missing
defineProjection(events, { name: 'a', on, tables: { days: { key: 'optional', schema } } })
// @ts-expect-error an index of booleans
defineProjection(events, { name: 'a', on, tables: { days: { key: 'day', schema, indexes: { a: 'flag' } } } })
// @ts-expect-error an index of what may be null
defineProjection(events, { name: 'a', on, tables: { days: { key: 'day', schema, indexes: { a: 'nullable' } } } })
// @ts-expect-error a unique index of booleans
defineProjection(events, { name: 'a', on, tables: { days: { key: 'day', schema, indexes: { a: { path: 'flag', unique: true } } } } })
// @ts-expect-error a key of several properties, one of which may be missing
defineProjection(events, { name: 'a', on, tables: { days: { key: ['day', 'optional'], schema } } })
// @ts-expect-error an index of what is not there
defineProjection(events, { name: 'a', on, tables: { days: { key: 'day', schema, indexes: { a: ['day', 'typo'] } } } })
// @ts-expect-error the schema makes other rows
table<Row>()({ key: 'id', schema })

// Reserved names of tables.
const free = table<Row>({ key: 'id' })
defineProjection(defineEvents<{ type: 'A'; data: null }>(), { name: 'a', tables: { names: free, a$: free }, on: { A: () => {} } })
// @ts-expect-error a view has a member of this name
defineProjection(defineEvents<{ type: 'A'; data: null }>(), { name: 'a', tables: { live: free }, on: { A: () => {} } })
// @ts-expect-error so it may get
defineProjection(defineEvents<{ type: 'A'; data: null }>(), { name: 'a', tables: { rows: free, confirmed: free }, on: { A: () => {} } })
// @ts-expect-error reserved for what is added later
defineProjection(defineEvents<{ type: 'A'; data: null }>(), { name: 'a', tables: { $rows: free }, on: { A: () => {} } })
// @ts-expect-error the second call is missing
defineProjection(defineEvents<{ type: 'A'; data: null }>(), { name: 'a', tables: { rows: table<Row>() }, on: { A: () => {} } })
