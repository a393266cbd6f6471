import { describe, expect, test } from 'vitest'
import { joinedQueries } from '../../../src/postgres/joined-queries.js'

describe('questions for rows by key', () => {
  test('are one for each table, and their values come back in their places', () => {
    const all = { table: 'b', query: { kind: 'all', options: {} } } as const
    const joined = joinedQueries([
      { table: 'a', query: { kind: 'get', key: 1 } },
      all,
      { table: 'b', query: { kind: 'many', keys: [5, 6] } },
      { table: 'a', query: { kind: 'many', keys: [] } },
      { table: 'a', query: { kind: 'many', keys: [2, 1] } },
      { table: 'b', query: { kind: 'get', key: 7 } },
      { table: 'a', query: { kind: 'get', key: 3 } },
    ])
    expect(joined.asked).toEqual([
      { table: 'a', query: { kind: 'many', keys: [1, 2, 1, 3] } },
      all,
      { table: 'b', query: { kind: 'many', keys: [5, 6, 7] } },
    ])
    expect(joined.values([['a1', 'a2', 'again', 'a3'], ['all'], ['b5', undefined, 'b7']])).toEqual([
      'a1',
      ['all'],
      ['b5', undefined],
      [],
      ['a2', 'again'],
      'b7',
      'a3',
    ])
  })

  test('are none where nothing is asked', () => {
    const { asked, values } = joinedQueries([])
    expect([asked, values([])]).toEqual([[], []])
  })
})
