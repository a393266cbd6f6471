import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { InvalidNameError } from '../../../src/errors.js'
import {
  databaseName,
  eventType,
  projectionName,
  storeName,
  streamName,
  streamPrefix,
  tableName,
} from '../../../src/events/names.js'

const objectNames = Object.getOwnPropertyNames(Object.prototype)

describe('stream names', () => {
  test.for(['*', '?', '[', ']'])('V1: a name with %s is refused', (character) => {
    expect(() => streamName(`account-${character}1`)).toThrow(InvalidNameError)
  })

  test('V2: a name without any of the four passes', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 40 }), (text) => {
        fc.pre(!/[*?[\]]/.test(text) && text.trim() !== '')
        expect(streamName(text)).toBe(text.trim())
      }),
    )
  })

  test('V2: a name with any of the four is refused, wherever it stands', () => {
    fc.assert(
      fc.property(fc.string(), fc.constantFrom('*', '?', '[', ']'), fc.string(), (before, glob, after) => {
        expect(() => streamName(before + glob + after)).toThrow(InvalidNameError)
      }),
    )
  })

  test('V20: spaces around a name are cut; empty and overlong names are refused', () => {
    expect(streamName('  account-1\t')).toBe('account-1')
    expect(() => streamName('')).toThrow(/must not be empty/)
    expect(() => streamName('   ')).toThrow(/must not be empty/)
    expect(() => streamName('a'.repeat(256))).toThrow(/at most 255/)
    expect(streamName(` ${'a'.repeat(255)} `)).toHaveLength(255)
  })

  test.for([undefined, null, 1, {}, ['a'], Symbol('s'), 1n])('a value that is no string is refused: %s', (value) => {
    expect(() => streamName(value)).toThrow(/must be a string/)
  })

  test('H49: NFC and NFD stay two names; NUL, emoji and a dash in front are allowed; lone surrogates and 10 KB are not', () => {
    expect(streamName('caf\u00e9')).not.toBe(streamName('cafe\u0301'))
    for (const name of ['a\0b', '🛫-1', '-x', '\uffff']) expect(streamName(name)).toBe(name)
    for (const name of ['\ud800', 'a\udc00b', '\udc00\ud800', 'x'.repeat(10_240)])
      expect(() => streamName(name)).toThrow(InvalidNameError)
  })
})

test.for(objectNames)('H48: %s is a name like any other', (name) => {
  for (const check of [streamName, storeName, projectionName, tableName, eventType]) expect(check(name)).toBe(name)
})

test.for([
  ['Store name', storeName],
  ['Projection name', projectionName],
  ['Table name', tableName],
  ['Event type', eventType],
] as const)('H49: a %s is kept as given, and refused if empty, ill-formed or too long', ([what, check]) => {
  expect(check(' a*b ')).toBe(' a*b ')
  for (const bad of ['', 'a\ud800', 'a'.repeat(256), 7])
    expect(() => check(bad)).toThrow(new RegExp(`^${what} .* must`))
})

test('a table is named for people: 100 characters', () => {
  expect(tableName('a'.repeat(100))).toHaveLength(100)
  expect(() => tableName('a'.repeat(101))).toThrow(InvalidNameError)
})

describe('stream prefixes', () => {
  test('V3: each of the four glob characters is refused, a literal accepted', () => {
    for (const bad of ['account-*', 'account-?', 'account-[', 'account-]'])
      expect(() => streamPrefix(bad)).toThrow(InvalidNameError)
    expect(streamPrefix('account-')).toBe('account-')
  })

  test('N9: a prefix is kept to the code unit', () => {
    for (const prefix of ['', ' ', 'a_', 'a%', 'A', '\uffff', '\ud83d', '🛫']) expect(streamPrefix(prefix)).toBe(prefix)
  })

  test('overlong prefixes and other values are refused', () => {
    for (const bad of ['a'.repeat(256), undefined, null, 1]) expect(() => streamPrefix(bad)).toThrow(InvalidNameError)
  })
})

test('stores and their read models have databases of their own, whatever they are called', () => {
  const name = fc.string({ unit: fc.constantFrom('a', ':', '%', '3', 'A', '25'), minLength: 1, maxLength: 6 })
  const model = fc.tuple(name, fc.option(name, { nil: undefined }))
  fc.assert(
    fc.property(model, model, (one, other) => {
      expect(databaseName(...one) === databaseName(...other)).toBe(JSON.stringify(one) === JSON.stringify(other))
    }),
    {
      numRuns: 300,
      examples: [
        [
          ['a:a', undefined],
          ['a%3Aa', undefined],
        ],
        [
          ['a', 'b'],
          ['a:b', undefined],
        ],
        [
          ['%25', undefined],
          ['%', undefined],
        ],
      ],
    },
  )
})
