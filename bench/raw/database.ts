/** IndexedDB as it is, without a library: what the raw contenders are written on. */

/** The result of a request. */
export function requested<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result)
    request.onerror = () => reject(request.error)
  })
}

/** Resolves when the transaction is committed. */
export function committed(transaction: IDBTransaction): Promise<void> {
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve()
    transaction.onabort = () =>
      reject(transaction.error ?? new DOMException('The transaction was aborted', 'AbortError'))
  })
}

/** Opens a database, and creates its stores if it is new. */
export function openDatabase(name: string, create?: (database: IDBDatabase) => void): Promise<IDBDatabase> {
  const request = indexedDB.open(name, 1)
  request.onupgradeneeded = () => create?.(request.result)
  return requested(request)
}

/** Deletes a database that no tab has open. */
export async function deleteDatabase(name: string): Promise<void> {
  await requested(indexedDB.deleteDatabase(name))
}

/** A write transaction whose commit is not flushed to the disk. */
export function writing(database: IDBDatabase, stores: string | string[]): IDBTransaction {
  return database.transaction(stores, 'readwrite', { durability: 'relaxed' })
}
