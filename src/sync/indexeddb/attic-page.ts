/** What was taken back, as it is stored on IndexedDB. */
import { decodeRecord, endOf, recordError, type CommitRecord } from '../../log/record/record.js'
import { say } from '../../messages.js'
import type { Connection } from '../../platform/connection.js'
import { requestedAll } from '../../platform/indexeddb.js'
import type { ConfirmedEvents } from '../sync-storage.js'

/** How many records are read in one go. */
const together = 16

/** Of one identity, some records from a position on, and where the next ones begin: nowhere behind the last ones. */
export async function atticPage(
  connection: Connection,
  identity: string,
  from: number,
): Promise<ConfirmedEvents & { readonly next?: number }> {
  const range = IDBKeyRange.bound([identity, from], [identity, []])
  const records = (await connection.transact(
    { stores: ['attic'], mode: 'readonly', what: say`reading what was taken back` },
    (transaction) => requestedAll(transaction.objectStore('attic').getAll(range, together)),
  )) as CommitRecord[]
  const read = records.map((record) => {
    const { events, problem } = decodeRecord(record)
    if (problem !== undefined) throw recordError(record.at, problem)
    return events
  })
  const isLast = records.length < together
  return {
    events: read.flat(),
    starts: new Set(records.flatMap(({ commits }) => commits)),
    ...(!isLast && { next: endOf(records.at(-1)) + 1 }),
  }
}
