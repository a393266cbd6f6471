// What read models take for granted of IndexedDB: rows as declared, indexes of one property and of several, queries both ways.
import { expect, test } from 'vitest'
import { completed, deletesWhatItOpened, open, settled } from './database.js'

deletesWhatItOpened()

interface Directed {
  getAll(options: { direction: 'prev'; count: number }): IDBRequest<Row[]>
}
interface Row {
  code: string
  total?: number | null
  region?: string
  at?: Date
}

function openTable(): Promise<IDBDatabase> {
  return open((database) => {
    const rows = database.createObjectStore('rows', { keyPath: 'code' })
    rows.createIndex('byTotal', 'total')
    rows.createIndex('byRegionAndTotal', ['region', 'total'])
    rows.createIndex('byTotalAlone', ['total'])
    rows.createIndex('byTime', 'at')
  })
}

async function put(database: IDBDatabase, ...rows: readonly Row[]): Promise<void> {
  const transaction = database.transaction('rows', 'readwrite', { durability: 'relaxed' })
  for (const row of rows) transaction.objectStore('rows').put(row)
  transaction.commit()
  await completed(transaction)
}

const rows = (database: IDBDatabase) => database.transaction('rows').objectStore('rows')
const codes = (list: readonly Row[]) => list.map(({ code }) => code)

test('a put replaces the row in every index', async () => {
  const database = await openTable()
  await put(database, { code: 'a', total: 1, region: 'x' })
  await put(database, { code: 'a', total: 2, region: 'y' })
  expect(await settled(rows(database).get('a'))).toEqual({ code: 'a', total: 2, region: 'y' })
  expect(await settled(rows(database).index('byTotal').getAll(1))).toEqual([])
  expect(await settled(rows(database).index('byRegionAndTotal').getAll(['y', 2]))).toHaveLength(1)
})

test('rows come in the order of an index from its start and from its end, all or as many as asked for', async () => {
  const database = await openTable()
  await put(database, { code: 'a', total: 3 }, { code: 'b', total: 1 }, { code: 'c', total: 2 }, { code: 'd' })
  expect(codes(await settled(rows(database).getAll(null, undefined)))).toEqual(['a', 'b', 'c', 'd'])
  expect(codes(await settled(rows(database).index('byTotal').getAll(null, undefined)))).toEqual(['b', 'c', 'a'])
  expect(codes(await settled(rows(database).index('byTotal').getAll(IDBKeyRange.lowerBound(2), 1)))).toEqual(['c'])
  expect(codes(await backwards(rows(database).index('byTotal')))).toEqual(['a', 'c', 'b'])
  expect(codes(await backwards(rows(database)))).toEqual(['d', 'c', 'b', 'a'])
})

test('H13: getAll takes a direction where getAllRecords exists, and there only', async () => {
  const database = await openTable()
  await put(database, { code: 'a', total: 3 }, { code: 'b', total: 1 }, { code: 'c', total: 2 })
  const lastTwo = async () =>
    codes(
      await settled((rows(database).index('byTotal') as unknown as Directed).getAll({ direction: 'prev', count: 2 })),
    )
  if ('getAllRecords' in IDBObjectStore.prototype) expect(await lastTwo()).toEqual(['a', 'c'])
  else await expect(lastTwo()).rejects.toMatchObject({ name: 'DataError' })
})

test('H12: an index of two properties sorts by both, and leaves out rows where one is null or missing', async () => {
  const database = await openTable()
  await put(
    database,
    { code: 'a', region: 'x', total: 2 },
    { code: 'b', region: 'x', total: 1 },
    { code: 'c', region: 'w', total: 9 },
    { code: 'd', region: 'x', total: null },
    { code: 'e', region: 'x' },
  )
  const index = () => rows(database).index('byRegionAndTotal')
  expect(codes(await settled(index().getAll()))).toEqual(['c', 'b', 'a'])
  expect(codes(await settled(index().getAll(IDBKeyRange.bound(['x'], ['x', []]))))).toEqual(['b', 'a'])
  expect(codes(await settled(rows(database).getAll()))).toEqual(['a', 'b', 'c', 'd', 'e'])
})

test('H12: an index declared as a list of one property has lists of one as keys', async () => {
  const database = await openTable()
  await put(database, { code: 'a', total: 2 }, { code: 'b', total: 1 })
  expect(codes(await settled(rows(database).index('byTotalAlone').getAll([2])))).toEqual(['a'])
  expect(await settled(rows(database).index('byTotalAlone').getAll(2))).toEqual([])
})

test('dates are kept as dates, also as keys of an index', async () => {
  const database = await openTable()
  await put(database, { code: 'a', at: new Date(2) }, { code: 'b', at: new Date(1) })
  expect(
    await settled(
      rows(database)
        .index('byTime')
        .getAll(IDBKeyRange.upperBound(new Date(1))),
    ),
  ).toEqual([{ code: 'b', at: new Date(1) }])
})

test('a row is deleted, its key asked for, and a table cleared', async () => {
  const database = await openTable()
  await put(database, { code: 'a' }, { code: 'b' })
  const transaction = database.transaction('rows', 'readwrite')
  const store = transaction.objectStore('rows')
  store.delete('a')
  expect([await settled(store.getKey('a')), await settled(store.getKey('b'))]).toEqual([undefined, 'b'])
  store.clear()
  await completed(transaction)
  expect(await settled(rows(database).getAll())).toEqual([])
})

function backwards(source: IDBObjectStore | IDBIndex): Promise<Row[]> {
  return new Promise((resolve, reject) => {
    const found: Row[] = []
    const request = source.openCursor(null, 'prev')
    request.onerror = () => reject(request.error)
    request.onsuccess = () => {
      if (request.result === null) return resolve(found)
      found.push(request.result.value as Row)
      request.result.continue()
    }
  })
}
