/** Putting joined records in the place of those that they were made of. */
import { say } from '../../messages.js'
import type { Connection } from '../../platform/connection.js'
import { commitWritten, requestedAll } from '../../platform/indexeddb.js'
import { assertSupported, raiseFormat } from '../../log/indexeddb/format.js'
import { assertAnswering } from '../../log/indexeddb/sentinel.js'
import type { CommitRecord } from '../../log/record/record.js'

/**
 * Replaces each group of neighbours by one record, in one transaction, so that readers see them as they were or as they
 * are. Returns false, and changes nothing, if they are not what was read any more.
 */
export async function replaceRecords(
  connection: Connection,
  name: string,
  groups: readonly (readonly CommitRecord[])[],
  joined: (group: readonly CommitRecord[]) => CommitRecord,
): Promise<boolean> {
  const first = groups[0]?.[0]
  const last = groups.at(-1)?.at(-1)
  if (first === undefined || last === undefined) return false
  // Out here: appends wait for the transaction.
  const records = groups.map(joined)
  return connection.transact(
    { stores: ['commits', 'meta'], mode: 'readwrite', durability: 'strict', what: say`compacting '${name}'` },
    async (transaction) => {
      const commits = transaction.objectStore('commits')
      const [found, meta] = await Promise.all([
        requestedAll(commits.getAll(IDBKeyRange.bound(first.at, last.at))) as Promise<CommitRecord[]>,
        assertAnswering(transaction),
      ])
      assertSupported(meta, name)
      // Records only change by being joined: another compaction may have been here, where locks do not keep it away.
      const lengths = new Map(found.map(({ at, n }) => [at, n]))
      if (groups.some((group) => group.some(({ at, n }) => lengths.get(at) !== n))) return false
      raiseFormat(transaction, meta)
      const writes: IDBRequest[] = []
      for (const [index, group] of groups.entries()) {
        // First, since positions of commits are unique.
        commits.delete(IDBKeyRange.bound(group[1]?.at, group.at(-1)?.at))
        writes.push(commits.put(records[index]))
      }
      await commitWritten(transaction, writes)
      return true
    },
  )
}
