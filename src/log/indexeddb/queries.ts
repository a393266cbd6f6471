/** What reading, appending and inspecting ask of the records. */
import type { WriteOutcome } from '../../errors.js'
import { lastRecord } from '../../platform/backwards.js'
import type { Connection } from '../../platform/connection.js'
import { requested } from '../../platform/indexeddb.js'
import { optional } from '../../platform/promises.js'
import { assertPlaced, endOf, type CommitRecord } from '../record/record.js'

/**
 * Reads records in a transaction of its own. With `turns` 'one' it ends without this page, and so cannot be left open
 * by one that freezes. The log only grows, so nothing is lost between two reads.
 */
export const readCommits = <T>(
  connection: Connection,
  what: string,
  work: (commits: IDBObjectStore) => Promise<T>,
  turns: 'one' | 'several' = 'one',
): Promise<T> =>
  connection.transact({ stores: ['commits'], mode: 'readonly', turns, what }, (transaction) =>
    work(transaction.objectStore('commits')),
  )

/**
 * The position of the last event; 0 for an empty log, or if the storage returns nothing.
 *
 * @throws LogInconsistentError if no event can be at that position
 */
export function headOf(commits: IDBObjectStore, outcome?: WriteOutcome): Promise<number> {
  return optional(
    lastRecord(commits).then((record) => {
      if (record !== undefined) assertPlaced(record as CommitRecord, outcome)
      return endOf(record as CommitRecord | undefined)
    }),
  )
}

/** The last key of a range, without its value. */
export const lastKey = (
  source: IDBObjectStore | IDBIndex,
  range: IDBKeyRange | null,
  direction: IDBCursorDirection = 'prev',
): Promise<unknown> => optional(requested(source.openKeyCursor(range, direction)).then((cursor) => cursor?.key))

/** The first key of a range. */
export const firstKey = (source: IDBObjectStore | IDBIndex, range: IDBKeyRange): Promise<unknown> =>
  lastKey(source, range, 'next')

/** Where the record begins that holds a position, unless that is missing: the last key up to there. */
export const beginOf = (commits: IDBObjectStore, position: number): Promise<number | undefined> =>
  lastKey(commits, IDBKeyRange.upperBound(position)) as Promise<number | undefined>

/** The last entry of a stream in the index `heads`: its name and version. */
export const streamHead = (commits: IDBObjectStore, stream: string): Promise<readonly [string, number] | undefined> =>
  lastKey(commits.index('heads'), streamRange(stream, 0)) as Promise<readonly [string, number] | undefined>

/** The `heads` entries of a stream from a version on. An array sorts after every number. */
export function streamRange(stream: string, from: number): IDBKeyRange {
  return IDBKeyRange.bound([stream, from], [stream, []])
}
