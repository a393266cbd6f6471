/** Indexes: what is a key, how keys are ordered, and what a key path leads to is the same in memory and in IndexedDB. */
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { defineProjection, openReadModel, runProjection, type QueryOptions, type TypedTable } from 'tidemark'
import { openEventStore as openMemory } from 'tidemark/memory'
import { compareKeys, copyOfKey, isIndexKey } from '../../../src/read-model/keys.js'
import { added, events, newName, type Backend, type Store } from './model.js'

/** A table with indexes that the compiler refuses: what is in them is for the run time to say. */
const unchecked = <Row>(table: { key: string; indexes: unknown }): TypedTable<Row, Record<string, string>> =>
  table as never

const cyclic: unknown[] = [1]
cyclic.push(cyclic)
const bytes = (list: readonly number[]) => Uint8Array.from(list)

/** WebKit orders lists with bytes in them otherwise than its own `indexedDB.cmp` does (docs/engines.md). */
const mixesUpBytes = typeof navigator !== 'undefined' && /AppleWebKit\/(?!.*Chrome)/.test(navigator.userAgent ?? '')

/** Keys of every type, near to each other. */
const keys = (withBytes: boolean) =>
  fc.letrec((tie) => ({
    key: fc.oneof(
      { depthSize: 'small', withCrossShrink: true },
      fc.oneof(
        fc.constantFrom(0, -0, 1, 2, 3, -1, Infinity, -Infinity, Number.MAX_SAFE_INTEGER, 0.5),
        fc.double({ noNaN: true }),
      ),
      fc.constantFrom('', 'a', 'aa', 'b', 'B', 'é', 'z', '\uffff', '\ud83d\ude00', '\ud800', 'abc'),
      fc.constantFrom(-1, 0, 1, 8.64e15).map((time) => new Date(time)),
      ...(withBytes
        ? [
            fc.array(fc.constantFrom(0, 1, 127, 128, 255), { minLength: 1, maxLength: 4 }).map(bytes),
            fc.constantFrom<unknown>(
              bytes([9, 1, 2, 9]).subarray(1, 3),
              bytes([1, 2]).buffer,
              new DataView(bytes([0, 1, 2]).buffer, 1),
              new Uint16Array([1, 256]),
              new Float64Array([1]),
            ),
          ]
        : []),
      fc.array(tie('key'), { maxLength: 3 }),
    ),
  })).key
const anyKey = keys(true)
const storedKey = keys(!mixesUpBytes)

/** What is not a key. */
const noKey = fc.constantFrom<unknown>(
  undefined,
  null,
  true,
  false,
  Number.NaN,
  new Date(Number.NaN),
  {},
  { length: 1 },
  5n,
  new Map([['length', 1]]),
  new Set([1]),
  /x/,
  [1, undefined],
  [1, null],
  [[true]],
  [1, , 2],
  new Array(2),
  [new Date(Number.NaN)],
  cyclic,
  new Boolean(true),
  new Number(1),
)
const anyValue = fc.oneof(
  { weight: 5, arbitrary: storedKey },
  { weight: 2, arbitrary: noKey },
  {
    weight: 3,
    arbitrary: fc.oneof(
      fc.record({ a: storedKey }),
      fc.record({ a: fc.record({ b: fc.oneof(storedKey, noKey) }) }),
      fc.record({ length: storedKey }),
      fc.record({ size: storedKey, type: storedKey, name: storedKey }),
      fc.constantFrom<unknown>(
        { a: { b: 'text' } },
        { a: 'text' },
        { a: undefined },
        { a: null },
        {
          get a() {
            return 'of a getter'
          },
        },
        Object.create({ a: 1 }),
      ),
      fc.constantFrom<unknown>(
        ...(typeof Blob === 'undefined' ? [] : [new Blob(['abc'], { type: 'text/x' }), new Blob([])]),
      ),
      // Node cannot clone one.
      fc.constantFrom<unknown>(
        ...(typeof document === 'undefined'
          ? [{}]
          : [new File(['abcd'], 'name.txt', { type: 'text/y', lastModified: 7 })]),
      ),
    ),
  },
)

/** What a fake of IndexedDB has otherwise than every engine. */
const isStrange = (value: unknown): boolean =>
  ArrayBuffer.isView(value)
    ? value.byteLength === 0
    : typeof value === 'object' &&
      value !== null &&
      Object.values(value).some((part) => !Object.is(part, value) && part !== cyclic && isStrange(part))

const indexes = {
  v: 'v',
  length: 'v.length',
  size: 'v.size',
  type: 'v.type',
  name: 'v.name',
  modified: 'v.lastModified',
  a: 'v.a',
  b: 'v.a.b',
  textLength: 'v.a.length',
  deep: 'v.length.length',
  method: 'v.toString',
  both: ['w', 'v'],
  parts: ['v.length', 'w', 'v.a'],
} as const

export function keysContract({ name, open, shared, onDevice = shared }: Backend): void {
  const isFake = name !== 'IndexedDB'

  describe(`keys of indexes: ${name}`, () => {
    beforeEach(() => void vi.spyOn(console, 'warn').mockImplementation(() => {}))
    afterEach(() => void vi.restoreAllMocks())

    if (onDevice)
      test('H12: what is a key, and which of two comes first, is what indexedDB.cmp says', () => {
        const cmp = (left: unknown, right: unknown): number | 'refused' => {
          try {
            return indexedDB.cmp(left, right)
          } catch {
            return 'refused'
          }
        }
        fc.assert(
          fc.property(fc.oneof(anyKey, noKey), fc.oneof(anyKey, noKey), (left, right) => {
            fc.pre(!isFake || (!isStrange(left) && !isStrange(right)))
            const both = isIndexKey(left) && isIndexKey(right)
            expect(both ? Math.sign(compareKeys(left, right)) : 'refused').toBe(cmp(left, right))
            if (both) expect([cmp(left, copyOfKey(left)), compareKeys(copyOfKey(left), left)]).toEqual([0, 0])
          }),
          { seed: 20261129, numRuns: 2_000 },
        )
      })

    test(
      'any values: every index lists, counts and limits the same rows as in memory',
      { timeout: 240_000 },
      async () => {
        const backends = [await open(newName()), await openMemory({ name: newName(), events })] as unknown as Store[]
        let version = 0
        await fc.assert(
          fc.asyncProperty(
            fc.array(
              fc.record(
                { v: anyValue, w: fc.oneof(fc.constantFrom<unknown>(1, 2, 'x', undefined, null, [1]), storedKey) },
                { requiredKeys: [] },
              ),
              { minLength: 1, maxLength: 40, size: 'max' },
            ),
            fc.array(
              fc.record(
                { lower: anyKey, upper: anyKey, lowerOpen: fc.boolean(), upperOpen: fc.boolean() },
                { requiredKeys: [] },
              ),
              { minLength: 3, maxLength: 6 },
            ),
            fc.array(anyKey, { maxLength: 4 }),
            async (values, ranges, singles) => {
              fc.pre(!isFake || [...values, ...ranges, singles].every((each) => !isStrange(each)))
              version += 1
              const definition = defineProjection(events, {
                name: 'any',
                version,
                tables: { rows: unchecked<{ id: number; v?: unknown; w?: unknown }>({ key: 'id', indexes }) },
                on: {
                  Added: ({ data }, { rows }) =>
                    values.forEach((value, at) => rows.put({ ...value, id: at + data.amount })),
                },
              })
              const answers = []
              const questions: QueryOptions[] = [
                ...Object.keys(indexes).flatMap((index) => [
                  { index },
                  { index, direction: 'prev' as const, limit: 3 },
                  ...[...ranges, ...singles].map((range) => ({ index, range: range as never })),
                ]),
              ]
              for (const store of backends) {
                if ((await store.head()) === 0) await store.append({ stream: 's', events: [added('a', 0)] })
                await runProjection(store, definition)
                const view = await openReadModel(store, definition)
                const asked = await Promise.all(
                  questions.map(async (options) => {
                    const { index, range } = options
                    return [
                      options,
                      (await view.rows.getAll(options)).map(({ id }) => id),
                      await view.rows.count({
                        ...(index === undefined ? {} : { index }),
                        ...(range === undefined ? {} : { range }),
                      }),
                    ]
                  }),
                )
                answers.push(asked)
                await view.close()
              }
              expect(answers[0]).toEqual(answers[1])
            },
          ),
          { seed: 20261129, numRuns: !onDevice && shared ? 8 : isFake ? 40 : 15 },
        )
        for (const store of backends) await store.close()
      },
    )

    test('an index is warned of once where it leaves out a row that has something there, or holds a list; not where nothing is there', async () => {
      const store = await open(newName())
      const values: unknown[] = [
        'text',
        1,
        new Date(0),
        bytes([1]),
        undefined,
        true,
        false,
        null,
        Number.NaN,
        new Date(Number.NaN),
        {},
        [],
        ['a', 'b'],
        [1, null],
        new Map(),
      ]
      await store.append({ stream: 's', events: values.map((_value, at) => added('a', at)) })
      const definition = (of: string) =>
        defineProjection(events, {
          name: `warned-${of}-${newName()}`,
          tables: {
            rows: unchecked<{ id: number; v?: unknown }>({
              key: 'id',
              indexes: { byV: 'v', alone: 'id', 'byV and id': ['id', 'v'] },
            }),
          },
          on: {
            Added: ({ data }, { rows }) =>
              rows.put({ id: data.amount, ...(values[data.amount] === undefined ? {} : { v: values[data.amount] }) }),
          },
        })
      const one = definition('one')
      await runProjection(store, one)
      const warnings = (index: string, projection: { name: string }) =>
        vi
          .mocked(console.warn)
          .mock.calls.map(([message]) => String(message))
          .filter((message) => message.includes(`'${index}'`) && message.includes(projection.name))
      expect(warnings('byV', one)).toEqual([
        expect.stringMatching(
          /index 'byV' of table 'rows' of projection 'warned-one-.*@1': the row 5 has a boolean in 'v'.*0 and 1/,
        ),
      ])
      expect([warnings('byV and id', one).length, warnings('alone', one).length]).toEqual([1, 0])
      // Another run of it, with rows of the same kind.
      await store.append({ stream: 's', events: [added('a', 5), added('a', 7)] })
      await runProjection(store, one)
      expect(warnings('byV', one)).toHaveLength(1)
      const again = { ...one, version: 2 }
      await runProjection(store, again)
      expect(warnings('byV', one)).toHaveLength(2)
      for (const [value, kind] of [
        [null, 'null'],
        [Number.NaN, 'NaN'],
        [new Date(Number.NaN), 'an invalid Date'],
        [{}, 'an object'],
        [['a'], 'an array'],
        [[null], 'an array'],
        [5n, 'a bigint'],
      ] as const) {
        values[0] = value
        const other = definition(kind.replaceAll(' ', '-'))
        await runProjection(store, other)
        expect(warnings('byV', other)).toEqual([expect.stringContaining(`the row 0 has ${kind} in 'v'`)])
      }
      await store.close()
    })

    test('a row is found by the length of a text or list, the size of a Blob, bytes, and several properties; without one of them it is not', async () => {
      const store = await open(newName())
      await store.append({ stream: 's', events: [added('a', 0)] })
      const rows = [
        { id: 1, v: 'text', w: 1 },
        { id: 2, v: [true, {}], w: 2 },
        { id: 3, v: bytes([200]), w: 3 },
        { id: 4, v: bytes([100, 0]) },
        { id: 5, v: { length: 'own' }, w: 5 },
        { id: 6, w: 6 },
        { id: 7, v: false, w: 7 },
        { id: 8, v: null },
        { id: 9, v: new Date(1), w: 9 },
        { id: 10, v: new Blob(['abc']) },
        { id: 13, v: 'same' },
        { id: 12, v: 'same' },
        { id: 11, v: 'same' },
      ]
      const definition = defineProjection(events, {
        name: 'rules',
        tables: { rows: unchecked<{ id: number; v?: unknown; w?: unknown }>({ key: 'id', indexes }) },
        on: { Added: (_event, { rows: put }) => rows.forEach((row) => put.put(row)) },
      })
      await runProjection(store, definition)
      const view = await openReadModel(store, definition)
      const ids = async (options: QueryOptions) => (await view.rows.getAll(options)).map(({ id }) => id)
      expect(await ids({ index: 'v' })).toEqual([9, 11, 12, 13, 1, 4, 3])
      expect(await ids({ index: 'v', direction: 'prev', limit: 5 })).toEqual([3, 4, 1, 13, 12])
      expect(await ids({ index: 'length' })).toEqual([2, 1, 11, 12, 13, 5])
      expect(await ids({ index: 'size' })).toEqual([10])
      expect(await ids({ index: 'method' })).toEqual([])
      expect(await ids({ index: 'both' })).toEqual([1, 3, 9].sort((left, right) => left - right))
      expect(await ids({ index: 'v', range: bytes([200]) })).toEqual([3])
      expect(await ids({ index: 'v', range: { lower: bytes([101]) } })).toEqual([3])
      // What the app does to a bound after it asked changes nothing.
      const bound = bytes([200])
      const list: unknown[] = [1, '']
      const asked = [
        ids({ index: 'v', range: bound }),
        ids({ index: 'v', range: { lower: bound } }),
        ids({ index: 'both', range: { lower: list, upper: [3, []] } }),
      ]
      bound[0] = 1
      list[0] = 9
      expect(await Promise.all(asked)).toEqual([[3], [3], [1, 3]])
      expect(
        await ids({
          index: 'v',
          range: { lower: bytes([9, 100, 9]).subarray(1, 2).slice().buffer, upper: bytes([150]) },
        }),
      ).toEqual([4])
      expect(await ids({ index: 'both', range: { lower: [1, ''], upper: [3, []] } })).toEqual([1, 3])
      await view.close()
      await store.close()
    })
  })
}
