/** Which rows a query returns: ranges, pages by cursor, several keys, indexes of every kind, against a naive model. */
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import {
  defineProjection,
  openReadModel,
  runProjection,
  table,
  type QueryOptions,
  type TableKeys,
  type TableReader,
} from 'tidemark'
import { added, events, newName, type Backend, type Store } from './model.js'
import { anyRow, indexes, span, unchecked, walked, type Index, type Row } from './selections-model.js'

/** Rows that are put by the first event. */
const holding = (version: number, rows: readonly Row[]) =>
  defineProjection(events, {
    name: 'holding',
    version,
    tables: { packed: table<Row>({ key: 'id' }), indexed: unchecked<Row>({ key: 'id', indexes }) },
    on: {
      Added: (_event, { packed, indexed }) => {
        for (const row of rows) {
          packed.put(row)
          indexed.put(row)
        }
      },
    },
  })

export function selectionsContract({ name, open }: Backend): void {
  describe(`selections: ${name}`, () => {
    beforeEach(() => void vi.spyOn(console, 'warn').mockImplementation(() => {}))
    afterEach(() => void vi.restoreAllMocks())

    const filled = async (rows: readonly Row[], version = 1, store?: Store) => {
      const used = store ?? (await open(newName()))
      if ((await used.head()) === 0) await used.append({ stream: 's', events: [added('a', 0)] })
      const definition = holding(version, rows)
      await runProjection(used, definition)
      return { store: used, view: await openReadModel(used, definition) }
    }

    test(
      'any rows, ranges and limits: rows come in the order of the index, each once, and are counted once',
      { timeout: 240_000 },
      async () => {
        const store = await open(newName())
        let version = 0
        await fc.assert(
          fc.asyncProperty(
            fc.array(anyRow, { maxLength: 30 }),
            fc.array(fc.oneof(span, fc.array(span, { maxLength: 4 })), { minLength: 1, maxLength: 6 }),
            fc.integer({ min: 1, max: 7 }),
            async (given, asked, size) => {
              version += 1
              const rows = given.map((row, id) => ({ ...row, id }))
              const { view } = await filled(rows, version, store)
              for (const spans of [undefined, ...asked]) {
                const several = spans === undefined ? undefined : Array.isArray(spans) ? spans : [spans]
                const options = spans === undefined ? {} : Array.isArray(spans) ? { ranges: spans } : { range: spans }
                for (const index of [undefined, ...(Object.keys(indexes) as Index[])]) {
                  for (const direction of ['next', 'prev'] as const) {
                    const expected = walked(rows, index, several, direction === 'prev')
                    const question = { direction, ...options, ...(index === undefined ? {} : { index }) }
                    const told = JSON.stringify(question)
                    for (const reader of index === undefined ? [view.packed, view.indexed] : [view.indexed]) {
                      const all = reader as typeof view.indexed
                      expect(await all.getAll(question), told).toEqual(expected)
                      expect(await all.getAll({ ...question, limit: size }), told).toEqual(expected.slice(0, size))
                      const { direction: _, ...counted } = question
                      expect(await all.count(counted), told).toBe(expected.length)
                      // Page after page: the whole answer, no row twice, none left out, whatever is equal.
                      const paged: Row[] = []
                      for (let after: Row | undefined; ;) {
                        const page = await all.getAll({ ...question, limit: size, ...(after && { after }) })
                        paged.push(...page)
                        after = page.at(-1)
                        if (page.length < size) break
                      }
                      expect(paged, told).toEqual(expected)
                      const middle = expected[size - 1]
                      if (middle !== undefined) {
                        expect(await all.getAll({ ...question, after: middle }), told).toEqual(expected.slice(size))
                      }
                    }
                  }
                }
              }
              await view.close()
            },
          ),
          { seed: 20261129, numRuns: 12 },
        )
        await store.close()
      },
    )

    test('a page begins behind a row that is gone or has changed since, where it was', async () => {
      const rows = Array.from({ length: 10 }, (_, id) => ({ id, n: id % 2 }))
      const { store, view } = await filled(rows)
      const indexed: TableReader<Row> = view.indexed
      const ids = async (options: QueryOptions<TableKeys, Row>) => (await indexed.getAll(options)).map(({ id }) => id)
      expect(await ids({ index: 'byN', limit: 3 })).toEqual([0, 2, 4])
      expect(await ids({ index: 'byN', limit: 3, after: { id: 4, n: 0 } })).toEqual([6, 8, 1])
      expect(await ids({ index: 'byN', limit: 3, after: { id: 5, n: 0 } })).toEqual([6, 8, 1])
      expect(await ids({ index: 'byN', after: { id: -1, n: 1 } })).toEqual([1, 3, 5, 7, 9])
      expect(await ids({ index: 'byN', direction: 'prev', after: { id: 2.5, n: 0 } })).toEqual([2, 0])
      expect(await ids({ index: 'byN', direction: 'prev', limit: 2, after: { id: 0, n: 2 } })).toEqual([9, 7])
      expect(await ids({ index: 'byN', after: { id: 0, n: 2 } })).toEqual([])
      // Outside of the range: all of it comes behind the row, or nothing does.
      expect(await ids({ index: 'byN', range: 1, limit: 2, after: { id: 9, n: 0 } })).toEqual([1, 3])
      expect(await ids({ index: 'byN', range: 0, after: { id: 0, n: 1 } })).toEqual([])
      expect(await ids({ after: { id: 7 } })).toEqual([8, 9])
      expect((await view.packed.getAll({ after: { id: 1.5 }, limit: 2 })).map(({ id }) => id)).toEqual([2, 3])
      expect((await view.packed.getAll({ after: { id: 2 }, direction: 'prev' })).map(({ id }) => id)).toEqual([1, 0])
      expect(await view.packed.getAll({ after: { id: 4 }, range: { lower: 2, upper: 4 } })).toEqual([])
      await view.close()
      await store.close()
    })

    test.for<[string, QueryOptions<TableKeys, Row>]>([
      ['null', { after: null as never }],
      ['a key', { after: 5 as never }],
      ['a row without its key', { after: { n: 1 } }],
      ['a row with a key that is none', { after: { id: true as never } }],
      ['a row without the property of the index', { index: 'byN', after: { id: 1 } }],
      ['a row with null there', { index: 'byN', after: { id: 1, n: null as never } }],
      ['a row without one of the properties', { index: 'byBoth', after: { id: 1 } }],
      ['a row with an empty list', { index: 'byTag', after: { id: 1, tags: [] } }],
      ['a row with no item in the range', { index: 'byTag', range: 'a', after: { id: 1, tags: ['b', 'c'] } }],
    ])('%s is no row to continue from, also where the limit is 0', async ([, options]) => {
      const { store, view } = await filled([{ id: 1, n: 1, tags: ['a', 'b'] }])
      const problem = { code: 'invalid-argument', message: expect.stringMatching(/^after/) }
      const indexed: TableReader<Row> = view.indexed
      await expect(indexed.getAll(options)).rejects.toMatchObject(problem)
      await expect(indexed.getAll({ ...options, limit: 0 })).rejects.toMatchObject(problem)
      await view.close()
      await store.close()
    })

    test('ranges are a list, not next to a range; none of them selects nothing, and each is checked', async () => {
      const { store, view } = await filled([
        { id: 1, n: 1 },
        { id: 2, n: 2 },
        { id: 3, n: 3 },
      ])
      for (const reader of [view.packed, view.indexed]) {
        expect(await reader.getAll({ ranges: [] })).toEqual([])
        expect(await reader.count({ ranges: [] })).toBe(0)
        expect(await reader.count({ ranges: [{}] })).toBe(3)
        expect(await reader.count({ ranges: [3, { upper: 1 }, { lower: 3 }] })).toBe(2)
        const around = [
          { upper: 2, upperOpen: true },
          { lower: 2, lowerOpen: true },
        ]
        expect((await reader.getAll({ ranges: around })).map(({ id }) => id)).toEqual([1, 3])
        expect(await reader.count({ ranges: [...around, 2] })).toBe(3)
        expect(await reader.getAll({ ranges: [{ lower: 5, upper: 1 }] })).toEqual([])
        for (const bad of [[undefined], [null], [1, { from: 2 }], 5, { lower: 1 }, 'a']) {
          const problem = { code: 'invalid-argument', message: expect.stringMatching(/^ranges/) }
          await expect(reader.getAll({ ranges: bad as never })).rejects.toMatchObject(problem)
          await expect(reader.count({ ranges: bad as never })).rejects.toMatchObject(problem)
        }
        await expect(reader.getAll({ ranges: [1], range: 1 })).rejects.toMatchObject({ code: 'invalid-argument' })
      }
      await view.close()
      await store.close()
    })

    test('rows of several keys come in the order of the keys, one of them as often as it is named', async () => {
      const rows = Array.from({ length: 200 }, (_, id) => ({ id, n: id }))
      const { store, view } = await filled(rows)
      const keys = [150, 3, -1, 3, 199, 0, 1_000]
      for (const reader of [view.packed, view.indexed]) {
        const found = await reader.getMany(keys)
        expect(found).toEqual([rows[150], rows[3], undefined, rows[3], rows[199], rows[0], undefined])
        expect(await reader.getMany([])).toEqual([])
        // What the app does to its list, and to a row that it was given, reaches no other.
        const asked = reader.getMany(keys)
        keys.reverse()
        expect((await asked)[0]).toEqual(rows[150])
        keys.reverse()
        Object.assign(found[1] as object, { n: 'changed' })
        expect((await reader.getMany([3]))[0]).toEqual(rows[3])
        for (const bad of [undefined, 'a', 1, [1, null], [undefined], [1, , 2], [true], [Number.NaN], { 0: 1 }])
          await expect(reader.getMany(bad as never)).rejects.toMatchObject({ code: 'invalid-argument' })
      }
      await view.close()
      await store.close()
    })
  })
}
