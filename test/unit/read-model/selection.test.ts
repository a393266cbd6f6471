// A selection of many rows: those that it comes to first, in order, though not all are sorted where few are wanted.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { select, type Selection } from '../../../src/read-model/selection.js'

const table = { key: 'id', indexes: { byN: 'n', byTag: { path: 'tags', multiEntry: true } } }

test('a limit selects the first rows of the same selection without one, in whatever order they come', () => {
  fc.assert(
    fc.property(
      fc.uniqueArray(fc.integer({ min: 0, max: 10_000 }), { minLength: 50, maxLength: 400 }),
      fc.integer({ min: 1, max: 120 }),
      fc.constantFrom('given', 'ascending', 'descending'),
      fc.constantFrom(undefined, 'byN', 'byTag'),
      fc.constantFrom<'next' | 'prev'>('next', 'prev'),
      (ids, limit, order, index, direction) => {
        if (order !== 'given') ids.sort((left, right) => (order === 'ascending' ? left - right : right - left))
        const rows = ids.map((id) => ({ key: id, row: { id, n: id % 37, tags: [id % 5, id % 7] } }))
        const selection: Selection = { index, direction }
        // Where the selection finds a row: under its first key, and among equal ones by the key of the row.
        const sign = direction === 'prev' ? -1 : 1
        const placeIn = ({ row: { n, tags } }: (typeof rows)[number]) =>
          index === undefined ? 0 : index === 'byN' ? n : sign * Math.min(...tags.map((tag) => sign * tag))
        const expected = [...rows].sort(
          (left, right) => sign * (placeIn(left) - placeIn(right) || left.row.id - right.row.id),
        )
        expect(select(selection, table, rows)).toEqual(expected)
        expect(select({ ...selection, limit }, table, rows)).toEqual(expected.slice(0, limit))
      },
    ),
  )
})
