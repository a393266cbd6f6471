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
  // Not empty, which fake-indexeddb takes for detached.
  fc.uint8Array({ minLength: 1, maxLength: 3 }),
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
    const mine = rows.map((each) => ({ id: each.id, keys: indexKeysOf({ indexes }, each) }))
    await withDatabase(
      name,
      async (database) => {
        const transaction = database.transaction('rows', 'readwrite')
        const store = transaction.objectStore('rows')
        for (const each of rows) store.put(each)
        await completed(transaction)
        // Asked by key: of a list that holds bytes, a cursor of WebKit returns more bytes than the list has.
        for (const index of Object.keys(indexes)) {
          const from = database.transaction('rows').objectStore('rows').index(index)
          const ofIndex = mine.flatMap(({ id, keys }) => (keys.get(index) ?? []).map((key) => ({ id, key })))
          const asked = ofIndex.map(({ id, key }) => ({ id, ids: settled(from.getAllKeys(key as IDBValidKey)) }))
          const size = settled(from.count())
          for (const { id, ids } of asked) expect(await ids, index).toContain(id)
          expect(await size, index).toBe(ofIndex.length)
          expect(ofIndex.length, index).toBeGreaterThan(20)
        }
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
  })
}
