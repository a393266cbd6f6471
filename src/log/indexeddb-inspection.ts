/** The log in IndexedDB as it is stored, for `verify` and `export`. */
import { requested, type Connection } from '../platform/indexeddb.js'
import type { IndexName } from './audit.js'
import type { CommitRecord } from './record.js'
import type { LogInspection, SharedIdKey } from './verify.js'

/** How many index entries one transaction walks over, and on to the end of a key. */
const walkAtOnce = 4096

/** `incarnation` answers the identity under which the store was opened. */
export function indexedDbInspection(connection: Connection, name: string, incarnation: () => Promise<string>): LogInspection {
  const what = `reading all of '${name}'`
  const read = <T>(stores: readonly string[], work: (transaction: IDBTransaction) => Promise<T>) => connection.transact({ stores, mode: 'readonly', what }, work)
  return {
    async page(after, limit) {
      const identity = await incarnation()
      return read(['commits', 'meta', 'checkpoints'], async (transaction) => {
        const commits = transaction.objectStore('commits')
        const records = await requested(commits.getAll(after === undefined ? null : IDBKeyRange.lowerBound(after, true), limit)) as unknown[]
        if (records.length === limit) return { records }
        const entries = (index: IndexName) => requested(commits.index(index).count())
        const [row, checkpoints, heads, starts, ids] = await Promise.all([
          requested(transaction.objectStore('meta').get('log')) as Promise<unknown>,
          requested(transaction.objectStore('checkpoints').getAll()) as Promise<unknown[]>,
          entries('heads'), entries('commits'), entries('ids'),
        ])
        return { records, beside: { meta: { row, incarnation: identity }, indexes: { heads, commits: starts, ids }, checkpoints } }
      })
    },
    async *sharedIdKeys() {
      let after: IDBValidKey | undefined
      do {
        const walked = await read(['commits'], (transaction) => walk(transaction.objectStore('commits').index('ids'), after))
        yield walked.shared
        after = walked.next
      } while (after !== undefined)
    },
    records: async (at) => (await read(['commits'], (transaction) =>
      Promise.all(at.map((key) => requested(transaction.objectStore('commits').get(key)) as Promise<CommitRecord | undefined>))))
      .filter((record) => record !== undefined),
    recordsFrom: (position, limit) => read(['commits'], async (transaction) => {
      const commits = transaction.objectStore('commits')
      const key = (await requested(commits.openKeyCursor(IDBKeyRange.upperBound(position), 'prev')))?.key ?? position
      return requested(commits.getAll(IDBKeyRange.lowerBound(key), limit)) as Promise<CommitRecord[]>
    }),
  }
}

/** Keys of UUIDs that several records share. Other ids have a key each, so that one shared by records is a duplicate as well. */
function walk(index: IDBIndex, after: IDBValidKey | undefined): Promise<{ shared: SharedIdKey[]; next: IDBValidKey | undefined }> {
  return new Promise((resolve, reject) => {
    const shared: SharedIdKey[] = []
    let key: IDBValidKey | undefined
    let at: number[] = []
    let entries = 0
    const finish = (next: IDBValidKey | undefined) => resolve({ shared, next })
    const flush = () => {
      if (at.length > 1 && typeof key === 'string') shared.push({ key, at })
    }
    const request = index.openKeyCursor(after === undefined ? null : IDBKeyRange.lowerBound(after, true))
    request.onerror = () => reject(request.error)
    request.onsuccess = () => {
      const cursor = request.result
      if (cursor === null) {
        flush()
        return finish(undefined)
      }
      if (cursor.key !== key) {
        flush()
        if (entries >= walkAtOnce) return finish(key)
        key = cursor.key
        at = []
      }
      at.push(cursor.primaryKey as number)
      entries += 1
      cursor.continue()
    }
  })
}
