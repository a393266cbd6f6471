/** Marking a local log in IndexedDB: who adopts it, and that nothing is appended any more. */
import { assertSupported, noWriter, type LogMeta } from '../../log/indexeddb/format.js'
import { beginOf, headOf } from '../../log/indexeddb/queries.js'
import { assertAnswering } from '../../log/indexeddb/sentinel.js'
import type { StoredEvent } from '../../log/record/record-text.js'
import { assertContiguous, decodeRecord, unreadableError, type CommitRecord } from '../../log/record/record.js'
import { say } from '../../messages.js'
import { lastRecord } from '../../platform/backwards.js'
import type { Connection } from '../../platform/connection.js'
import { commitWritten, requestedAll } from '../../platform/indexeddb.js'
import type { AdoptionMark, AdoptedLog, CheckRest } from '../adoption-mark.js'

const markOf = ({ adopter, minWriter }: LogMeta): AdoptionMark => ({ adopter, isClosed: minWriter === noWriter })

export function adoptedDatabase(connection: Connection, name: string): AdoptedLog {
  const what = say`adopting '${name}'`
  return {
    mark: () =>
      connection.transact({ stores: ['meta'], mode: 'readonly', what }, async (transaction) =>
        markOf(await assertAnswering(transaction)),
      ),
    claim: (adopter) =>
      connection.transact({ stores: ['meta'], mode: 'readwrite', durability: 'strict', what }, async (transaction) => {
        const meta = await assertAnswering(transaction)
        if (meta.adopter === undefined) {
          assertSupported(meta, name)
          await commitWritten(transaction, [
            transaction.objectStore('meta').put({ ...meta, adopter } satisfies LogMeta),
          ])
          return adopter
        }
        return meta.adopter
      }),
    closeAt: (head, adopter, check) =>
      connection.transact(
        { stores: ['meta', 'commits'], mode: 'readwrite', durability: 'strict', what },
        async (transaction) => {
          const commits = transaction.objectStore('commits')
          const [meta, end, last] = await Promise.all([
            assertAnswering(transaction),
            headOf(commits, 'not-written'),
            lastRecord(commits) as Promise<CommitRecord | undefined>,
          ])
          if (meta.minWriter === noWriter) return end
          if (end !== head) {
            if (check === undefined) return undefined
            await checkRest(commits, head, check)
          }
          const writes: IDBRequest[] = []
          // Takes the next position in the unique index: a writer that adds its record without a look is refused, and
          // then looks (docs/decisions/0002).
          if (last !== undefined) writes.push(commits.put({ ...last, commits: [...last.commits, end + 1] }))
          const closed: LogMeta = { ...meta, minWriter: noWriter, adopter }
          writes.push(transaction.objectStore('meta').put(closed))
          await commitWritten(transaction, writes)
          return end
        },
      ),
  }
}

/** @throws EventUnreadableError, LogInconsistentError for what could not be taken over once the log is closed */
async function checkRest(commits: IDBObjectStore, head: number, check: CheckRest): Promise<void> {
  const begin = (await beginOf(commits, head + 1)) ?? head + 1
  const records = (await requestedAll(commits.getAll(IDBKeyRange.lowerBound(begin)))) as CommitRecord[]
  const events: StoredEvent[] = []
  let next = head + 1
  for (const record of records) {
    assertContiguous(record, next)
    const decoded = decodeRecord(record)
    if (decoded.problem !== undefined) throw unreadableError(next, decoded.problem)
    for (const event of decoded.events) if (event.position >= next) events.push(event)
    next = record.at + record.n
  }
  check(events, new Set(records.flatMap((record) => record.commits)))
}
