// What packs promise, whatever is done to their rows.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { compareKeys } from '../../../src/read-model/keys.js'
import {
  lowest,
  manyChanges,
  packsPerRequest,
  repack,
  rowIn,
  rowsPerPack,
  TablePacks,
  weightOf,
  weightPerPack,
  type NewPack,
  type RowChange,
} from '../../../src/read-model/indexeddb/packs.js'
import { inKeyOrder } from '../../../src/read-model/indexeddb/row-order.js'
import { Slices } from '../../../src/platform/slices.js'

interface Row {
  readonly id: number
  readonly text: string
}

const inOrder = (changes: Iterable<RowChange>) => [...changes].sort((left, right) => compareKeys(left.key, right.key))

/** A table, packed: what a storage would hold, and what a connection remembers of it. */
class Table {
  readonly stored = new Map<unknown, readonly Row[]>()
  readonly packs = new TablePacks([])

  commit(changes: readonly RowChange[]): void {
    const last = new Map(changes.map((change) => [change.key, change]))
    const repacked = [...this.packs.changesOf(inOrder(last.values()))].map((change) => ({
      first: change.first,
      packs: [...repack('id', change.first === undefined ? [] : (this.stored.get(change.first) ?? []), change)],
    }))
    for (const { first, packs } of repacked) {
      if (packs.length === 0) this.stored.delete(first)
      for (const pack of packs) this.stored.set(pack.first, pack.rows as readonly Row[])
    }
    this.packs.stored(repacked)
  }

  /** In the order of a storage. */
  get inOrder(): NewPack[] {
    return [...this.stored]
      .map(([first, rows]) => ({ first: first as number, rows }))
      .sort((left, right) => compareKeys(left.first, right.first))
  }
}

const weigh = (rows: readonly unknown[]) => rows.reduce<number>((sum, row) => sum + weightOf(row), 0)
const anyText = fc.oneof(
  { weight: 9, arbitrary: fc.constantFrom('', 'a note', 'x'.repeat(200)) },
  { weight: 1, arbitrary: fc.constantFrom('x'.repeat(3_000), 'x'.repeat(20_000)) },
)
const anyChange = (most: number) =>
  fc
    .record({ id: fc.integer({ min: -most, max: most }), text: fc.option(anyText) })
    .map(({ id, text }): RowChange => ({ key: id, row: text === null ? null : { id, text } }))
/** A few commits of few changes, and of so many that packs are made one by one. */
const anyCommits = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.array(fc.array(anyChange(300), { minLength: 1, maxLength: 150, size: 'max' }), {
      maxLength: 12,
      size: 'max',
    }),
  },
  {
    weight: 1,
    arbitrary: fc.array(fc.array(anyChange(2_000), { minLength: 1, maxLength: 3_000, size: 'max' }), {
      maxLength: 4,
      size: 'max',
    }),
  },
)

describe('packs', () => {
  test('hold each row once, where it is looked for, in the order of keys, and are neither empty nor too long nor too heavy', () => {
    fc.assert(
      fc.property(anyCommits, (commits) => {
        const table = new Table()
        const rows = new Map<number, Row>()
        for (const changes of commits) {
          for (const { key, row } of changes) {
            if (row === null) rows.delete(key as number)
            else rows.set(key as number, row as Row)
          }
          table.commit(changes)
          const packs = table.inOrder
          expect(table.packs.firsts).toEqual(packs.map(({ first }) => first))
          expect(packs.flatMap((pack) => pack.rows)).toEqual(
            [...rows.values()].sort((left, right) => left.id - right.id),
          )
          for (const [at, pack] of packs.entries()) {
            expect(pack.rows.length).toBeGreaterThan(0)
            expect(pack.rows.length).toBeLessThanOrEqual(rowsPerPack)
            // Light rows are not weighed each time, so that a pack may be so much over.
            if (pack.rows.length > 1) expect(weigh(pack.rows)).toBeLessThanOrEqual(2 * weightPerPack)
            expect(table.packs.rowsOf(pack.first) ?? pack.rows).toEqual(pack.rows)
            for (const { id } of pack.rows as readonly Row[]) {
              expect(
                id >= (pack.first as number) && id < ((packs[at + 1]?.first as number | undefined) ?? Infinity),
              ).toBe(true)
            }
          }
          for (const id of [-301, -7, 0, 8, 301, ...rows.keys()]) {
            const first = table.packs.firstFor(id)
            expect(first === undefined ? undefined : rowIn(table.stored.get(first) ?? [], 'id', id)).toEqual(
              rows.get(id),
            )
          }
        }
      }),
      { seed: 20261126, numRuns: 60 },
    )
  })

  test('are full where rows are added at the end, and leave room where they are split', () => {
    const table = new Table()
    for (let id = 0; id < 1_000; id += 1) table.commit([{ key: id, row: { id, text: '' } }])
    expect(table.inOrder.map(({ rows }) => rows.length)).toEqual([...Array(15).fill(64), 40])
    expect(table.packs.firsts[0]).toBe(lowest)
    const sizes = () => table.inOrder.slice(0, 3).map(({ rows }) => rows.length)
    table.commit([{ key: 3.5, row: { id: 3.5, text: '' } }])
    expect(sizes()).toEqual([33, 32, 64])
    const reversed = new Table()
    for (let id = 500; id > 0; id -= 1) reversed.commit([{ key: id, row: { id, text: '' } }])
    expect(reversed.inOrder.length).toBeLessThan(500 / 24)
  })

  test.for([
    [false, 48],
    [true, 64],
  ] as const)('many at once are stored as few are: behind the last one %s, so many in a pack: %i', ([isLast, size]) => {
    const changes = Array.from({ length: 960 }, (_, id) => ({ key: id, row: { id, text: '' } }))
    const packs = [...repack('id', [], { first: lowest, isLast, changes })]
    expect(packs.map(({ rows }) => rows.length)).toEqual(Array(960 / size).fill(size))
  })

  test('a change writes the packs that it touches and no others', () => {
    const table = new Table()
    table.commit(Array.from({ length: 640 }, (_, id) => ({ key: id, row: { id, text: '' } })))
    expect(
      [
        ...table.packs.changesOf(
          inOrder([
            { key: 639, row: null },
            { key: 0, row: null },
            { key: 70, row: null },
            { key: 65, row: null },
          ]),
        ),
      ].map(({ first, isLast, changes }) => [first, isLast, changes.length]),
    ).toEqual([
      [lowest, false, 1],
      [64, false, 2],
      [576, true, 1],
    ])
  })

  test('of many changes are made one by one', () => {
    const changes = Array.from({ length: manyChanges + 1 }, (_, id) => ({ key: id, row: { id, text: '' } }))
    const packs = repack('id', [], { first: undefined, isLast: true, changes })
    const each = packs[Symbol.iterator]()
    changes[500] = { key: 500, row: { id: 500, text: 'changed later' } }
    const rows: unknown[] = []
    for (let next = each.next(); next.done !== true; next = each.next()) rows.push(...next.value.rows)
    expect(rows).toEqual(changes.map(({ row }) => row))
  })

  test('changes are put in order, whatever order they came in', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(fc.oneof(fc.integer(), fc.string()), { maxLength: 3_000, size: 'max' }),
        fc.boolean(),
        async (keys, ascending) => {
          const sorted = inOrder(keys.map((key) => ({ key, row: null })))
          expect(await inKeyOrder(ascending ? sorted : keys.map((key) => ({ key, row: null })), new Slices())).toEqual(
            sorted,
          )
        },
      ),
      { seed: 20261126, numRuns: 30 },
    )
  })

  test.for<[string, unknown, number]>([
    ['a string by its length', { text: 'x'.repeat(100) }, 120],
    ['bytes by their number', { bytes: new Uint8Array(1_000) }, 1_021],
    ['a Date like a number', { at: new Date(0) }, 18],
    ['a Map as a whole pack', { map: new Map() }, weightPerPack],
    ['much as a whole pack', { text: 'x'.repeat(100_000) }, weightPerPack],
    ['a deep row by all of it', { a: { b: [{ c: 'x' }] } }, 45],
  ])('weigh %s', ([, row, weight]) => expect(weightOf(row)).toBe(weight))

  test('weigh a row that contains itself', () => {
    const row: { self?: unknown; list: unknown[] } = { list: [] }
    row.self = row
    row.list.push(row, row.list)
    expect(weightOf(row)).toBe(weightPerPack)
  })

  test('of what was written but not kept nothing is remembered', () => {
    const packs = new TablePacks([lowest, 5])
    for (const first of [lowest, 5]) packs.remember(first, [{ id: 5 }])
    packs.stored([
      { first: lowest, packs: [{ first: lowest }, { first: 3 }] },
      { first: 5, packs: [] },
    ])
    expect([packs.firsts, packs.rowsOf(lowest), packs.rowsOf(3), packs.rowsOf(5)]).toEqual([
      [lowest, 3],
      undefined,
      undefined,
      undefined,
    ])
  })

  /** Packs of which some were read, so many rows in each. */
  const packsOf = (count: number, rowsEach?: number) => {
    const packs = new TablePacks(Array.from({ length: count }, (_, at) => at * 10))
    if (rowsEach !== undefined) packs.saw(Array.from({ length: rowsEach }))
    return packs
  }

  test('that are near each other are read together, few others with them, and not too many', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.integer({ min: 0, max: 199 }), { maxLength: 200 }), (wanted) => {
        const packs = packsOf(200, 4)
        const runs = packs.runsOf(wanted.map((at) => at * 10))
        for (const run of runs) {
          expect(run.length).toBeLessThanOrEqual(packsPerRequest)
          expect(run).toEqual(
            packs.firsts.slice(packs.firsts.indexOf(run[0] as number), packs.firsts.indexOf(run.at(-1) as number) + 1),
          )
          const asked = run.map((first) => wanted.includes((first as number) / 10))
          expect([asked[0], asked.at(-1), asked.some((each, at) => !each && asked[at + 1] === false)]).toEqual([
            true,
            true,
            false,
          ])
        }
        expect(new Set(runs.flat())).toEqual(new Set([...runs.flat(), ...wanted.map((at) => at * 10)]))
        expect(runs.flat().length).toBe(new Set(runs.flat()).size)
      }),
      { seed: 20261126 },
    )
  })

  test.for<[number | undefined, number[]]>([
    [undefined, [8, 8, 8, 8, 8, 8, 8, 8]],
    [4, [32, 32]],
    [64, [32, 32]],
    [3, Array<number>(64).fill(1)],
    [1, Array<number>(64).fill(1)],
  ])('H14: of packs that hold %s rows, so many are read together: %s', ([rowsEach, lengths]) => {
    const packs = packsOf(64, rowsEach)
    expect(packs.runsOf(packs.firsts).map(({ length }) => length)).toEqual(lengths)
  })

  test('remember the rows of 512 packs, and the places of all', () => {
    const packs = new TablePacks(Array.from({ length: 600 }, (_, at) => at))
    for (let at = 0; at < 600; at += 1) packs.remember(at, [{ id: at }])
    expect([packs.rowsOf(87), packs.rowsOf(88), packs.firstFor(87.5)]).toEqual([undefined, [{ id: 88 }], 87])
  })
})
