// Keys as bytes: PostgreSQL orders rows as IndexedDB does.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { keyHex } from '../../../src/postgres/key-bytes.js'
import { compareKeys, isIndexKey } from '../../../src/read-model/keys.js'

const bytes = (list: readonly number[]) => Uint8Array.from(list)

const text = fc.oneof(
  fc.constantFrom('', 'a', 'aa', 'b', 'B', '\u0000', 'a\u0000', '\u0001', '~', '\u007e', '\u007f', '\u0080', '\u407e'),
  fc.constantFrom('\u407f', '\u4080', '\uffff', '\ud83d\ude00', '\ud800', '\udfff', 'abc', 'ab\uffff'),
  fc.string({ unit: 'binary', maxLength: 6 }),
  fc.array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 4 }).map((units) => String.fromCharCode(...units)),
)

const { key: anyKey } = fc.letrec((tie) => ({
  key: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.oneof(
      fc.constantFrom(0, -0, 1, -1, Infinity, -Infinity, Number.MAX_VALUE, Number.MIN_VALUE, -Number.MIN_VALUE, 0.5),
      fc.double({ noNaN: true }),
      fc.integer(),
    ),
    text,
    fc.oneof(fc.constantFrom(-1, 0, 1, 8.64e15), fc.integer()).map((time) => new Date(time)),
    fc.oneof(
      fc.array(fc.constantFrom(0, 1, 126, 127, 128, 255), { maxLength: 4 }).map(bytes),
      fc.constantFrom<unknown>(bytes([9, 1, 2, 9]).subarray(1, 3), bytes([1, 2]).buffer, new Uint16Array([1, 256])),
    ),
    fc.array(tie('key'), { maxLength: 3 }),
  ),
}))

test('N81: the order of bytes, and equality, are those of keys in IndexedDB', () => {
  fc.assert(
    fc.property(anyKey, anyKey, (left, right) => {
      fc.pre(isIndexKey(left) && isIndexKey(right))
      const [one, other] = [keyHex(left), keyHex(right)]
      expect(one < other ? -1 : one > other ? 1 : 0).toBe(Math.sign(compareKeys(left, right)))
      expect([one.length % 2, other.length % 2]).toEqual([0, 0])
    }),
    { seed: 20261130, numRuns: 20_000 },
  )
})

test('N81: -0 and 0 are one key, whatever they are in', () => {
  expect([keyHex(-0), keyHex([1, [-0]]), keyHex(new Date(-0))]).toEqual([
    keyHex(0),
    keyHex([1, [0]]),
    keyHex(new Date(0)),
  ])
})

test('N81: keys that continue others, and neighbours, keep their order within lists', () => {
  const ascending: readonly unknown[] = [
    -Infinity,
    -1,
    0,
    Number.MIN_VALUE,
    1,
    Infinity,
    new Date(-1),
    new Date(0),
    '',
    '\u0000',
    '\u0000\u0000',
    '\u0001',
    'a',
    'a\u0000',
    'aa',
    '~',
    '\u007f',
    '\u0080',
    '\u407e',
    '\u407f',
    '\uffff',
    bytes([]),
    bytes([0]),
    bytes([0, 0]),
    bytes([1]),
    bytes([127]),
    bytes([255, 255]),
    [],
    [[]],
  ]
  const lists = [...ascending.map((one) => [one]), ...ascending.flatMap((one) => ascending.map((two) => [one, two]))]
  const all = [...ascending, ...lists].sort(compareKeys)
  const bytesOf = all.map(keyHex)
  expect(bytesOf).toEqual([...bytesOf].sort())
})
