/** The keys that hints name are those under which the engine has a row. Run on fake-indexeddb and in real browsers. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { indexKeysOf, indexOptions } from '../../src/read-model/index-keys.js'
import { completed, settled, withDatabase } from '../support/raw-database.js'

const seed = 20261129
const indexes = {
  byN: 'n',
  byDeep: 'at.n',
  byBoth: ['n', 'at.m'],
  byLength: 'n.length',
  byEach: { path: 'n', multiEntry: true },
  ['__proto__']: '__proto__',
} as const

const leaf = fc.oneof(
  fc.string(),
  fc.double(),
  fc.constantFrom<unknown>(null, undefined, true, 1n, '', 0, -0, NaN, Infinity, {}, new Date(Number.NaN), new Set([1])),
  fc.date({ noInvalidDate: true }),
  // Not empty, which fake-indexeddb takes for detached; and no views, of which WebKit may take the whole buffer.
  fc.uint8Array({ minLength: 1, maxLength: 3 }).map((bytes) => bytes.slice().buffer.slice(0, bytes.length)),
)
const value = fc.oneof(
  { weight: 3, arbitrary: leaf },
  { weight: 1, arbitrary: fc.array(leaf, { maxLength: 3 }) },
  { weight: 1, arbitrary: fc.array(fc.array(leaf, { maxLength: 2 }), { maxLength: 2 }) },
)
const row = fc.record(
  { n: value, at: fc.oneof(value, fc.record({ n: value, m: value }, { requiredKeys: [] })), ['__proto__']: value },
  { requiredKeys: [] },
)

export function indexKeysContract(): void {
  test(`a row has the keys that the engine gives it (seed ${seed})`, async () => {
    const rows = fc.sample(row, { seed, numRuns: 500 }).map((each, id) => ({ ...each, id }))
    const name = `index-keys-${Math.random()}`
    const found = await withDatabase(
      name,
      async (database) => {
        const transaction = database.transaction('rows', 'readwrite')
        const store = transaction.objectStore('rows')
        for (const each of rows) store.put(each)
        await completed(transaction)
        const keys = new Map<unknown, Map<string, unknown[]>>()
        for (const index of Object.keys(indexes)) {
          const walk = database.transaction('rows').objectStore('rows').index(index)
          const request = walk.openKeyCursor()
          for (let at = await settled(request); at !== null; at = await settled(request)) {
            const mine = keys.get(at.primaryKey) ?? new Map<string, unknown[]>()
            keys.set(at.primaryKey, mine.set(index, [...(mine.get(index) ?? []), at.key]))
            at.continue()
          }
        }
        return keys
      },
      (database) => {
        const store = database.createObjectStore('rows', { keyPath: 'id' })
        for (const [index, declared] of Object.entries(indexes)) {
          const { path, ...options } = indexOptions(declared)
          store.createIndex(index, path as string | string[], options)
        }
      },
    )
    await settled(indexedDB.deleteDatabase(name))
    const plain = (keys: ReadonlyMap<string, readonly unknown[]> | undefined) =>
      [...(keys ?? [])].map(([index, list]) => [index, list.map(asText)]).sort()
    for (const each of rows)
      expect(plain(indexKeysOf({ indexes }, each)), asText(each.n)).toEqual(plain(found.get(each.id)))
    expect(found.size).toBeGreaterThan(100)
  })
}

/** A view of bytes is the same key as a buffer of them, and -0 the same as 0. */
const asText = (key: unknown): string =>
  key instanceof Date
    ? `Date ${key.getTime()}`
    : Array.isArray(key)
      ? `[${key.map(asText).join()}]`
      : ArrayBuffer.isView(key)
        ? `bytes ${[...new Uint8Array(key.buffer, key.byteOffset, key.byteLength)].join()}`
        : key instanceof ArrayBuffer
          ? `bytes ${[...new Uint8Array(key)].join()}`
          : `${typeof key} ${String(key)}`
