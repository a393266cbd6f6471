/** Bare IndexedDB for the capability suite: it must not lean on the code whose ground it tests. */
import { afterEach } from 'vitest'

const opened: IDBDatabase[] = []

/** Each file that opens databases calls it: files share this module. */
export function deletesWhatItOpened(): void {
  afterEach(async () => {
    const databases = opened.splice(0)
    // All first: a deletion waits for every connection.
    for (const database of databases) database.close()
    for (const { name } of databases) await settled(indexedDB.deleteDatabase(name))
  })
}

export const freshName = () => `tidemark:capabilities ${crypto.randomUUID()}:a@1`

/** Opens a database, which `deletesWhatItOpened` closes and deletes after the test. `upgrade` runs if it is new. */
export async function open(
  upgrade: (database: IDBDatabase) => void = () => {},
  name = freshName(),
): Promise<IDBDatabase> {
  const request = indexedDB.open(name, 1)
  request.onupgradeneeded = () => upgrade(request.result)
  const database = await settled(request)
  opened.push(database)
  return database
}

/** The stores of a log, with the indexes that `src/log` has. */
export function openLog(name?: string): Promise<IDBDatabase> {
  return open((database) => {
    const commits = database.createObjectStore('commits', { keyPath: 'at' })
    commits.createIndex('heads', 'heads', { multiEntry: true })
    commits.createIndex('commits', 'commits', { multiEntry: true, unique: true })
    commits.createIndex('ids', 'ids', { multiEntry: true })
    database.createObjectStore('checkpoints', { keyPath: 'name' })
  }, name)
}

/** Adds records in one transaction. */
export async function add(database: IDBDatabase, ...records: readonly object[]): Promise<void> {
  const transaction = database.transaction('commits', 'readwrite')
  for (const record of records) transaction.objectStore('commits').add(record)
  await completed(transaction)
}

/** The store of commits in a transaction of its own. */
export const commits = (database: IDBDatabase) => database.transaction('commits').objectStore('commits')

export function settled<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result)
    request.onerror = () => reject(request.error)
  })
}

export function completed(transaction: IDBTransaction): Promise<void> {
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve()
    transaction.onabort = () => reject(transaction.error ?? new DOMException('aborted', 'AbortError'))
  })
}

/** What a call throws at once. */
export function thrown(call: () => unknown): unknown {
  try {
    call()
  } catch (error) {
    return error
  }
  return undefined
}
