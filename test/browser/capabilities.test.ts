// What tidemark takes for granted of an engine, each as a test of its own, so that a new engine says what it lacks.
import { afterEach, expect, test } from 'vitest'

const opened: IDBDatabase[] = []

afterEach(async () => {
  for (const db of opened.splice(0)) {
    db.close()
    await settled(indexedDB.deleteDatabase(db.name))
  }
})

test('H12: a multiEntry index holds array keys, and walks a range of them backwards', async () => {
  const db = await open((store) => store.createIndex('heads', 'heads', { multiEntry: true }))
  const write = db.transaction('commits', 'readwrite')
  write.objectStore('commits').add({ at: 1, heads: [['account-1', 2], ['account-2', 1]] })
  write.objectStore('commits').add({ at: 4, heads: [['account-1', 3]] })
  await completed(write)

  const index = db.transaction('commits').objectStore('commits').index('heads')
  const range = IDBKeyRange.bound(['account-1'], ['account-1', []])
  const cursor = await settled(index.openKeyCursor(range, 'prev'))
  expect([cursor?.key, cursor?.primaryKey]).toEqual([['account-1', 3], 4])
  expect(await settled(index.getAllKeys(range))).toEqual([1, 4])
})

test('H12: a unique multiEntry index of array keys refuses a record that shares one key, and the whole transaction', async () => {
  const db = await open((store) => store.createIndex('commits', 'commits', { multiEntry: true, unique: true }))
  const first = db.transaction('commits', 'readwrite')
  first.objectStore('commits').add({ at: 1, commits: [['a', 1], ['a', 2]] })
  await completed(first)

  const second = db.transaction('commits', 'readwrite')
  second.objectStore('commits').add({ at: 2, commits: [['b', 1]] })
  const refused = settled(second.objectStore('commits').add({ at: 3, commits: [['a', 2], ['a', 3]] }))
  await expect(refused).rejects.toMatchObject({ name: 'ConstraintError' })
  await expect(completed(second)).rejects.toMatchObject({ name: 'ConstraintError' })

  expect(await settled(db.transaction('commits').objectStore('commits').getAllKeys())).toEqual([1])
})

test('H12: a unique multiEntry index of numbers does the same', async () => {
  const db = await open((store) => store.createIndex('commits', 'commits', { multiEntry: true, unique: true }))
  const first = db.transaction('commits', 'readwrite')
  first.objectStore('commits').add({ at: 1, commits: [1, 5, 9] })
  await completed(first)

  const second = db.transaction('commits', 'readwrite')
  await expect(settled(second.objectStore('commits').add({ at: 5, commits: [5] }))).rejects.toMatchObject({
    name: 'ConstraintError',
  })
  await expect(completed(second)).rejects.toBeDefined()
})

test('H6, H18: a transaction takes a durability and an explicit commit', async () => {
  const db = await open()
  const write = db.transaction('commits', 'readwrite', { durability: 'strict' })
  expect(write.durability).toBe('strict')
  write.objectStore('commits').add({ at: 1 })
  write.commit()
  await completed(write)
  expect(await settled(db.transaction('commits').objectStore('commits').count())).toBe(1)
})

test('Web Locks exclude each other and say so at once when asked', async () => {
  const name = crypto.randomUUID()
  await navigator.locks.request(name, async () => {
    const second = await navigator.locks.request(name, { ifAvailable: true }, (lock) => lock)
    expect(second).toBeNull()
  })
})

test('BroadcastChannel reaches another channel of the same name', async () => {
  const name = crypto.randomUUID()
  const [from, to] = [new BroadcastChannel(name), new BroadcastChannel(name)]
  const received = new Promise((resolve) => to.addEventListener('message', ({ data }) => resolve(data), { once: true }))
  from.postMessage({ head: 7 })
  expect(await received).toEqual({ head: 7 })
  from.close()
  to.close()
})

test('the page is a secure context with random UUIDs and structured clone', () => {
  expect(isSecureContext).toBe(true)
  expect(crypto.randomUUID()).toMatch(/^[0-9a-f-]{36}$/)
  expect(structuredClone({ a: [1] })).toEqual({ a: [1] })
})

async function open(upgrade: (store: IDBObjectStore) => void = () => {}): Promise<IDBDatabase> {
  const request = indexedDB.open(`capabilities-${crypto.randomUUID()}`, 1)
  request.onupgradeneeded = () => upgrade(request.result.createObjectStore('commits', { keyPath: 'at' }))
  const db = await settled(request)
  opened.push(db)
  return db
}

function settled<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result)
    request.onerror = () => reject(request.error)
  })
}

function completed(transaction: IDBTransaction): Promise<void> {
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve()
    transaction.onabort = () => reject(transaction.error)
  })
}
