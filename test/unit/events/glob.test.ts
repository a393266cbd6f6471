import fc from 'fast-check'
import { expect, test } from 'vitest'
import { InvalidNameError } from '../../../src/errors.js'
import { compileGlob } from '../../../src/events/glob.js'

const letters = fc.stringMatching(/^[a-z]{1,10}$/)

test('V4: an unclosed bracket is refused', () => {
  expect(() => compileGlob('account-[')).toThrow(InvalidNameError)
  fc.assert(
    fc.property(letters, (text) => {
      expect(() => compileGlob(`${text}[`)).toThrow(/close/)
    }),
  )
})

test('V4: literals and every kind of wildcard are accepted', () => {
  fc.assert(
    fc.property(letters, fc.constantFrom('', '*', '?', '[0-9]', '[a-z]*'), (text, tail) => {
      expect(compileGlob(text + tail)).toBeTypeOf('function')
    }),
  )
})

test.for([
  [
    'V5',
    'account-*',
    { 'account-1': true, 'account-1/sub': true, 'account-': true, 'order-1': false, 'my-account-1': false },
  ],
  ['V6', 'account-?', { 'account-1': true, 'account-12': false, 'account-': false, 'account-/': true }],
  ['V7', 'account-[0-9]', { 'account-7': true, 'account-a': false, 'account-': false, 'account-77': false }],
  ['sets', '[abc]', { a: true, c: true, d: false, '': false }],
  ['negated sets', '[!0-9]x', { ax: true, '1x': false, x: false }],
  ['dashes at the ends', '[-a][a-]', { '-a': true, 'a-': true, 'b-': false }],
  ['an exclamation mark elsewhere', '[a!]', { '!': true, a: true, b: false }],
  ['regular expression characters', 'a.b+(c)|^$\\', { 'a.b+(c)|^$\\': true, 'axb+(c)|^$\\': false }],
  ['a closing bracket alone', 'a]', { 'a]': true, a: false }],
  ['several runs', '*a*b*', { ab: true, xaxbx: true, ba: false }],
  ['line breaks', 'a*b?c', { 'a\n\nb\nc': true }],
  ['code units', '??', { '🛫': true, a: false }],
  ['case', 'A*', { a: false, A: true }],
] as const)('%s: %s', ([, pattern, names]) => {
  const matches = compileGlob(pattern)
  expect(Object.fromEntries(Object.keys(names).map((name) => [name, matches(name)]))).toEqual(names)
})

test.for([
  ['empty', ''],
  ['an empty set', '[]'],
  ['an empty negated set', '[!]'],
  ['a range that runs backwards', '[z-a]'],
  ['overlong', 'a'.repeat(1001)],
] as const)('refused: %s', ([, pattern]) => {
  expect(() => compileGlob(pattern)).toThrow(InvalidNameError)
})

test('agrees with the same pattern written as a regular expression', () => {
  const part = fc.constantFrom('a', 'b', '/', '*', '?', '[ab]', '[!a]', '[a-b]')
  fc.assert(
    fc.property(fc.array(part, { minLength: 1, maxLength: 8 }), fc.stringMatching(/^[abc/]{0,10}$/), (parts, name) => {
      const source = parts.map((each) => (each === '*' ? '.*' : each === '?' ? '.' : each.replace('!', '^'))).join('')
      expect(compileGlob(parts.join(''))(name)).toBe(new RegExp(`^${source}$`, 's').test(name))
    }),
    { numRuns: 2000 },
  )
})

// One that backtracks would not come back from this within the age of the universe.
test('a pattern that would make a backtracking matcher hang is answered', () => {
  const matches = compileGlob(`${'*a'.repeat(400)}*b`)
  expect(matches('a'.repeat(255))).toBe(false)
  expect(compileGlob(`${'*a'.repeat(30)}*b`)('a'.repeat(10_000))).toBe(false)
})
