/** The log in IndexedDB as it is stored. */
import { say } from '../../messages.js'
import type { Connection } from '../../platform/connection.js'
import { requested, requestedAll } from '../../platform/indexeddb.js'
import type { IndexName, StoredBeside } from '../audit.js'
import type { LogInspection, SharedIdKey } from '../log-inspection.js'
import { readAround, readOneByOne, unlessLost } from '../../log/indexeddb/lost-records.js'
import { beginOf, readCommits } from '../../log/indexeddb/queries.js'
import { anyHolds, idKey, type CommitRecord } from '../../log/record/record.js'

/** How many index entries one transaction walks over, and on to the end of a key. */
const walkAtOnce = 4096

/** `logId` resolves with the id under which the store was opened. */
export function indexedDbInspection(connection: Connection, name: string, logId: () => Promise<string>): LogInspection {
  const what = say`reading all of '${name}'`
  const read = <T>(work: (commits: IDBObjectStore) => Promise<T>, turns?: 'one' | 'several') =>
    readCommits(connection, what, work, turns)
  return {
    async page(after, limit) {
      const id = await logId()
      const range = after === undefined ? null : IDBKeyRange.lowerBound(after, true)
      // One transaction, though not in one turn: what stands beside the last records must be of the same moment.
      const inspect = <T>(list: (commits: IDBObjectStore) => IDBRequest<T[]>) =>
        connection.transact(
          { stores: ['commits', 'meta', 'checkpoints'], mode: 'readonly', turns: 'several', what },
          async (transaction) => {
            const found = await requestedAll(list(transaction.objectStore('commits')))
            return { found, beside: found.length === limit ? undefined : await besideOf(transaction, id) }
          },
        )
      const all = await unlessLost(
        inspect((commits) => commits.getAll(range, limit) as IDBRequest<unknown[]>),
        async () => {
          const { found, beside } = await inspect((commits) => commits.getAllKeys(range, limit))
          return { found: await readOneByOne(connection, found, what), beside }
        },
      )
      return { records: all.found, ...(all.beside === undefined ? {} : { beside: all.beside }) }
    },
    async *sharedIdKeys() {
      let after: IDBValidKey | undefined
      do {
        const walked = await read((commits) => walk(commits.index('ids'), after), 'several')
        yield walked.shared
        after = walked.next
      } while (after !== undefined)
    },
    async records(at) {
      const found: (CommitRecord | undefined)[] = await unlessLost(
        read((commits) => Promise.all(at.map((key) => requested(commits.get(key))))),
        () => readOneByOne(connection, at, what),
      )
      return found.filter((record) => record !== undefined)
    },
    async holds(id, stream) {
      const key = IDBKeyRange.only(idKey(id))
      return anyHolds(
        await readAround(
          connection,
          what,
          (commits) => requestedAll(commits.index('ids').getAll(key)),
          (commits) => requested(commits.index('ids').getAllKeys(key)),
        ),
        id,
        stream,
      )
    },
    async recordsFrom(position, limit) {
      for (;;) {
        const begin = await read((commits) => beginOf(commits, position))
        const range = IDBKeyRange.lowerBound(begin ?? position)
        const records = await readAround(
          connection,
          what,
          (commits) => requestedAll(commits.getAll(range, limit)),
          (commits) => requested(commits.getAllKeys(range, limit)),
        )
        // Between the two, compaction may have put it into a record that begins before it.
        if (begin === undefined || records[0]?.at === begin) return records
      }
    },
  }
}

/** What stands beside the records. */
async function besideOf(transaction: IDBTransaction, logId: string): Promise<StoredBeside> {
  const entries = (index: IndexName) => requested(transaction.objectStore('commits').index(index).count())
  const [row, checkpoints, heads, commits, ids] = await Promise.all([
    requested(transaction.objectStore('meta').get('log')) as Promise<unknown>,
    requested(transaction.objectStore('checkpoints').getAll()) as Promise<unknown[]>,
    entries('heads'),
    entries('commits'),
    entries('ids'),
  ])
  return { meta: { row, logId }, indexes: { heads, commits, ids }, checkpoints }
}

/**
 * Keys of UUIDs that several records share. Other ids have a key each, so that one shared by records is a duplicate as
 * well.
 */
function walk(
  index: IDBIndex,
  after: IDBValidKey | undefined,
): Promise<{ shared: SharedIdKey[]; next: IDBValidKey | undefined }> {
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
