/** Rows that are put are copies: what the app does to its objects afterwards changes nothing, and nothing of the app is frozen. */
import { describe, expect, test } from 'vitest'
import { defineProjection, openReadModel, runProjection, table, type TypedTable } from 'tidemark'
import { added, events, newName, other, type Backend } from './model.js'

interface Row {
  readonly id: unknown
  [part: string]: unknown
}

export function copiesContract({ name, open }: Backend): void {
  describe(`rows are copies: ${name}`, () => {
    /** The rows that are stored after `put` was called for each event. */
    const rowsAfter = async (
      put: (
        rows: { put(row: Row): void; get(key: never): Promise<unknown>; delete(key: never): void },
        at: number,
      ) => unknown,
      count = 1,
      indexed = false,
    ) => {
      const store = await open(newName())
      await store.append({ stream: 's', events: Array.from({ length: count }, (_, at) => added('a', at)) })
      const definition = defineProjection(events, {
        name: 'copies',
        tables: { rows: (indexed ? { key: 'id', indexes: { byAt: 'at' } } : { key: 'id' }) as TypedTable<Row> },
        on: { Added: async ({ data }, { rows }) => void (await put(rows as never, data.amount)) },
        onFailure: () => 'park',
      })
      const result = await runProjection(store, definition)
      const view = await openReadModel(store, definition)
      const rows = await view.rows.getAll()
      await view.close()
      await store.close()
      return { rows, result }
    }

    test.for([[false], [true]] as const)(
      'what is changed after put changes nothing that is stored, and stays changeable (indexed: %s)',
      async ([indexed]) => {
        const shared = {
          list: [1, { deep: true }],
          at: new Date(5),
          map: new Map([['a', { n: 1 }]]),
          bytes: new Uint8Array([1, 2]),
          nothing: null,
          missing: undefined,
        }
        const row = { id: 'a', shared, again: shared, n: 1 } as {
          id: string
          n: number
          shared: typeof shared
          again: unknown
          more?: string
        }
        const { rows } = await rowsAfter(
          (rows) => {
            rows.put(row)
            row.n = 2
            row.more = 'x'
            shared.list.push(3)
            ;(shared.list[1] as { deep: boolean }).deep = false
            shared.at.setTime(0)
            ;(shared.map.get('a') as { n: number }).n = 9
            shared.bytes[0] = 9
          },
          1,
          indexed,
        )
        const before = {
          list: [1, { deep: true }],
          at: new Date(5),
          map: new Map([['a', { n: 1 }]]),
          bytes: new Uint8Array([1, 2]),
          nothing: null,
          missing: undefined,
        }
        expect(rows).toEqual([{ id: 'a', shared: before, again: before, n: 1 }])
        for (const object of [row, shared, shared.list, shared.list[1]]) expect(Object.isFrozen(object)).toBe(false)
      },
    )

    test('a key that is a Date is copied as well, of rows that are put and of rows that are deleted', async () => {
      const key = new Date(100)
      const gone = new Date(200)
      const { rows } = await rowsAfter(async (rows) => {
        rows.put({ id: new Date(200), n: 0 })
        rows.put({ id: new Date(300), n: 3 })
        rows.put({ id: key, n: 1 })
        rows.delete(gone as never)
        key.setTime(300)
        gone.setTime(300)
        expect(await rows.get(new Date(100) as never)).toEqual({ id: new Date(100), n: 1 })
      })
      expect(rows).toEqual([
        { id: new Date(100), n: 1 },
        { id: new Date(300), n: 3 },
      ])
    })

    test('objects that many rows hold stay those of the app, and rows that a handler got stay frozen', async () => {
      const settings = { theme: 'dark', nested: { on: true } }
      const problems: string[] = []
      const { rows } = await rowsAfter(async (rows, at) => {
        rows.put({ id: at, settings })
        settings.theme = `theme ${at}`
        const row = (await rows.get(at as never)) as { settings: typeof settings }
        for (const part of [row, row.settings, row.settings.nested])
          if (!Object.isFrozen(part)) problems.push(`row ${at} can be changed`)
        // Put back with parts that are ours already.
        rows.put({ ...row, id: at + 10 })
      }, 3)
      expect(problems).toEqual([])
      expect(rows.map(({ id, settings }) => [id, (settings as { theme: string }).theme])).toEqual([
        [0, 'dark'],
        [1, 'theme 0'],
        [2, 'theme 1'],
        [10, 'dark'],
        [11, 'theme 0'],
        [12, 'theme 1'],
      ])
      expect(settings).toEqual({ theme: 'theme 2', nested: { on: true } })
    })

    test('a fold may hand out its own object again and again', async () => {
      const store = await open(newName())
      await store.append({ stream: 's', events: [added('a', 1), added('b', 2), added('a', 3)] })
      const scratch = { name: '', total: 0, seen: [] as number[] }
      const definition = defineProjection(events, {
        name: 'scratch',
        tables: { sums: table<{ name: string; total: number; seen: number[] }>({ key: 'name' }) },
        fold: {
          sums: {
            key: (event) => (event.type === 'Added' ? event.data.to : undefined),
            evolve: (row, event) => {
              const { to, amount } = event.data as { to: string; amount: number }
              scratch.name = to
              scratch.total = (row?.total ?? 0) + amount
              scratch.seen.push(amount)
              return scratch
            },
          },
        },
      })
      await runProjection(store, definition)
      const view = await openReadModel(store, definition)
      expect(await view.sums.getAll()).toEqual([
        { name: 'a', total: 4, seen: [1, 2, 3] },
        { name: 'b', total: 2, seen: [1, 2] },
      ])
      await view.close()
      await store.close()
    })

    test('a reader gets copies of its own, a handler what it may change where that cannot be frozen', async () => {
      const store = await open(newName())
      await store.append({ stream: 's', events: [added('a', 1), added('b', 2), added('a', 3)] })
      interface Dated {
        name: string
        at: Date
        parts: { at: Date }[]
      }
      const seen: (number | undefined)[] = []
      const definition = defineProjection(events, {
        name: 'dated',
        tables: {
          rows: table<Dated>({ key: 'name' }),
          others: table<{ name: string; parts: { at: Date }[] }>({ key: 'name' }),
        },
        fold: {
          rows: {
            key: (event) => (event.type === 'Added' ? event.data.to : undefined),
            evolve: (row, event) => {
              seen.push(row?.parts[0]?.at.getTime())
              const at = (event.data as { amount: number }).amount
              if (row === undefined)
                return { name: (event.data as { to: string }).to, at: new Date(at), parts: [{ at: new Date(at) }] }
              // The same row back: changed in place, where it can be.
              row.at.setTime(100)
              row.parts[0]?.at.setTime(at)
              return row
            },
          },
        },
        on: {
          Added: async ({ data }, { rows, others }) => {
            const row = (await rows.get(data.to)) as Dated
            others.put({ name: data.to, parts: row.parts })
            const other = (await others.get(data.to)) as { parts: { at: Date }[] }
            // A copy: it may be changed, and that changes nothing.
            other.parts[0]?.at.setTime(-1)
            row.parts[0]?.at.setTime(-1)
          },
          Other: async (_event, { rows, others }) => {
            // Read of what is stored, which others hold as well.
            for (const row of [await rows.get('a'), await others.get('a')]) row?.parts[0]?.at.setTime(-5)
          },
        },
      })
      await runProjection(store, definition)
      await store.append({ stream: 's', events: [other()] })
      await runProjection(store, definition)
      const view = await openReadModel(store, definition)
      const expected = [
        { name: 'a', at: new Date(100), parts: [{ at: new Date(3) }] },
        { name: 'b', at: new Date(2), parts: [{ at: new Date(2) }] },
      ]
      expect(await view.rows.getAll()).toEqual(expected)
      expect((await view.others.getAll()).map(({ parts }) => parts[0]?.at.getTime())).toEqual([3, 2])
      expect(seen).toEqual([undefined, undefined, 1])
      for (const row of await view.rows.getAll()) Object.assign(row, { name: 'changed' }).parts.length = 0
      Object.assign((await view.rows.get('a')) ?? {}, { at: 'changed' })
      expect([await view.rows.getAll(), await view.rows.get('a')]).toEqual([expected, expected[0]])
      await view.close()
      await store.close()
    })

    test('an instance of a class and a proxy are stored as the plain data in them; symbols and what is inherited are left out', async () => {
      class Money {
        readonly #secret = 1
        constructor(readonly amount: number) {}
        get double() {
          return this.amount * 2 + this.#secret - 1
        }
      }
      const proxy = (value: object): unknown => new Proxy(value, { get: (target, key) => Reflect.get(target, key) })
      const { rows, result } = await rowsAfter((rows) => {
        rows.put({
          id: 'a',
          money: new Money(5),
          reactive: proxy({ list: proxy([1, proxy({ n: 1 })]) }),
          inherits: Object.create({ a: 1 }),
          bare: Object.assign(Object.create(null), { b: 2 }),
        })
        rows.put(Object.assign(new Money(7), { id: 'b' }) as never)
        rows.put(proxy({ id: 'c' }) as Row)
      })
      expect(result).toMatchObject({ applied: 1 })
      expect(rows).toEqual([
        { id: 'a', money: { amount: 5 }, reactive: { list: [1, { n: 1 }] }, inherits: {}, bare: { b: 2 } },
        { id: 'b', amount: 7 },
        { id: 'c' },
      ])
    })

    test('a row that contains itself, or one object many times, is stored', async () => {
      const { rows } = await rowsAfter((rows) => {
        const row: Row = { id: 'a', list: [] }
        row['self'] = row
        ;(row['list'] as unknown[]).push(row, row['list'])
        rows.put(row)
        let twice: object = { end: true }
        // Copied one by one it would be 2 ** 40 objects.
        for (let at = 0; at < 40; at += 1) twice = { left: twice, right: twice }
        rows.put({ id: 'b', twice })
      })
      const [first, second] = rows as [Row, Row]
      expect(first['self']).toBe(first)
      expect(first['list']).toEqual([first, first['list']])
      let depth = 0
      for (let part = second['twice'] as { left?: object }; part.left !== undefined; part = part.left) depth += 1
      expect(depth).toBe(40)
    })

    test.for<[string, () => unknown, string]>([
      ['a function', () => () => 1, 'rows.deep.part is a function, which cannot be stored'],
      ['a symbol', () => Symbol('x'), 'rows.deep.part is a symbol, which cannot be stored'],
      [
        'a method of an instance',
        () =>
          new (class {
            act = () => 1
          })(),
        'rows.deep.part.act is a function',
      ],
      ['a WeakMap', () => new WeakMap(), 'rows.deep.part cannot be stored'],
      ['a promise', () => Promise.resolve(1), 'rows.deep.part cannot be stored'],
      ['a Map with a function', () => new Map([['a', () => 1]]), 'rows.deep.part cannot be stored'],
      [
        'shared memory',
        () =>
          typeof SharedArrayBuffer === 'undefined'
            ? new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true }).buffer
            : new SharedArrayBuffer(4),
        'rows.deep.part',
      ],
      [
        'shared memory in a list in a Map',
        () =>
          new Map([
            ['a', [typeof SharedArrayBuffer === 'undefined' ? () => 1 : new Uint8Array(new SharedArrayBuffer(4))]],
          ]),
        'rows.deep.part',
      ],
      [
        'a compiled module',
        () => new WebAssembly.Module(new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0])),
        'rows.deep.part',
      ],
    ])('%s is refused with its path when it is put, and only its event fails', async ([, make, message]) => {
      const errors: unknown[] = []
      const { rows, result } = await rowsAfter((rows, at) => {
        rows.put({ id: at, before: true })
        if (at !== 1) return
        try {
          rows.put({ id: 'bad', deep: { part: make() } })
        } catch (error) {
          errors.push(error)
          throw error
        }
      }, 3)
      expect(errors).toMatchObject([{ code: 'invalid-argument', message: expect.stringContaining(message) }])
      expect(result).toMatchObject({ applied: 2, parked: 1 })
      expect(rows).toEqual([
        { id: 0, before: true },
        { id: 2, before: true },
      ])
    })

    test.for<[string, unknown]>([
      ['that it inherits', Object.create({ id: 'a' })],
      [
        'of an accessor of its class',
        new (class {
          get id() {
            return 'a'
          }
        })(),
      ],
      ['that is not there', { n: 1 }],
      ['that is NaN', { id: Number.NaN }],
      ['that is Infinity', { id: Infinity }],
      ['that is a boolean', { id: true }],
      ['that is a list', { id: ['a'] }],
      ['that is bytes', { id: new Uint8Array([1]) }],
      ['that is an invalid Date', { id: new Date(Number.NaN) }],
      ['that is null', { id: null }],
      ['of a list', Object.assign([1], { id: 'a' })],
    ])('a row with a key %s is refused', async ([, row]) => {
      const { rows, result } = await rowsAfter((rows) => rows.put(row as Row))
      expect([rows, result]).toMatchObject([[], { applied: 0, parked: 1 }])
    })
    test('a row whose key is another one each time it is read is refused', async () => {
      let reads = 0
      const { rows, result } = await rowsAfter((rows) =>
        rows.put({
          get id() {
            return (reads += 1)
          },
        }),
      )
      expect([rows, result]).toMatchObject([[], { applied: 0, parked: 1 }])
    })
    test('a row may be nested as deep as the data of an event', async () => {
      const nested = (levels: number): unknown => (levels === 0 ? 'end' : { in: nested(levels - 1) })
      const { rows, result } = await rowsAfter(
        (rows, at) => rows.put({ id: at, nested: nested(at === 0 ? 900 : 3_000) }),
        2,
      )
      expect(result).toMatchObject({ applied: 1, parked: 1 })
      expect(rows).toHaveLength(1)
    })
    test('a property named __proto__ is kept as any other', async () => {
      const text = '{"id":0,"__proto__":1,"words":{"__proto__":{"n":2},"constructor":3}}'
      const { rows } = await rowsAfter((rows) => rows.put(JSON.parse(text) as Row))
      expect(rows.map((row) => JSON.stringify(row))).toEqual([text])
    })
  })
}
