import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { InvalidArgumentError, InvalidNameError } from '../../../src/errors.js'
import { compileFilter } from '../../../src/log/filter.js'

const event = (stream: string, type = 'A') => ({ type, stream })

test('an empty filter matches all', () => {
  for (const filter of [{}, { streamPrefix: '' }]) {
    expect(compileFilter(filter).matches(event('x'))).toBe(true)
  }
})

test('types: one of the list, and none for an empty list', () => {
  const { matches } = compileFilter({ types: ['A', '__proto__'] })
  expect(['A', '__proto__', 'B', 'constructor'].map((type) => matches(event('x', type)))).toEqual([
    true,
    true,
    false,
    false,
  ])
  expect(compileFilter({ types: [] }).matches(event('x'))).toBe(false)
})

test('V5: a pattern is for the whole name, and holds together with types', () => {
  const { matches } = compileFilter({ types: ['A'], streamPattern: 'account-*' })
  expect([event('account-1'), event('account-1/sub'), event('order-1'), event('account-1', 'B')].map(matches)).toEqual([
    true,
    true,
    false,
    false,
  ])
})

test('V6: ? in a pattern is exactly one character', () => {
  const { matches } = compileFilter({ streamPattern: 'account-?' })
  expect([event('account-1'), event('account-12'), event('account-')].map(matches)).toEqual([true, false, false])
})

test('V7: a set in a pattern is one character out of it', () => {
  const { matches } = compileFilter({ streamPattern: 'account-[0-9]' })
  expect([event('account-7'), event('account-a'), event('account-77')].map(matches)).toEqual([true, false, false])
})

describe('N9: a prefix is exact to the code unit', () => {
  test.for([
    ['a_', 'a_1', 'ab1'],
    ['a%', 'a%1', 'ab1'],
    ['Account', 'Account-1', 'account-1'],
    ['\uffff', '\uffff1', '\ufffe'],
    ['\ud83d', '🛫', '\ud83c\udf00'],
    ['🛫', '🛫-1', '🛬-1'],
    ['é', 'é1', 'e\u03011'],
  ] as const)('%s', ([streamPrefix, inside, outside]) => {
    const { matches } = compileFilter({ streamPrefix })
    expect([matches(event(inside)), matches(event(outside))]).toEqual([true, false])
  })

  test('for any strings', () => {
    const text = fc.string({ unit: 'binary', maxLength: 4 }).filter((each) => !/[*?[\]]/.test(each))
    fc.assert(
      fc.property(text, text, (streamPrefix, stream) => {
        const { matches } = compileFilter({ streamPrefix })
        expect(matches(event(stream))).toBe(stream.slice(0, streamPrefix.length) === streamPrefix)
        expect(matches(event(streamPrefix + stream))).toBe(true)
      }),
    )
  })
})

test.for([
  undefined,
  null,
  'A',
  7,
  [],
  ['A'],
  { type: 'A' },
  { types: 'A' },
  { types: [1] },
  { types: [, 'A'] },
  { types: null },
  { [Symbol('s')]: 1 },
  { streamPrefix: 'a', streamPattern: 'a*' },
])('refused: %j', (filter) => {
  expect(() => compileFilter(filter as never)).toThrow(InvalidArgumentError)
})

test('V3, V4: a bad prefix or pattern is a bad name', () => {
  for (const filter of [
    { streamPrefix: 'a*' },
    { streamPrefix: 7 },
    { streamPattern: 'a[' },
    { streamPattern: '' },
    { streamPattern: null },
  ]) {
    expect(() => compileFilter(filter as never)).toThrow(InvalidNameError)
  }
})

test('changing the filter later changes nothing', () => {
  const types = ['A']
  const { matches } = compileFilter({ types })
  types.push('B')
  expect(matches(event('x', 'B'))).toBe(false)
})
