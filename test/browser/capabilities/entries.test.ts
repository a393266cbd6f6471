// What read models take for granted of indexes with an entry for each item of a list, of cursors that continue within
// equal keys, and of keys of several properties.
import { expect, test } from 'vitest'
import { completed, deletesWhatItOpened, open, settled } from './database.js'

deletesWhatItOpened()

interface Row {
  readonly id: number
  readonly tags?: unknown
  readonly n?: number
}

async function filled(rows: readonly Row[]): Promise<IDBDatabase> {
  const database = await open((made) => {
    const store = made.createObjectStore('rows', { keyPath: 'id' })
    store.createIndex('byTag', 'tags', { multiEntry: true })
    store.createIndex('byN', 'n')
  })
  const transaction = database.transaction('rows', 'readwrite', { durability: 'relaxed' })
  for (const row of rows) transaction.objectStore('rows').put(row)
  await completed(transaction)
  return database
}

const index = (database: IDBDatabase, name: string) => database.transaction('rows').objectStore('rows').index(name)
const ids = (rows: readonly Row[]) => rows.map(({ id }) => id)

function walked(
  source: IDBIndex,
  range: IDBKeyRange | null,
  direction: IDBCursorDirection,
  from?: readonly [key: IDBValidKey, primaryKey: IDBValidKey],
): Promise<(readonly [unknown, unknown])[]> {
  return new Promise((resolve, reject) => {
    const found: (readonly [unknown, unknown])[] = []
    let jumps = from !== undefined
    const request = source.openCursor(range, direction)
    request.onerror = () => reject(request.error)
    request.onsuccess = () => {
      const cursor = request.result
      if (cursor === null) return resolve(found)
      if (jumps && from !== undefined) {
        jumps = false
        try {
          return cursor.continuePrimaryKey(...from)
        } catch (error) {
          return reject(error)
        }
      }
      found.push([cursor.key, cursor.primaryKey])
      cursor.continue()
    }
  })
}

test('H79: an index with an entry for each item has none for what is no key, one for items that are equal, and takes a single value', async () => {
  const database = await filled([
    { id: 1, tags: ['b', 'a', 'b'] },
    { id: 2, tags: [Number.NaN, null, 'a', undefined, {}, true, new Date(Number.NaN)] },
    { id: 3, tags: 'a' },
    { id: 4, tags: [] },
    { id: 5 },
    { id: 6, tags: [new Date(5), new Date(5), 7, ['a'], ['a', null]] },
    { id: 7, tags: [-0, 0] },
    { id: 8, tags: Number.NaN },
    { id: 9, tags: Array.from({ length: 3 }) },
  ])
  const byTag = () => index(database, 'byTag')
  expect(await walked(byTag(), null, 'next')).toEqual([
    [expect.toSatisfy((key) => key === 0), 7],
    [7, 6],
    [new Date(5), 6],
    ['a', 1],
    ['a', 2],
    ['a', 3],
    ['b', 1],
    [['a'], 6],
  ])
  expect(ids(await settled(byTag().getAll('a')))).toEqual([1, 2, 3])
  expect(ids(await settled(byTag().getAll(IDBKeyRange.bound('a', 'b'))))).toEqual([1, 2, 3, 1])
  expect(await settled(byTag().getAllKeys(IDBKeyRange.bound('a', 'b')))).toEqual([1, 2, 3, 1])
  expect(await settled(byTag().count(IDBKeyRange.bound('a', 'b')))).toBe(4)
  expect(ids(await settled(byTag().getAll(new Date(5))))).toEqual([6])
  expect((await walked(byTag(), IDBKeyRange.bound('a', 'b'), 'prev')).map(([, id]) => id)).toEqual([1, 3, 2, 1])
  if ('getAllRecords' in IDBObjectStore.prototype) {
    const options = { query: IDBKeyRange.bound('a', 'b'), direction: 'prev', count: 3 }
    const source = byTag() as unknown as { getAll(options: unknown): IDBRequest<Row[]> }
    expect(ids(await settled(source.getAll(options)))).toEqual([1, 3, 2])
  }
})

test('a row that is put again, or deleted, loses the entries that it had', async () => {
  const database = await filled([
    { id: 1, tags: ['a', 'b'] },
    { id: 2, tags: ['a'] },
  ])
  const transaction = database.transaction('rows', 'readwrite')
  transaction.objectStore('rows').put({ id: 1, tags: ['c'] })
  transaction.objectStore('rows').delete(2)
  await completed(transaction)
  expect(await walked(index(database, 'byTag'), null, 'next')).toEqual([['c', 1]])
})

test('a cursor continues within equal keys, both ways, also at a row that is gone', async () => {
  const database = await filled([
    { id: 1, n: 5 },
    { id: 2, n: 5 },
    { id: 4, n: 5 },
    { id: 5, n: 5 },
    { id: 6, n: 6 },
    { id: 7, n: 4 },
  ])
  const byN = () => index(database, 'byN')
  expect(await walked(byN(), IDBKeyRange.lowerBound(5), 'next', [5, 3])).toEqual([
    [5, 4],
    [5, 5],
    [6, 6],
  ])
  expect(await walked(byN(), IDBKeyRange.only(5), 'next', [5, 4])).toEqual([
    [5, 4],
    [5, 5],
  ])
  expect(await walked(byN(), IDBKeyRange.only(5), 'next', [5, 9])).toEqual([])
  expect(await walked(byN(), IDBKeyRange.upperBound(5), 'prev', [5, 3])).toEqual([
    [5, 2],
    [5, 1],
    [4, 7],
  ])
  expect(await walked(byN(), IDBKeyRange.only(5), 'prev', [5, 0])).toEqual([])
  // Not to where it is already.
  await expect(walked(byN(), IDBKeyRange.only(5), 'next', [5, 1])).rejects.toMatchObject({ name: 'DataError' })
})

test('a list is a key that orders by its items, also as the key of a record and as that of one without a key path', async () => {
  const database = await open((made) => {
    made.createObjectStore('rows', { keyPath: ['a', 'b'] }).createIndex('byC', 'c')
    made.createObjectStore('packs')
  })
  const transaction = database.transaction(['rows', 'packs'], 'readwrite')
  for (const [a, b] of [
    ['x', 10],
    ['x', 9],
    ['w', 11],
    ['x', 'y'],
  ] as const)
    transaction.objectStore('rows').put({ a, b, c: 1 })
  transaction.objectStore('packs').put('first', -Infinity)
  transaction.objectStore('packs').put('second', ['x', 9])
  await completed(transaction)
  const rows = () => database.transaction('rows').objectStore('rows')
  expect(await settled(rows().getAllKeys())).toEqual([
    ['w', 11],
    ['x', 9],
    ['x', 10],
    ['x', 'y'],
  ])
  expect(await settled(rows().get(['x', 10]))).toEqual({ a: 'x', b: 10, c: 1 })
  expect(await settled(rows().getAllKeys(IDBKeyRange.bound(['x'], ['x', []])))).toHaveLength(3)
  expect(await settled(rows().index('byC').getAllKeys(1))).toEqual([
    ['w', 11],
    ['x', 9],
    ['x', 10],
    ['x', 'y'],
  ])
  expect(
    (await walked(rows().index('byC'), IDBKeyRange.only(1), 'next', [1, ['x', 9.5]])).map(([, key]) => key),
  ).toEqual([
    ['x', 10],
    ['x', 'y'],
  ])
  const packs = database.transaction('packs').objectStore('packs')
  expect(await settled(packs.getAll(IDBKeyRange.upperBound(['x', 8])))).toEqual(['first'])
  expect(await settled(packs.getAll(IDBKeyRange.upperBound(['x', 9])))).toEqual(['first', 'second'])
})
