// Rows as JSON: what was put comes back, and plain data stays what SQL can look into.
import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import { expect, test } from 'vitest'

import { blobsIn, rowFrom, rowsFrom, rowText } from '../../../src/postgres/row-json.js'

const back = (row: object): unknown => rowFrom(JSON.parse(rowText(row, 'rows')))

const exotic = fc.constantFrom<() => unknown>(
  () => undefined,
  () => Number.NaN,
  () => -0,
  () => -Infinity,
  () => 12n,
  () => new Date(5),
  () => /a"b/gi,
  () => new Uint8Array([1, 2, 255]),
  () => new Float64Array([1.5, Number.NaN]),
  () => new Uint8Array([9, 1, 2, 9]).buffer,
  () => new DataView(new Uint8Array([9, 1, 2]).buffer, 1),
  () => [1, , 3],
  () => ({ $: 'date', of: 5 }),
  () => Object(7),
  () => Object('text'),
)

const value = fc.letrec((tie) => ({
  any: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom('\u0000', '\ud800', '"$":'), fc.double(), fc.boolean()),
    fc.constant(null),
    exotic.map((make) => make()),
    fc.array(tie('any'), { maxLength: 3 }),
    fc.dictionary(fc.oneof(fc.string(), fc.constantFrom('$', '__proto__', '1', 'of')), tie('any'), { maxKeys: 3 }),
    fc.array(fc.tuple(tie('any'), tie('any')), { maxLength: 2 }).map((entries) => new Map(entries)),
    fc.array(tie('any'), { maxLength: 2 }).map((items) => new Set(items)),
  ),
})).any

test('N82: any row comes back as structured clone keeps it', () => {
  fc.assert(
    fc.property(fc.array(value, { maxLength: 4 }), (parts) => {
      const row = { id: 1, parts }
      const same = structuredClone(row)
      expect(isDeepStrictEqual(back(same), same), rowText(same, 'rows')).toBe(true)
    }),
    { seed: 20261130, numRuns: 5_000 },
  )
})

test('N82: plain rows are stored as they are, and a key named $ is one like any other', () => {
  const row = { id: 'a', n: 1.5, list: [1, { deep: true }], text: 'x"$":', nothing: null }
  expect(rowText(row, 'rows')).toBe(JSON.stringify(row))
  const dollar = { id: 'a', in: { $: 'undefined', of: 1 } }
  expect(back(dollar)).toEqual(dollar)
  expect(rowsFrom(`[${rowText(row, 'rows')},${rowText(dollar, 'rows')}]`)).toEqual([row, dollar])
})

test('N82: what is in a row twice, or contains itself, comes back as one object', () => {
  const shared = { at: new Date(1), list: [1] }
  const map = new Map<unknown, unknown>([['a', shared]])
  const row: Record<string, unknown> = { id: 1, shared, again: shared, map, date: shared.at }
  row['self'] = row
  map.set(map, row)
  const found = back(row) as typeof row
  expect(found['self']).toBe(found)
  expect(found['again']).toBe(found['shared'])
  expect((found['shared'] as typeof shared).at).toBe(found['date'])
  const own = found['map'] as typeof map
  expect([own.get('a'), own.get(own)]).toEqual([found['shared'], found])
  let twice: object = { end: true }
  for (let at = 0; at < 40; at += 1) twice = { left: twice, right: twice }
  expect(rowText({ id: 1, twice }, 'rows').length).toBeLessThan(4_000)
})

test('N82: an invalid Date stays one', () => {
  expect((back({ id: 1, at: new Date(Number.NaN) }) as { at: Date }).at.getTime()).toBeNaN()
})

test('N82: errors keep name, message, stack and cause', () => {
  const error = new TypeError('wrong', { cause: new Date(7) })
  const { stack } = error
  const { error: found } = back({ id: 1, error }) as { error: TypeError }
  expect(found).toBeInstanceOf(TypeError)
  expect([found.message, found.stack, found.cause]).toEqual(['wrong', stack, new Date(7)])
})

test('N82: bytes of a Blob are stored with its type', async () => {
  const row = { id: 1, files: [new Blob(['abc'], { type: 'text/x' })] }
  const [blob] = blobsIn(row) as [Blob]
  const blobs = new Map([[blob, new Uint8Array(await blob.arrayBuffer())]])
  const { files } = rowFrom(JSON.parse(rowText(row, 'rows', blobs))) as typeof row
  expect([await files[0]?.text(), files[0]?.type]).toEqual(['abc', 'text/x'])
})

test('N82: what no row in PostgreSQL may hold is refused with its path', async () => {
  const { publicKey } = (await crypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, [
    'sign',
    'verify',
  ])) as CryptoKeyPair
  for (const [part, what] of [
    [publicKey, 'CryptoKey'],
    [() => 1, 'a function'],
    [new WeakMap(), 'WeakMap'],
  ] as const)
    expect(() => rowText({ id: 1, deep: [{ part }] }, 'rows')).toThrow(
      expect.objectContaining({
        code: 'invalid-argument',
        message: expect.stringMatching(new RegExp(`^rows\\.deep\\.0\\.part is ${what}`)),
      }),
    )
})

test('N82: a toJSON that a library gave every list is not asked', () => {
  const row = { id: 1, list: [1, 'a"b', { n: null, on: true }] }
  const prototype = Array.prototype as { toJSON?: unknown }
  prototype.toJSON = () => 'gone'
  try {
    expect(rowText(row, 'rows')).toBe('{"id":1,"list":[1,"a\\"b",{"n":null,"on":true}]}')
  } finally {
    delete prototype.toJSON
  }
})
