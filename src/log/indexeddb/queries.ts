/** Questions that reading and appending both ask of the records. */
import type { WriteOutcome } from '../../errors.js'
import { lastRecord } from '../../platform/backwards.js'
import { optional } from '../../platform/promises.js'
import { assertPlaced, endOf, type CommitRecord } from '../record/record.js'

/**
 * The position of the last event; 0 for an empty log, or if the storage returns nothing.
 *
 * @throws LogInconsistentError if no event can stand there
 */
export function headOf(commits: IDBObjectStore, outcome?: WriteOutcome): Promise<number> {
  return optional(
    lastRecord(commits).then((record) => {
      if (record !== undefined) assertPlaced(record as CommitRecord, outcome)
      return endOf(record as CommitRecord | undefined)
    }),
  )
}

/** The `heads` entries of a stream from a version on. An array sorts after every number. */
export function streamRange(stream: string, from: number): IDBKeyRange {
  return IDBKeyRange.bound([stream, from], [stream, []])
}
