/** Reading records from the last on. */
import { requested } from '../platform/indexeddb.js'

/** `getAll` takes a direction where `getAllRecords` exists, which is not everywhere yet (H13). */
export const readsBackwards = (): boolean => 'getAllRecords' in IDBObjectStore.prototype

/** The last records of a span, so many at most. */
export async function readBackwards(source: IDBObjectStore | IDBIndex, span: IDBKeyRange | IDBValidKey | null, limit = Infinity): Promise<unknown[]> {
  if (readsBackwards()) {
    const options = { query: span, direction: 'prev', ...(limit === Infinity ? {} : { count: limit }) }
    return requested((source as { getAll(options: unknown): IDBRequest<unknown[]> }).getAll(options))
  }
  const records: unknown[] = []
  await walkBackwards(source, span, (record) => records.push(record) < limit)
  return records
}

/** Shows the records of a span, from the last on, until it is told to stop. */
export function walkBackwards(source: IDBObjectStore | IDBIndex, span: IDBKeyRange | IDBValidKey | null, goesOn: (record: unknown) => boolean): Promise<void> {
  return new Promise((resolve, reject) => {
    const request = source.openCursor(span, 'prev')
    request.onerror = () => reject(request.error)
    request.onsuccess = () => {
      const cursor = request.result
      try {
        if (cursor === null || !goesOn(cursor.value)) resolve()
        else cursor.continue()
      } catch (error) {
        reject(error)
      }
    }
  })
}
