import { expect, test } from 'vitest'
import { describe as described } from '../../../src/errors.js'
import { cut } from '../../../src/platform/cut.js'

test.each([
  ['abc', 3, 'abc'],
  ['abcd', 3, 'abc'],
  ['ab🙂', 3, 'ab'],
  ['ab🙂', 4, 'ab🙂'],
  ['a🙂🙂', 4, 'a🙂'],
  // As it came: half of a character is not made here.
  ['ab\ud83d', 3, 'ab\ud83d'],
  ['', 0, ''],
])('the beginning of %o, %i at most, is %o', (text, most, expected) => {
  expect(cut(text, most)).toBe(expected)
})

test('a bad value in a message is cut after 60 characters, and not within one', () => {
  expect(described('x'.repeat(60))).toBe(`'${'x'.repeat(60)}'`)
  expect(described('🙂'.repeat(60))).toBe(`'${'🙂'.repeat(60)}'`)
  expect(described(`${'x'.repeat(59)}🙂y`)).toBe(`'${'x'.repeat(59)}🙂…'`)
  expect(described(`${'x'.repeat(60)}\n\n`)).toBe(`'${'x'.repeat(60)}…'`)
})
