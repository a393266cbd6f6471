/** Reading records from the last on. */
import { readsBackwards } from './engine-quirks.js'
import { requestedAll } from './indexeddb.js'
import { optional } from './promises.js'

/** The last records of a span, `limit` at most. */
export function readBackwards(
  source: IDBObjectStore | IDBIndex,
  span: IDBKeyRange | IDBValidKey | null,
  limit = Infinity,
): Promise<unknown[]> {
  if (readsBackwards()) {
    const options = { query: span, direction: 'prev', ...(limit === Infinity ? {} : { count: limit }) }
    return requestedAll((source as { getAll(options: unknown): IDBRequest<unknown[]> }).getAll(options))
  }
  const records: unknown[] = []
  return optional(
    new Promise((resolve, reject) => {
      const request = source.openCursor(span, 'prev')
      request.onerror = () => reject(request.error)
      request.onsuccess = () => {
        const cursor = request.result
        try {
          if (cursor === null || records.push(cursor.value) >= limit) resolve(records)
          else cursor.continue()
        } catch (error) {
          reject(error)
        }
      }
    }),
  )
}

/**
 * The last record of a span. A cursor would do, but Firefox reads 64 records ahead for one, whatever they weigh
 * (docs/decisions/0005).
 */
export function lastRecord(source: IDBObjectStore | IDBIndex, span: IDBKeyRange | null = null): Promise<unknown> {
  return optional(readBackwards(source, span, 1).then(([record]) => record))
}
