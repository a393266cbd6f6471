// What hints say of a commit, and what of that may be trusted.
import { describe, expect, test } from 'vitest'
import { changesOf, checkedChanges, joined, type Changes, type RowChange } from '../../../src/read-model/changes.js'
import type { RowKey } from '../../../src/read-model/keys.js'
import type { RowChanges } from '../../../src/read-model/state.js'

const definitions = {
  lines: { key: 'id', indexes: { byN: 'n', byBoth: ['n', 'at.name'], ['__proto__']: 'own' } },
  plain: { key: 'id' },
  other: { key: 'id', indexes: { byN: 'n' } },
}
interface Stored {
  readonly key: RowKey
  readonly row: unknown
}
const stored = (rows: readonly object[], keyOf = (row: object) => (row as { id: RowKey }).id) =>
  new Map(rows.map((row, at) => [at, { key: keyOf(row), row }]))
const deleted = (...keys: RowKey[]) => new Map(keys.map((key, at) => [at, { key, row: null }]))
const many = (count: number) => Array.from({ length: count }, (_, id) => ({ id, n: id }))
const made = (tables: { readonly [name: string]: ReadonlyMap<number, Stored> }) =>
  changesOf(definitions as never, new Map(Object.entries(tables)) as RowChanges)
/** As readers of the same context get them. */
const of = (tables: Parameters<typeof made>[0]): Changes => checkedChanges(made(tables))
/** As they arrive from another context. */
const sent = (changes: Changes) => structuredClone(joined(undefined, changes))

describe('the changes of a commit', () => {
  test('are rows with their keys in each index that has them, and deleted rows', () => {
    expect(
      of({
        lines: stored([
          { id: 'a', n: 1, at: { name: 'x' } },
          { id: 'b', n: 2 },
          { id: 'c', n: null },
        ]),
        plain: deleted('gone', new Date(5) as never),
      }),
    ).toEqual(
      new Map<string, readonly RowChange[]>([
        [
          'lines',
          [
            {
              key: 'a',
              keys: new Map([
                ['byN', [1]],
                ['byBoth', [[1, 'x']]],
              ]),
            },
            { key: 'b', keys: new Map([['byN', [2]]]) },
            { key: 'c', keys: new Map() },
          ],
        ],
        ['plain', [{ key: 'gone' }, { key: new Date(5) }]],
      ]),
    )
  })

  test('H48: of an index that is called __proto__ as well', () => {
    const row = JSON.parse('{ "id": "a", "own": 7 }') as object
    expect(of({ lines: stored([row]) })).toEqual(
      new Map([['lines', [{ key: 'a', keys: new Map([['__proto__', [7]]]) }]]]),
    )
  })

  test('are unknown for a table with more than 1,024 rows; others are named', () => {
    const changes = of({ plain: stored(many(1025)), other: stored(many(1024)) })
    expect([...changes].map(([table, rows]) => [table, rows?.length])).toEqual([
      ['plain', 'unknown'.length],
      ['other', 1024],
    ])
    const both = of({ plain: stored(many(1000)), other: stored(many(25)), lines: stored(many(24)) }) as Map<
      string,
      unknown
    >
    expect([both.get('plain'), both.get('lines')]).toEqual([expect.any(Array), expect.any(Array)])
    expect(both.get('other')).toBe('unknown')
  })

  test.for<[string, RowKey | undefined, unknown]>([
    ['a row whose key is too long', 'x'.repeat(1001), 1],
    ['an index key that is too long', 'a', 'x'.repeat(1001)],
    ['a list that is too long', 'a', Array.from({ length: 1001 }, () => 1)],
    ['texts in a list that are too long together', 'a', ['x'.repeat(600), 'y'.repeat(600)]],
    ['bytes that are too many', 'a', new Uint8Array(1001)],
    ['bytes in lists in lists', 'a', [[[new ArrayBuffer(1001)]]]],
  ])('are unknown for a table with %s', ([, key, n]) => {
    expect(of({ other: stored([{ id: key, n }]), plain: stored([{ id: 'a' }]) })).toEqual(
      new Map<string, unknown>([
        ['other', 'unknown'],
        ['plain', [{ key: 'a', keys: new Map() }]],
      ]),
    )
  })

  test('hold copies of keys: the bytes of a view, not all of its buffer', () => {
    const buffer = new ArrayBuffer(1_000_000)
    const at = new Date(5)
    const rows = stored([
      { id: 'a', n: new Uint8Array(buffer, 8, 2) },
      { id: 'b', n: at },
      { id: 'c', n: [at] },
    ])
    const [bytes, date, list] = (of({ other: rows }) as Map<string, RowChange[]>).get('other') as RowChange[]
    expect(bytes?.keys?.get('byN')?.[0]).toEqual(new Uint8Array(2).buffer)
    expect(date?.keys?.get('byN')?.[0]).toEqual(at)
    expect(date?.keys?.get('byN')?.[0]).not.toBe(at)
    expect(list?.keys?.get('byN')?.[0]).toEqual([at])
  })
})

describe('joined, for other contexts', () => {
  test('the later of two changes of a row counts, and tables of both are named', () => {
    const first = of({
      other: stored([
        { id: 'a', n: 1 },
        { id: 'b', n: 1 },
      ]),
      plain: deleted('x'),
    })
    const second = of({
      other: new Map<number, Stored>([...stored([{ id: 'a', n: 2 }]), [9, { key: 'b', row: null }]]),
    })
    const keys = (n: number) => new Map([['byN', [n]]])
    expect(joined(joined(undefined, first), second)).toEqual(
      new Map<string, readonly RowChange[]>([
        ['other', [{ key: 'a', keys: keys(2) }, { key: 'b' }]],
        ['plain', [{ key: 'x' }]],
      ]),
    )
  })

  test('a Date and a number are different keys', () => {
    const rows = joined(of({ plain: deleted(5) }), of({ plain: deleted(new Date(5) as never) }))
    expect((rows as Map<string, unknown[]>).get('plain')).toHaveLength(2)
  })

  test('more than 64 rows are unknown, also if they come together from several commits', () => {
    const lengths = (changes: Changes) => [...changes].map(([, rows]) => (rows === 'unknown' ? rows : rows?.length))
    expect(lengths(joined(undefined, of({ other: stored(many(64)) })))).toEqual([64])
    expect(lengths(joined(undefined, of({ other: stored(many(65)) })))).toEqual(['unknown'])
    const forty = stored(many(40))
    expect(lengths(joined(undefined, of({ other: forty, plain: forty })))).toEqual([40, 'unknown'])
    const twice = joined(joined(undefined, of({ other: forty })), of({ other: forty }))
    expect(lengths(twice)).toEqual([40])
    const more = stored(many(80).slice(40))
    expect(lengths(joined(twice, of({ other: more })))).toEqual(['unknown'])
    expect(lengths(joined(joined(twice, of({ other: more })), of({ other: forty })))).toEqual(['unknown'])
  })

  test('nothing is looked for beyond what is sent, and what readers of this context share is made once', () => {
    let looked = 0
    const row = (id: number) => ({
      id,
      get n() {
        looked += 1
        return id
      },
    })
    const changes = made({ other: stored(Array.from({ length: 65 }, (_, id) => row(id))) })
    expect(looked).toBe(0)
    expect(joined(undefined, changes)).toEqual(new Map([['other', 'unknown']]))
    expect(looked).toBe(0)
    const here = checkedChanges(changes)
    expect(checkedChanges(changes)).toBe(here)
    expect(looked).toBe(65)
    expect(joined(undefined, made({ other: stored([row(1)]) }))).toEqual(
      new Map([['other', [{ key: 1, keys: new Map([['byN', [1]]]) }]]]),
    )
  })

  test('what is unknown stays so', () => {
    const some = of({ plain: deleted(1) })
    expect(joined(undefined, 'unknown')).toBe('unknown')
    expect(joined('unknown', some)).toBe('unknown')
    expect(joined(some, 'unknown')).toBe('unknown')
  })
})

describe('of what arrives', () => {
  test('everything passes that is sent', () => {
    const some = sent(
      of({
        lines: stored([
          { id: 'a', n: [1, new Date(3), ['x', new Uint8Array([1, 2])]] },
          { id: 2, n: 1, own: 'o' },
        ]),
        plain: deleted(1, 'b', new Date(5) as never),
        other: stored(many(100)),
      }),
    )
    expect(checkedChanges(some)).toBe(some)
    const most = sent(of({ other: stored(many(64)) }))
    expect(checkedChanges(most)).toBe(most)
    expect(checkedChanges(new Map([['a', 'unknown']]))).toEqual(new Map([['a', 'unknown']]))
    // What was made here arrives as a function, and is not limited as messages are.
    const here = of({ other: stored(many(1000)) })
    expect(here).not.toBe('unknown')
    expect(checkedChanges(structuredClone(here))).toBe('unknown')
  })

  const cyclic: unknown[] = []
  cyclic.push(cyclic, cyclic)
  let wide: unknown[] = [1]
  for (let depth = 0; depth < 60; depth += 1) wide = [wide, wide]
  const row = (change: object) => new Map([['t', [{ key: 'a', keys: new Map(), ...change }]]])
  const index = (list: unknown) => row({ keys: new Map([['i', list]]) })
  test.for<[string, unknown]>([
    ['nothing', undefined],
    ['null', null],
    ['a text', 'all'],
    ['a list', []],
    ['an object', { t: [] }],
    ['a set', new Set(['t'])],
    ['a table whose name is no text', new Map([[7, []]])],
    ['a table that is no list', new Map([['t', { length: 0 }]])],
    ['too many tables', new Map(Array.from({ length: 1001 }, (_, at) => [`t${at}`, 'unknown']))],
    ['too many rows', new Map([['t', Array.from({ length: 65 }, () => ({ key: 'a' }))]])],
    ['a list of a length that it has not', new Map([['t', Object.assign([], { length: 2 ** 32 - 1 })]])],
    ['too many rows in two tables', new Map(['t', 'u'].map((name) => [name, many(33).map(({ id }) => ({ key: id }))]))],
    ['rows with holes', new Map([['t', Object.assign([], { length: 3 })]])],
    ['a row that is none', new Map([['t', [null]]])],
    ...[undefined, null, NaN, new Date(NaN), {}, 1n, true, 'x'.repeat(1001)].map((key): [string, unknown] => [
      `a row whose key is ${String(key).slice(0, 9)}`,
      row({ key }),
    ]),
    ['keys that are no map', row({ keys: { i: [1] } })],
    ['keys that are null', row({ keys: null })],
    ['an index whose name is no text', row({ keys: new Map([[7, [1]]]) })],
    ['an index key outside of a list', index(7)],
    ['no index key', index([])],
    ...[undefined, null, NaN, {}, true, 'x'.repeat(1001), [[undefined]], Object.assign([], { length: 3 })].map(
      (key): [string, unknown] => [`an index key that is ${String(key).slice(0, 9)}`, index([key])],
    ),
    ['an index key that contains itself', index([cyclic])],
    ['an index key that takes for ever', index([wide])],
    ['too many index keys', index(Array.from({ length: 1025 }, () => 1))],
  ])('%s is unknown', ([, posted]) => {
    expect(checkedChanges(posted)).toBe('unknown')
  })

  test('H48: names of prototypes are names', () => {
    const posted = new Map([
      ['__proto__', [{ key: '__proto__', keys: new Map([['constructor', ['toString']]]) }]],
      ['hasOwnProperty', [{ key: 'a' }]],
    ])
    expect(checkedChanges(posted)).toBe(posted)
  })
})
