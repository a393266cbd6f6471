// The tables of a definition as text: what is stored of them must not change between builds.
import { expect, test } from 'vitest'
import { defineEvents, defineProjection } from 'tidemark'
import type { Projection } from '../../../src/read-model/define.js'
import { fingerprintOf, isFingerprintOf, storedFingerprintOf } from '../../../src/read-model/fingerprint.js'

const of = (key: unknown, indexes?: unknown) =>
  defineProjection(defineEvents<{ type: 'A'; data: null }>(), {
    name: 'rows',
    tables: { rows: { key, ...(indexes !== undefined && { indexes }) } as never },
    on: { A: () => {} },
  }) as unknown as Projection

test('plain indexes and keys have the text that every earlier build stored', () => {
  expect(fingerprintOf(of('id'))).toBe('[["rows","id",[]]]')
  expect(storedFingerprintOf(of('id'))).toBe('packed [["rows","id",[]]]')
  const both = '[["rows","id",[["a",["x","y"]],["b","n"]]]]'
  expect(fingerprintOf(of('id', { b: 'n', a: ['x', 'y'] }))).toBe(both)
  // Options that change nothing are none.
  expect(fingerprintOf(of('id', { a: { path: ['x', 'y'], unique: false }, b: { multiEntry: false, path: 'n' } }))).toBe(
    both,
  )
  expect(isFingerprintOf(of('id', { b: { path: 'n' }, a: ['x', 'y'] }), both)).toBe(true)
})

test('options of an index, and each property of a key, are part of it, in whichever order they are written', () => {
  const different = [
    of('id', { b: 'n' }),
    of('id', { b: { path: 'n', unique: true } }),
    of('id', { b: { path: 'n', multiEntry: true } }),
    of('id', { b: { path: 'n', multiEntry: true, unique: true } }),
    of(['id', 'n'], { b: 'n' }),
    of(['n', 'id'], { b: 'n' }),
  ]
  expect(new Set(different.map(fingerprintOf)).size).toBe(different.length)
  expect(fingerprintOf(of('id', { b: { unique: true, multiEntry: true, path: 'n' } }))).toBe(
    '[["rows","id",[["b",{"path":"n","multiEntry":true,"unique":true}]]]]',
  )
})

test.for<[string, unknown, unknown, RegExp]>([
  [
    'several properties, with an entry for each item',
    'id',
    { b: { path: ['n', 'm'], multiEntry: true } },
    /indexes\.b has 'multiEntry'/,
  ],
  ['a misspelt option', 'id', { b: { path: 'n', uniqe: true } }, /'uniqe'/],
  [
    'an option that is no boolean',
    'id',
    { b: { path: 'n', unique: 'yes' } },
    /indexes\.b\.unique must be true or false/,
  ],
  ['another one', 'id', { b: { path: 'n', multiEntry: 1 } }, /indexes\.b\.multiEntry must be true or false/],
  ['no path', 'id', { b: { unique: true } }, /indexes\.b must name a property/],
  ['nothing', 'id', { b: null }, /indexes\.b must name a property/],
  ['a list of one', 'id', { b: { path: ['n'] } }, /indexes\.b must name a property/],
  ['a key of one in a list', ['id'], undefined, /key must name a property of the row/],
  ['a key that names one twice', ['id', 'id'], undefined, /key must name/],
  ['a key with a path in it', ['id', 'a.b'], undefined, /key must name/],
  ['a key with a hole', ['id', , 'n'], undefined, /key must name/],
])('%s is refused', ([, key, indexes, message]) => {
  expect(() => of(key, indexes)).toThrow(
    expect.objectContaining({ code: 'invalid-argument', message: expect.stringMatching(message) }),
  )
})
