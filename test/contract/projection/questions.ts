/** What readers may ask for, and what is refused because it is misspelt or makes no sense. */
import { describe, expect, test } from 'vitest'
import { defineProjection, deleteReadModel, openReadModel, runProjection, table, verifyReadModel } from 'tidemark'
import { added, events, newName, type Backend } from './model.js'

interface Row {
  readonly name: string
  readonly n: number
}
const both = () =>
  defineProjection(events, {
    name: 'both',
    tables: { packed: table<Row>({ key: 'name' }), indexed: table<Row>()({ key: 'name', indexes: { byN: 'n' } }) },
    on: {
      Added: ({ data }, { packed, indexed }) => {
        packed.put({ name: data.to, n: data.amount })
        indexed.put({ name: data.to, n: data.amount })
      },
    },
  })
const sparse = ['a', , 'b']

export function questionsContract({ name, open }: Backend): void {
  describe(`questions of readers: ${name}`, () => {
    const filled = async () => {
      const store = await open(newName())
      await store.append({
        stream: 's',
        events: Array.from({ length: 150 }, (_, at) => added(`k${String(at).padStart(3, '0')}`, at)),
      })
      await runProjection(store, both())
      return { store, view: await openReadModel(store, both()) }
    }

    test('a limit may be any whole number and Infinity, of a page of the log every safe one', async () => {
      const { store, view } = await filled()
      const limits = [
        150,
        1_000,
        2 ** 31,
        2 ** 32 - 1,
        2 ** 32,
        2 ** 37,
        2 ** 40,
        Number.MAX_SAFE_INTEGER,
        2 ** 60,
        Number.MAX_VALUE,
        Infinity,
      ]
      for (const limit of limits) {
        for (const reader of [view.packed, view.indexed]) {
          for (const direction of ['next', 'prev'] as const) {
            const rows = await reader.getAll({ limit, direction })
            expect([rows.length, rows[0]?.n], `${limit} ${direction}`).toEqual([150, direction === 'next' ? 0 : 149])
            expect(await reader.getAll({ limit, direction, range: { lower: 'k100' } })).toHaveLength(50)
          }
        }
        expect(await view.indexed.getAll({ index: 'byN', limit, direction: 'prev', range: { upper: 9 } })).toHaveLength(
          10,
        )
        if (!Number.isSafeInteger(limit)) continue
        expect((await store.readPage({ limit })).events).toHaveLength(150)
        const stream = []
        for await (const event of store.readStream('s', { limit })) stream.push(event)
        expect(stream).toHaveLength(150)
      }
      await runProjection(store, {
        name: 'plain',
        apply: () => {
          throw new Error('bad')
        },
        onFailure: () => 'park' as const,
      })
      for (const limit of [150, 2 ** 32, Number.MAX_SAFE_INTEGER])
        expect(await store.checkpoints.deadLetters('plain', 0, limit)).toHaveLength(150)
      expect(await store.checkpoints.deadLetters('plain', 148, 0)).toEqual([])
      for (const [after, limit] of [
        [0, -1],
        [0, Number.NaN],
        [0, Infinity],
        [Number.NaN, 1],
        [-1, 1],
        ['0', 1],
      ] as [number, number][]) {
        await expect(store.checkpoints.deadLetters('plain', after, limit)).rejects.toMatchObject({
          code: 'invalid-argument',
        })
      }
      for (const limit of [-1, 1.5, Number.NaN, -Infinity, '3', null, 3n, true]) {
        for (const reader of [view.packed, view.indexed]) {
          await expect(reader.getAll({ limit: limit as never })).rejects.toMatchObject({
            code: 'invalid-argument',
            message: expect.stringContaining('limit'),
          })
        }
      }
      await view.close()
      await store.close()
    })

    test.for<[string, unknown]>([
      ['true', true],
      ['null', null],
      ['NaN', Number.NaN],
      ['an invalid Date', new Date(Number.NaN)],
      ['a bigint', 5n],
      ['a function', () => true],
      ['a symbol', Symbol('x')],
      ['a Map', new Map([['lower', 'k1']])],
      ['a Set', new Set()],
      ['an object that inherits its bounds', Object.create({ lower: 'k1' })],
      ['misspelt bounds', { from: 2 }],
      ['one of them misspelt', { lower: 'k1', uper: 'k2' }],
      ['a symbol for a bound', { [Symbol('lower')]: 1 }],
      ['a sparse list', sparse],
      ['a bound that is null', { lower: null }],
      ['a bound that is a sparse list', { upper: sparse }],
      ['a bound that is an object', { lower: {} }],
      ['a bound that is NaN', { upper: Number.NaN }],
      ['a bound that is a boolean', { lower: false }],
      ['an end that is neither open nor not', { lower: 'k1', lowerOpen: 'false' }],
      ['an end that is null', { upper: 'k1', upperOpen: null }],
      ['a RegExp', /k/],
      ['a list with null', [null]],
      ['an empty string object', new String('')],
      ['a Blob', new Blob([])],
    ])('%s is no range: refused by name, also where the limit is 0', async ([, range]) => {
      const { store, view } = await filled()
      for (const reader of [view.packed, view.indexed]) {
        const problem = { code: 'invalid-argument', message: expect.stringMatching(/^range/) }
        await expect(reader.getAll({ range: range as never })).rejects.toMatchObject(problem)
        await expect(reader.getAll({ range: range as never, limit: 0, direction: 'prev' })).rejects.toMatchObject(
          problem,
        )
        await expect(reader.count({ range: range as never })).rejects.toMatchObject(problem)
      }
      await expect(view.indexed.count({ index: 'byN', range: range as never })).rejects.toMatchObject({
        code: 'invalid-argument',
      })
      await view.close()
      await store.close()
    })

    test('a range may be empty, have one end, none, be a single key of any type, or be an IDBKeyRange', async () => {
      const { store, view } = await filled()
      const key = (at: number) => `k${String(at).padStart(3, '0')}`
      const ranges: [unknown, number][] = [
        [{}, 150],
        [undefined, 150],
        [{ lower: undefined, upper: undefined }, 150],
        [{ lower: key(149) }, 1],
        [{ lower: key(149), lowerOpen: true }, 0],
        [{ upper: key(0), upperOpen: undefined }, 1],
        [{ lower: key(9), upper: key(3) }, 0],
        [{ lower: key(3), upper: key(3), upperOpen: true }, 0],
        [{ lower: key(3), upper: key(3) }, 1],
        [key(70), 1],
        ['k', 0],
        [7, 0],
        [new Date(0), 0],
        [new Uint8Array([1]), 0],
        [{ lower: new Uint8Array([1]) }, 0],
        [{ upper: new Uint8Array([1]) }, 150],
        [['k'], 0],
        [[], 0],
        [{ upper: [] }, 150],
        [{ lower: -Infinity, upper: [[]] }, 150],
        [Object.assign(Object.create(null), { lower: key(148) }), 2],
      ]
      if (typeof IDBKeyRange !== 'undefined')
        ranges.push(
          [IDBKeyRange.bound(key(10), key(20), true, false), 10],
          [IDBKeyRange.only(key(5)), 1],
          [IDBKeyRange.upperBound(key(3)), 4],
          [IDBKeyRange.lowerBound(key(140), true), 9],
        )
      for (const [range, count] of ranges) {
        for (const reader of [view.packed, view.indexed]) {
          const found = (await reader.getAll({ range: range as never })).map(({ name }) => name)
          expect([found.length, await reader.count({ range: range as never })], JSON.stringify(range)).toEqual([
            count,
            count,
          ])
          expect(
            (await reader.getAll({ range: range as never, direction: 'prev' })).map(({ name }) => name).reverse(),
          ).toEqual(found)
          expect((await reader.getAll({ range: range as never, limit: 3 })).map(({ name }) => name)).toEqual(
            found.slice(0, 3),
          )
        }
      }
      await view.close()
      await store.close()
    })

    test('what is asked for is what was asked for, whatever becomes of the options after the call', async () => {
      const { store, view } = await filled()
      const options = { range: { lower: ['x'] as never as string, upper: 'k001' }, limit: 1 }
      options.range.lower = 'k000'
      const asked = [
        view.packed.getAll(options),
        view.indexed.getAll(options),
        view.packed.count({ range: options.range }),
      ]
      Object.assign(options, { limit: 100 })
      Object.assign(options.range, { upper: 'z' })
      expect((await Promise.all(asked)).map((each) => (typeof each === 'number' ? each : each.length))).toEqual([
        1, 1, 2,
      ])
      await view.close()
      await store.close()
    })

    test('an option that is misspelt or not there is refused, with its name and those that are there', async () => {
      const { store, view } = await filled()
      const refused = (name: string, known: string) => ({
        code: 'invalid-argument',
        message: expect.stringMatching(new RegExp(`'${name}'.*${known}`)),
      })
      for (const reader of [view.packed, view.indexed]) {
        await expect(reader.getAll({ indx: 'byN' } as never)).rejects.toMatchObject(
          refused('indx', 'index, range, ranges, direction, limit, after'),
        )
        await expect(reader.getAll({ limit: 0, offset: 3 } as never)).rejects.toMatchObject(refused('offset', 'limit'))
        await expect(reader.count({ limit: 3 } as never)).rejects.toMatchObject(refused('limit', 'index, range'))
        for (const bad of [null, 'byN', 3, true])
          await expect(reader.getAll(bad as never)).rejects.toMatchObject({ code: 'invalid-argument' })
        expect(
          await reader.getAll({ index: undefined, range: undefined, direction: undefined, limit: undefined } as never),
        ).toHaveLength(150)
        expect(await reader.count({ index: undefined, range: undefined } as never)).toBe(150)
      }
      await expect(verifyReadModel(store, both(), { sginal: undefined } as never)).rejects.toMatchObject(
        refused('sginal', 'signal'),
      )
      expect(() => view.live('packed' as never)).toThrow(expect.objectContaining({ code: 'invalid-argument' }))
      for (const bad of [undefined, {}, { name: 'both', tables: {} }, 'both']) {
        await expect(openReadModel(store, bad as never)).rejects.toMatchObject({ code: 'invalid-argument' })
        await expect(deleteReadModel(store, bad as never)).rejects.toMatchObject({ code: 'invalid-argument' })
        await expect(verifyReadModel(store, bad as never)).rejects.toMatchObject({ code: 'invalid-argument' })
      }
      await view.close()
      await store.close()
    })
  })
}

export function declarationsContract(): void {
  const on = { Added: () => {} }
  test.for<[string, object, string]>([
    [
      'a property of a table',
      { name: 'x', tables: { rows: { key: 'id', index: { byN: 'n' } } }, on },
      "tables.rows has no property 'index'. It may have key, indexes, schema.",
    ],
    [
      'a property of the projection',
      { name: 'x', tables: {}, on, filters: { types: ['Added'] } },
      "projection has no property 'filters'. It may have name, version, tables, on, fold, filter, onFailure.",
    ],
    ['a policy', { name: 'x', tables: {}, on, onErorr: () => 'park' }, "'onErorr'"],
    ['tables that are a list of names', { name: 'x', tables: { rows: 'id' }, on }, 'tables.rows'],
    [
      'indexes that are a list',
      { name: 'x', tables: { rows: { key: 'id', indexes: ['n'] } }, on },
      'tables.rows.indexes',
    ],
  ])('%s that is misspelt is refused when it is declared', ([, specification, message]) => {
    expect(() => defineProjection(events, specification as never)).toThrow(
      expect.objectContaining({ code: 'invalid-argument', message: expect.stringContaining(message) }),
    )
  })
}
