// What the layout of the log takes for granted of IndexedDB, each as a test of its own, so that an engine says what it lacks.
import { expect, test } from 'vitest'
import { add, commits, completed, deletesWhatItOpened, openLog, settled } from './database.js'

deletesWhatItOpened()

const ofStream = (stream: string, from = 0) => IDBKeyRange.bound([stream, from], [stream, []])

test('H12: the last record is found from the end, and an empty store has none', async () => {
  const database = await openLog()
  expect(await settled(commits(database).openCursor(null, 'prev'))).toBeNull()
  expect(
    await settled(commits(database).index('ids').openKeyCursor(IDBKeyRange.upperBound('~', true), 'prev')),
  ).toBeNull()
  expect(await settled(commits(database).index('heads').openKeyCursor(ofStream('s'), 'prev'))).toBeNull()
  await add(database, { at: 1, n: 1 }, { at: 2, n: 300 })
  expect((await settled(commits(database).openCursor(null, 'prev')))?.value).toEqual({ at: 2, n: 300 })
})

test('H12: the record that holds a position is the greatest key up to it', async () => {
  const database = await openLog()
  await add(database, { at: 1 }, { at: 257 }, { at: 300 })
  const holding = async (position: number) =>
    (await settled(commits(database).openKeyCursor(IDBKeyRange.upperBound(position), 'prev')))?.key
  expect([await holding(256), await holding(257), await holding(299), await holding(1000)]).toEqual([1, 257, 257, 300])
})

test('H12: records are read from a key on, in order, as many as asked for', async () => {
  const database = await openLog()
  await add(database, { at: 30 }, { at: 2 }, { at: 10 })
  expect(await settled(commits(database).getAll(IDBKeyRange.lowerBound(2), 2))).toEqual([{ at: 2 }, { at: 10 }])
  expect(await settled(commits(database).getAll(IDBKeyRange.lowerBound(11), 1024))).toEqual([{ at: 30 }])
})

test('H12: a multiEntry index holds arrays of a string and a number, and the last version of a stream is found from the end', async () => {
  const database = await openLog()
  await add(
    database,
    {
      at: 1,
      heads: [
        ['s', 5],
        ['r', 99],
        ['s\0', 77],
      ],
    },
    {
      at: 9,
      heads: [
        ['s', 12],
        ['t', 98],
        ['sa', 76],
      ],
    },
    { at: 20, heads: [['u', 1]] },
  )
  const last = async (stream: string) => {
    const cursor = await settled(commits(database).index('heads').openKeyCursor(ofStream(stream), 'prev'))
    return cursor === null ? null : [cursor.key, cursor.primaryKey]
  }
  expect(await last('s')).toEqual([['s', 12], 9])
  expect(await last('s\0')).toEqual([['s\0', 77], 1])
  expect(await last('nobody')).toBeNull()
})

test('H12: the records of a stream come in the order of its versions, from a version on, as many as asked for', async () => {
  const database = await openLog()
  await add(
    database,
    {
      at: 30,
      heads: [
        ['s', 30],
        ['t', 1],
      ],
    },
    {
      at: 10,
      heads: [
        ['s', 4],
        ['r', 4],
      ],
    },
    { at: 20, heads: [['s', 20]] },
  )
  const from = async (version: number, limit: number) =>
    (await settled(commits(database).index('heads').getAll(ofStream('s', version), limit))).map(({ at }) => at)
  expect([await from(0, 128), await from(5, 128), await from(0, 2)]).toEqual([
    [10, 20, 30],
    [20, 30],
    [10, 20],
  ])
})

test('H12: every kind of name is a key of its own, in the order of UTF-16 code units', async () => {
  const names = [
    '',
    '\0',
    '-',
    '__proto__',
    'a',
    'a\0',
    'a\0b',
    'aa',
    'e\u0301',
    '\u00e9',
    '\u{1f600}',
    '\u{1f601}',
    '\ue000',
    '\uffff',
  ]
  const database = await openLog()
  await add(database, ...names.map((name, at) => ({ at, heads: [[name, 1]], ids: [name], name })))
  expect((await settled(commits(database).index('ids').getAll())).map(({ name }) => name)).toEqual([...names].sort())
  for (const name of names) {
    expect(
      (await settled(commits(database).index('heads').getAll(ofStream(name)))).map((record) => record.name),
      JSON.stringify(name),
    ).toEqual([name])
  }
})

test('H12: all records with an id are found by it, and the greatest id below a bound', async () => {
  const database = await openLog()
  await add(database, { at: 1, ids: ['0190', '0191'] }, { at: 5, ids: ['0191', '~own'] }, { at: 9, ids: ['~'] })
  expect((await settled(commits(database).index('ids').getAll('0191'))).map(({ at }) => at)).toEqual([1, 5])
  const greatest = await settled(
    commits(database).index('ids').openKeyCursor(IDBKeyRange.upperBound('~', true), 'prev'),
  )
  expect(greatest?.key).toBe('0191')
})

test('H12: records without entries, and with an entry twice, are no conflict in a unique multiEntry index', async () => {
  const database = await openLog()
  await add(database, { at: 1, commits: [] }, { at: 2, commits: [] }, { at: 3 }, { at: 4, commits: [4, 4] })
  expect(await settled(commits(database).index('commits').getAll())).toEqual([{ at: 4, commits: [4, 4] }])
})

test('H10, H12: a unique multiEntry index refuses a position that is taken, with the whole transaction', async () => {
  const database = await openLog()
  await add(database, { at: 1, commits: [1] }, { at: 2, commits: [2, 5] })
  const transaction = database.transaction('commits', 'readwrite')
  transaction.objectStore('commits').add({ at: 3, commits: [3] })
  const refused = settled(transaction.objectStore('commits').add({ at: 4, commits: [5] }))
  const [request, end] = await Promise.allSettled([refused, completed(transaction)])
  expect(request).toMatchObject({ status: 'rejected', reason: { name: 'ConstraintError' } })
  expect(end.status).toBe('rejected')
  expect((await settled(commits(database).getAll())).map(({ at }) => at)).toEqual([1, 2])
})

test('H4, H10: after an explicit commit the only request, if refused, still names the ConstraintError, and nothing is stored', async () => {
  const database = await openLog()
  await add(database, { at: 1, commits: [1] })
  const transaction = database.transaction('commits', 'readwrite', { durability: 'strict' })
  let seen: unknown
  // The error of the transaction is another one in each engine; that of the request is not.
  transaction.onerror = ({ target }) => (seen ??= (target as IDBRequest).error?.name)
  settled(transaction.objectStore('commits').add({ at: 3, commits: [1] })).catch(() => {})
  transaction.commit()
  await expect(completed(transaction)).rejects.toBeDefined()
  expect(seen).toBe('ConstraintError')
  expect(await settled(commits(database).getAll())).toEqual([{ at: 1, commits: [1] }])
})
