// What the code takes for granted of transactions, connections and deletion, in every engine.
import { expect, test } from 'vitest'
import { add, commits, completed, deletesWhatItOpened, freshName, open, openLog, settled, thrown } from './database.js'

deletesWhatItOpened()

test('H18: a transaction takes each durability', async () => {
  const database = await openLog()
  for (const durability of ['strict', 'relaxed', 'default'] as const) {
    expect(database.transaction(['commits'], 'readwrite', { durability }).durability).toBe(durability)
  }
})

test('H6: an explicit commit ends a transaction: it completes, takes no more requests, and cannot be aborted', async () => {
  const database = await openLog()
  const transaction = database.transaction('commits', 'readwrite')
  const store = transaction.objectStore('commits')
  store.add({ at: 1 })
  transaction.commit()
  expect(thrown(() => store.add({ at: 2 }))).toMatchObject({ name: 'TransactionInactiveError' })
  expect(thrown(() => transaction.abort())).toMatchObject({ name: 'InvalidStateError' })
  await completed(transaction)
  expect(await settled(commits(database).getAll())).toEqual([{ at: 1 }])
})

test('H1: a transaction goes on over awaited requests, and one commit holds what several turns wrote', async () => {
  const database = await openLog()
  const transaction = database.transaction(['commits', 'checkpoints'], 'readwrite')
  const completing = completed(transaction)
  const [last, checkpoint] = await Promise.all([
    settled(transaction.objectStore('commits').openCursor(null, 'prev')),
    settled(transaction.objectStore('checkpoints').get('p')),
  ])
  expect([last, checkpoint]).toEqual([null, undefined])
  transaction.objectStore('commits').add({ at: 1 })
  expect(await settled(transaction.objectStore('commits').get(1))).toEqual({ at: 1 })
  transaction.objectStore('checkpoints').put({ name: 'p', position: 1 })
  transaction.commit()
  await completing
  expect(await settled(database.transaction('checkpoints').objectStore('checkpoints').get('p'))).toEqual({
    name: 'p',
    position: 1,
  })
})

test('an abort after an awaited read undoes what was written before and after it, in every store', async () => {
  const database = await openLog()
  const transaction = database.transaction(['commits', 'checkpoints'], 'readwrite')
  const reading = settled(transaction.objectStore('checkpoints').get('p'))
  settled(transaction.objectStore('commits').put({ at: 1 })).catch(() => {})
  settled(transaction.objectStore('checkpoints').put({ name: 'p', position: 1 })).catch(() => {})
  expect(await reading).toBeUndefined()
  transaction.abort()
  await expect(completed(transaction)).rejects.toBeDefined()
  expect(await settled(commits(database).getAll())).toEqual([])
  expect(await settled(database.transaction('checkpoints').objectStore('checkpoints').getAll())).toEqual([])
})

test('H10: writers of two connections take turns, and the second sees what the first wrote', async () => {
  const one = await openLog()
  const other = await openLog(one.name)
  const append = async (database: IDBDatabase) => {
    const transaction = database.transaction('commits', 'readwrite')
    const completing = completed(transaction)
    const last = await settled(transaction.objectStore('commits').openCursor(null, 'prev'))
    transaction.objectStore('commits').add({ at: ((last?.key as number | undefined) ?? 0) + 1 })
    transaction.commit()
    await completing
  }
  await Promise.all([one, other, one, other, other].map(append))
  expect((await settled(commits(one).getAll())).map(({ at }) => at)).toEqual([1, 2, 3, 4, 5])
})

test('the requests of one reading transaction see one state, also while a writer waits', async () => {
  const reader = await openLog()
  await add(reader, { at: 1 })
  const writer = await openLog(reader.name)
  const reading = reader.transaction('commits').objectStore('commits')
  expect(await settled(reading.getAll())).toHaveLength(1)
  const writing = add(writer, { at: 2 })
  expect(await settled(reading.getAll())).toHaveLength(1)
  expect(await settled(reading.openCursor(null, 'prev'))).toMatchObject({ key: 1 })
  await writing
  expect(await settled(commits(reader).getAll())).toHaveLength(2)
})

test('what an upgrade stores is there as soon as the database is open', async () => {
  const database = await open((made) =>
    made.createObjectStore('meta', { keyPath: 'key' }).put({ key: 'log', format: 1 }),
  )
  expect(await settled(database.transaction('meta').objectStore('meta').get('log'))).toEqual({ key: 'log', format: 1 })
})

test('H31: an aborted first upgrade leaves nothing: the next one begins at version 0', async () => {
  const name = freshName()
  const request = indexedDB.open(name, 1)
  request.onupgradeneeded = () => {
    request.result.createObjectStore('meta')
    request.transaction?.abort()
  }
  await expect(settled(request)).rejects.toMatchObject({ name: 'AbortError' })
  const again = indexedDB.open(name, 1)
  let oldVersion: number | undefined
  again.onupgradeneeded = (event) => (oldVersion = event.oldVersion)
  const database = await settled(again)
  expect([oldVersion, database.objectStoreNames.length]).toEqual([0, 0])
  database.close()
  await settled(indexedDB.deleteDatabase(name))
})

test('H29, H31: a deletion asks an open connection to close, and waits for it', async () => {
  const database = await openLog()
  const seen: (number | null)[] = []
  database.onversionchange = ({ newVersion }) => {
    seen.push(newVersion)
    database.close()
  }
  await settled(indexedDB.deleteDatabase(database.name))
  expect(seen).toEqual([null])
  expect((await openLog(database.name)).objectStoreNames.contains('commits')).toBe(true)
})

test('H22, H23: a closed connection refuses a transaction at once, and engines have the event for those they close', async () => {
  const database = await openLog()
  database.close()
  expect(thrown(() => database.transaction('commits'))).toMatchObject({ name: 'InvalidStateError' })
  expect('onclose' in database).toBe(true)
})

test('databases are listed by name, names with : and @ are kept apart, and what was deleted is not listed', async () => {
  const databases = await Promise.all(['', ':a@1', ':a@2', '/a', '\u{1f600}'].map((end) => openLog(freshName() + end)))
  const listed = async () => (await indexedDB.databases()).map(({ name }) => name)
  expect(await listed()).toEqual(expect.arrayContaining(databases.map(({ name }) => name)))
  const [gone] = databases as [IDBDatabase]
  gone.close()
  await settled(indexedDB.deleteDatabase(gone.name))
  expect(await listed()).not.toContain(gone.name)
  await settled(indexedDB.deleteDatabase(freshName()))
})
