// What the two builds of the package make of the sources. Which tool takes which build: test/package/builds.test.ts.
import { expect, test } from 'vitest'
import { codeFor } from '../../scripts/builds.mjs'

const production = (code: string): string => codeFor('production', code, 'file.ts')

test('production keeps the inserted values of a text, and not the text', () => {
  expect(production("fail(say`Stream '${stream}' is at version ${version}.`)")).toBe('fail(say(stream, version))')
  expect(production("fail(say`Table '${this.#name as string}' is closed.`)")).toBe('fail(`${this.#name as string}`)')
  expect(production('fail(say`must not be empty`)')).toBe("fail('')")
  expect(production('fail(say`“ä…” ${a}\n – ${b}`) // …')).toBe('fail(say(a, b)) // …')
})

test('production keeps the values of texts inside of texts', () => {
  expect(production("say`${n} times${late ? say`, the last ${say`at ${at}`} of ${day}` : ''}.`")).toBe(
    "say(n, late ? say(`${at}`, day) : '')",
  )
})

test('other templates stay', () => {
  for (const code of ['`projection ${name}`', 'sql`select ${name}`', "'say`it`'"]) expect(production(code)).toBe(code)
})

test.for([
  ['if (__DEV__) warn(say`no`)', ''],
  ['if (a) if (__DEV__) warn()', 'if (a) {}'],
  ['if (__DEV__) a()\nelse b(say`x`)', "b('')"],
  ['if (!__DEV__) a()', 'a()'],
  ['if (!__DEV__) a(); else b()', 'a();'],
  ['if (__DEV__ && c) { a() }', ''],
  ['x = __DEV__ ? a : say`b ${c}`', 'x = (`${c}`)'],
  ['x = !__DEV__ ? a : b', 'x = (a)'],
  ['x = __DEV__ && a', 'x = false'],
  ['x = !__DEV__ && a', 'x = (a)'],
  ['x = f(__DEV__)', 'x = f(false)'],
])('production: %s', ([code, expected]) => {
  expect(production(code as string)).toBe(expected)
})

test('development keeps all of it', () => {
  expect(codeFor('development', 'if (__DEV__) warn(say`no ${x}`)', 'file.ts')).toBe('if (true) warn(say`no ${x}`)')
})

test('code that cannot be read is refused with the name of its file', () => {
  expect(() => production('if (__DEV__')).toThrow('file.ts')
})
