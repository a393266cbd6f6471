/** What a restored server took back leaves the log for the attic, in the transaction that heals. */
import { LogInconsistentError } from '../../errors.js'
import { encodeAgain } from '../../log/encode.js'
import { deadLetterStore } from '../../log/indexeddb/format.js'
import { beginOf } from '../../log/indexeddb/queries.js'
import { decodeRecord, encodeRecords, endOf, recordError, type CommitRecord } from '../../log/record/record.js'
import { say } from '../../messages.js'
import { requested, requestedAll } from '../../platform/indexeddb.js'
import { ownUpTo } from '../change-rules.js'
import type { OwnRow } from '../sync-state.js'

/** How many records are moved in one go. */
const together = 32

/**
 * Moves the records behind a position to the attic. Where a record holds events before it, too, these stay, and the
 * attic has the whole record.
 *
 * @throws LogInconsistentError if no commit ends at the position
 */
export async function takenBack(transaction: IDBTransaction, upTo: number, identity: string): Promise<void> {
  const [commits, attic] = [transaction.objectStore('commits'), transaction.objectStore('attic')]
  await ownRows(transaction, upTo)
  await checkpoints(transaction, upTo)
  const begin = await beginOf(commits, upTo + 1)
  if (begin === undefined) return
  const first = (await requested(commits.get(begin))) as CommitRecord
  if (endOf(first) <= upTo) return
  if (!first.commits.includes(upTo + 1))
    throw new LogInconsistentError(upTo, say`No commit ends at position ${upTo}.`, 'not-written')
  for (let from = begin; ;) {
    const records = (await requestedAll(commits.getAll(IDBKeyRange.lowerBound(from), together))) as CommitRecord[]
    if (records.length === 0) break
    for (const record of records) attic.put({ ...record, identity })
    from = endOf(records.at(-1)) + 1
  }
  commits.delete(IDBKeyRange.lowerBound(begin))
  if (begin <= upTo) for (const record of upToPosition(first, upTo)) commits.add(record)
}

/** The first events of a record, as records of their own. */
function upToPosition(record: CommitRecord, upTo: number): CommitRecord[] {
  const { events, problem } = decodeRecord(record)
  if (problem !== undefined) throw recordError(record.at, problem, 'not-written')
  const kept = events.filter(({ position }) => position <= upTo)
  const before = new Map<string, number>()
  for (const { stream, version } of kept) if (!before.has(stream)) before.set(stream, version - 1)
  return [
    ...encodeRecords(
      {
        events: kept.map(encodeAgain),
        expected: new Map([...before.keys()].map((stream) => [stream, 'any'])),
        imported: { starts: new Set(record.commits.map((at) => at - record.at)) },
      },
      record.at,
      (stream) => before.get(stream) ?? 0,
    ),
  ]
}

async function ownRows(transaction: IDBTransaction, upTo: number): Promise<void> {
  const own = transaction.objectStore('own')
  const last = await requested(own.openCursor(IDBKeyRange.upperBound(upTo), 'prev'))
  if (last !== null) for (const row of ownUpTo([last.value as OwnRow], upTo)) own.put(row)
  own.delete(IDBKeyRange.lowerBound(upTo, true))
}

/** Plain projectors see what comes to these positions now, and those that were healed once more. */
async function checkpoints(transaction: IDBTransaction, upTo: number): Promise<void> {
  const [checkpoints, letters] = [transaction.objectStore('checkpoints'), transaction.objectStore(deadLetterStore)]
  const behind = ({ position }: { position: number }) => position > upTo
  const [saved, parked] = await Promise.all([
    requestedAll(checkpoints.getAll()) as Promise<{ position: number }[]>,
    requestedAll(letters.getAll()) as Promise<{ name: string; position: number }[]>,
  ])
  for (const row of saved.filter(behind)) checkpoints.put({ ...row, position: upTo })
  for (const { name, position } of parked.filter(behind)) letters.delete([name, position])
}
