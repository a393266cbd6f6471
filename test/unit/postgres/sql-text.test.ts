// N80: every name, id and line is kept as it is, also what PostgreSQL has no character for.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { idKey, verdictKeys } from '../../../src/postgres/log-tables.js'
import { pack, unpack } from '../../../src/postgres/packed.js'
import { fromSqlText, toSqlText } from '../../../src/postgres/sql-text.js'

/** Texts of few characters, all of them odd, halves of pairs included. */
const odd = fc
  .array(
    fc.constantFrom(
      '\u0000',
      '\u0001',
      '0',
      '1',
      '\ud83d',
      '\ude00',
      '\ue000',
      '\uffff',
      'a',
      '\\',
      '"',
      '\n',
      '\u{10ffff}',
    ),
    {
      maxLength: 8,
    },
  )
  .map((parts) => parts.join(''))

test('N80: any text comes back as it was, and has no character that PostgreSQL refuses', () => {
  fc.assert(
    fc.property(odd, (text) => {
      const stored = toSqlText(text)
      expect(stored).not.toContain('\u0000')
      expect(new TextDecoder().decode(new TextEncoder().encode(stored))).toBe(stored)
      expect(fromSqlText(stored)).toBe(text)
    }),
  )
})

test('different texts stay different', () => {
  fc.assert(fc.property(odd, odd, (one, other) => void expect(toSqlText(one) === toSqlText(other)).toBe(one === other)))
})

const whole = odd.filter((text) => !/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/.test(text))

test('what begins with a text still does, and order is that of code points', () => {
  const points = (text: string) =>
    [...text].map((each) => (each.codePointAt(0) as number).toString(16).padStart(6, '0')).join()
  fc.assert(
    fc.property(whole, whole, (one, other) => {
      expect(toSqlText(one + other).startsWith(toSqlText(one))).toBe(true)
      expect(toSqlText(one).startsWith(toSqlText(other))).toBe(one.startsWith(other))
      expect(points(toSqlText(one)) < points(toSqlText(other))).toBe(points(one) < points(other))
    }),
  )
})

test('the key of an id is a UUID, its own if it is one, and no id has that of another', () => {
  const own = '0190a1b2-0000-7000-8000-00000000000a'
  expect(idKey(own)).toBe(own)
  const hashed = idKey('x')
  expect(hashed).toMatch(/^[\da-f]{8}-[\da-f]{4}-f[\da-f]{3}-[\da-f]{4}-[\da-f]{12}$/)
  // An id that is the key of another one, and one that differs in case.
  expect(idKey(hashed)).not.toBe(hashed)
  expect(idKey(own.toUpperCase())).not.toBe(own)
  expect(idKey('\ud83d')).not.toBe(idKey('\ude00'))
  expect(verdictKeys('anna')('x')).not.toBe(verdictKeys('bert')('x'))
})

const name = fc.oneof(odd, fc.string(), fc.constantFrom('cart-1', 'cart-2', '__proto__', '["a",1]', '{}'))

/** Events as a push makes their lines, and some of another form. */
const commit = fc
  .tuple(
    fc.integer({ min: 1, max: 2 ** 40 }),
    fc.array(
      fc.record({
        id: name,
        stream: name,
        type: name,
        version: fc.integer({ min: 1, max: 5 }),
        schema: fc.constantFrom(1, 2),
        data: fc.jsonValue(),
        form: fc.constantFrom('push', 'push', 'push', 'other', 'raw'),
      }),
      { minLength: 1, maxLength: 6 },
    ),
  )
  .map(([at, events]) => ({
    author: 'anna',
    chain: 'c',
    events: events.map(({ id, stream, type, version, schema, data, form }, index) => {
      const position = at + index
      const line =
        form === 'raw'
          ? `{"type":"${id}\u0000\ud800`
          : JSON.stringify({
              position,
              commit: at,
              ...(form === 'push' ? { stream, version } : { version, stream }),
              type,
              ...(schema === 1 ? {} : { schema }),
              id,
              time: 1,
              data,
            })
      return { position, id, stream, type, version, line }
    }),
  }))

test('N80: a packed commit has the same events, to the character', () => {
  fc.assert(
    fc.property(commit, (given) => {
      const packed = pack(given)
      expect(packed).not.toContain('\u0000')
      expect(new TextDecoder().decode(new TextEncoder().encode(packed))).toBe(packed)
      expect(unpack(packed, (given.events[0] as { position: number }).position)).toEqual(given.events)
    }),
    { numRuns: 300 },
  )
})

test('a packed commit does not repeat what its row says', () => {
  const event = (index: number) => ({
    position: 7 + index,
    id: `x${index}`,
    stream: 'cart-1',
    type: 'Added',
    version: 3 + index,
    line: `{"position":${7 + index},"commit":7,"stream":"cart-1","version":${3 + index},"type":"Added","id":"x${index}","time":1,"data":{"n":1}}`,
  })
  expect(pack({ author: 'anna', chain: 'c', events: [event(0), event(1)] })).toBe(
    '["cart-1",3]\n{"type":"Added","id":"x0","time":1,"data":{"n":1}}\n{"type":"Added","id":"x1","time":1,"data":{"n":1}}',
  )
})
