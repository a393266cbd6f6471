// Ranges: single keys and bounds are of the type of what an index sorts by, on every surface that takes them.
import { expectTypeOf } from 'vitest'
import { z } from 'zod'
import { defineEvents, defineProjection, openEventStore, openReadModel, table, tidemark, type CountOptions, type KeysOf, type QueryOptions, type RangeOf, type TableReader } from 'tidemark'

interface Row {
  id: string; n: number; at: Date; bytes: Uint8Array; done: 0 | 1; status: 'open' | 'closed'; owner: string & { readonly __brand: 'Owner' }
  maybe?: number; mixed: string | number; tags: string[]; sizes: (string | number)[]; deep?: { day: string }
}
const rows = table<Row>()({
  key: 'id',
  indexes: {
    byN: 'n', byAt: 'at', byBytes: 'bytes', byDone: 'done', byStatus: { path: 'status', unique: true }, byOwner: 'owner', byMaybe: 'maybe', byMixed: 'mixed', byDay: 'deep.day',
    byTag: { path: 'tags', multiEntry: true }, bySize: { path: 'sizes', multiEntry: true }, byDoneAt: ['done', 'at'], byThree: { path: ['status', 'n', 'deep.day'] },
  },
})
expectTypeOf<KeysOf<typeof rows>['key']>().toEqualTypeOf<string>()
expectTypeOf<KeysOf<typeof rows>['indexes']['byThree']>().toEqualTypeOf<readonly ['open' | 'closed', number, string]>()
expectTypeOf<KeysOf<typeof rows>['indexes']['byMaybe']>().toEqualTypeOf<number>()
expectTypeOf<KeysOf<typeof rows>['indexes']['bySize']>().toEqualTypeOf<string | number>()

const schema = z.object({ day: z.string(), n: z.number(), hours: z.array(z.number()).optional() })
const events = defineEvents<{ type: 'A'; data: 1 }>()
const model = defineProjection(events, {
  name: 'ranges',
  tables: {
    rows, seats: table<{ team: string; seat: number; day?: string }>()({ key: ['team', 'seat'], indexes: { byDay: 'day' } }),
    short: table<Row>({ key: 'n' }), described: { key: 'day', schema, indexes: { byN: 'n', byBoth: ['n', 'day'], byHour: { path: 'hours', multiEntry: true } } },
    plain: { key: 'id', indexes: { byX: 'x', byXY: ['x', 'y'] } }, loose: table<Record<string, unknown>>({ key: 'id' }),
  },
  on: {
    A: async (_event, { rows: list }) => {
      await list.getAll({ index: 'byN', range: 1 })
      // @ts-expect-error handlers, too: the index has numbers
      await list.getAll({ index: 'byN', range: '1' })
    },
  },
})
const view = await openReadModel(await openEventStore({ name: 'ranges', events }), model)
const list = view.rows
const date = new Date()

// Single keys.
list.live({ range: 'a' }); list.live({ index: 'byN', range: 1 }); list.live({ index: 'byAt', range: date }); list.live({ index: 'byBytes', range: new ArrayBuffer(1) })
list.live({ index: 'byDone', range: 1 }); list.live({ index: 'byStatus', ranges: ['open', { lower: 'o' }] }); list.live({ index: 'byMaybe', range: 1 }); list.live({ index: 'byDay', range: 'a' })
list.live({ index: 'byMixed', ranges: [1, 'a', { lower: 0, upper: 'z' }] }); list.live({ index: 'byTag', range: 'a' }); list.live({ index: 'bySize', ranges: [1, 'a'] })
list.live({ index: 'byDoneAt', range: [1, date] }); list.live({ index: 'byThree', ranges: [['open', 1, 'a'], { lower: ['open'] }] }); list.live({ index: 'byOwner', range: 'ann' as Row['owner'] })
view.seats.live({ range: ['red', 1] }); view.seats.live({ range: { lower: ['red'], upper: ['red', []] } }); view.seats.live({ index: 'byDay', range: 'a' })
// @ts-expect-error the key of the table is a text
list.live({ range: 1 })
// @ts-expect-error a number
list.live({ index: 'byN', range: 'a' })
// @ts-expect-error no list
list.live({ index: 'byN', range: [1] })
// @ts-expect-error a Date
list.live({ index: 'byAt', range: 1 })
// @ts-expect-error bytes
list.live({ index: 'byBytes', range: 'a' })
// @ts-expect-error no such value
list.live({ index: 'byDone', range: 2 })
// @ts-expect-error misspelt
list.live({ index: 'byStatus', ranges: ['opne'] })
// @ts-expect-error any text is no owner
list.live({ index: 'byOwner', range: 'ann' })
// @ts-expect-error within an object
list.live({ index: 'byDay', range: 1 })
// @ts-expect-error an item, not the list
list.live({ index: 'byTag', range: ['a'] })
// @ts-expect-error neither
list.live({ index: 'bySize', ranges: [date] })
// @ts-expect-error a single key has all properties
list.live({ index: 'byDoneAt', range: [1] })
// @ts-expect-error and no more
list.live({ index: 'byDoneAt', range: [1, date, 1] })
// @ts-expect-error in their order
list.live({ index: 'byDoneAt', range: [date, 1] })
// @ts-expect-error the first property alone is no key
list.live({ index: 'byDoneAt', range: 1 })
// @ts-expect-error a key of several properties
view.seats.live({ range: ['red', '1'] })
// @ts-expect-error a null
list.live({ index: 'byMaybe', range: null })

// Spans: open ends, what begins with a text, the beginning of a list, bounds that no row has.
list.live({ index: 'byN', range: {} }); list.live({ index: 'byN', range: { lower: 3, lowerOpen: true } }); list.live({ index: 'byN', range: { lower: 1, upper: undefined } })
const text = 'a' as string; list.live({ index: 'byDay', range: { lower: text, upper: text + '\uffff' } }); list.live({ index: 'byStatus', range: { lower: 'o', upper: 'o\uffff' } }); list.live({ index: 'byOwner', range: { lower: text } })
const done = 0 as Row['done']; list.live({ index: 'byDoneAt', range: { lower: [done], upper: [done + 1], upperOpen: true }, direction: 'prev' })
list.live({ index: 'byDoneAt', range: { lower: [1], upper: [1, []] } }); list.live({ index: 'byThree', range: { lower: ['open', 1], upper: ['open', []] } }); list.live({ index: 'byThree', range: { lower: [] } })
list.live({ index: 'byN', range: IDBKeyRange.only(1) }); list.live({ index: 'byDoneAt', range: IDBKeyRange.bound([1], [1, []]) })
const kept = { index: 'byDoneAt', range: { lower: [1], upper: [1, []] }, direction: 'prev' } as const; list.live(kept); list.live({ ...kept, after: { id: 'a', done: 1, at: date } })
// @ts-expect-error a bound of another type
list.live({ index: 'byN', range: { lower: 'a' } })
// @ts-expect-error the other bound
list.live({ index: 'byN', range: { lower: 1, upper: '9' } })
// @ts-expect-error in a list of ranges
list.live({ index: 'byN', ranges: [1, { upper: '9' }] })
// @ts-expect-error within a list
list.live({ index: 'byDoneAt', range: { lower: ['open'] } })
// @ts-expect-error the second property
list.live({ index: 'byDoneAt', range: { lower: [1, 1] } })
// @ts-expect-error longer than the list
list.live({ index: 'byDoneAt', range: { lower: [1, date, 1] } })
// @ts-expect-error no list
list.live({ index: 'byDoneAt', range: { lower: 1 } })
// @ts-expect-error misspelt
list.live({ index: 'byN', range: { from: 1 } })

// On every surface.
await view.rows.getAll({ index: 'byN', range: 1 }); await list.count({ index: 'byN', range: { upper: 1 } }); list.liveCount({ index: 'byTag', ranges: ['a'] }); list.livePages({ index: 'byDoneAt', range: { lower: [1] }, direction: 'prev', pageSize: 3 })
view.live(({ rows: all }) => all.getAll({ index: 'byN', range: 1 })); view.tables.rows.live({ index: 'byN', range: 1 })
const app = tidemark({ name: 'ranges', events, models: { model } }); app.model.rows.live({ index: 'byN', range: 1 }); app.model.live(['a'], ({ rows: all }) => all.count({ index: 'byN', range: 1 }))
// @ts-expect-error read once
await view.rows.getAll({ index: 'byN', range: 'a' })
// @ts-expect-error counted
await list.count({ index: 'byN', range: 'a' })
// @ts-expect-error counted live
list.liveCount({ index: 'byN', range: 'a' })
// @ts-expect-error in pages
list.livePages({ index: 'byN', range: 'a', pageSize: 1 })
// @ts-expect-error within a live query
view.live(({ rows: all }) => all.getAll({ index: 'byN', range: 'a' }))
// @ts-expect-error in a view of any tables
view.tables.rows.live({ index: 'byN', range: 'a' })
// @ts-expect-error in an app
app.model.rows.live({ index: 'byN', range: 'a' })
// @ts-expect-error in a query of an app
app.model.live(['a'], ({ rows: all }) => all.count({ index: 'byN', range: 'a' }))
// Tables with a schema.
view.described.live({ range: 'a' }); view.described.live({ index: 'byBoth', range: { lower: [1] } }); view.described.live({ index: 'byHour', range: 1 })
// @ts-expect-error a number
view.described.live({ index: 'byN', range: 'a' })
// @ts-expect-error an item
view.described.live({ index: 'byHour', range: 'a' })
// @ts-expect-error the key
view.described.live({ range: 1 })

// An index that is chosen at run time: the range must fit each.
const byTime = true as boolean
list.live({ index: byTime ? 'byN' : 'byDone', direction: 'prev' }); list.live({ index: byTime ? 'byN' : 'byDone', range: 1 }); list.live({ index: byTime ? 'byTag' : 'byN' })
// @ts-expect-error a number fits one of them
list.live({ index: byTime ? 'byN' : 'byTag', range: 1 })

// What is not known stays open: rows without a type, a table whose key property the compiler does not know, any table.
view.plain.live({ range: 1 }); view.plain.live({ index: 'byX', ranges: ['a', 1, date, [1], { lower: 1 }] }); view.plain.live({ index: 'byXY', range: { lower: ['a'], upper: [1, []] } }); view.loose.live({ range: 'a' })
view.short.live({ range: 1 }); view.short.live({ range: { lower: 'a' } })
// @ts-expect-error but not what is no key
view.plain.live({ index: 'byX', range: true })
const any = (reader: TableReader<object>, options: QueryOptions, counted: CountOptions) => Promise.all([reader.getAll(options), reader.count(counted), reader.getAll({ index: 'whatever', range: [1] })])
await any(list, { index: 'byN', range: 'a' }, {})
const mine: QueryOptions<KeysOf<typeof rows>, Row> = { index: 'byN', range: 1, after: { id: 'a', n: 1 } }
await list.getAll(mine)
const range: RangeOf<readonly [string, number]> = { lower: ['a'] }
void view.seats.count({ range })
