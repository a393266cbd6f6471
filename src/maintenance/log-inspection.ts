/** Looking at a log as it is stored: what verification, compaction and snapshots ask of a backend. */
import type { CommitRecord } from '../log/record/record.js'
import type { StoredBeside } from './audit.js'

/** The log as it is stored, for looking at. */
export interface LogInspection {
  /**
   * Records in the order of keys, after a key, or from the first if that is undefined. With the last ones also what
   * stands beside them, of the same moment.
   */
  page(after: unknown, limit: number): Promise<{ readonly records: readonly unknown[]; readonly beside?: StoredBeside }>
  /** Keys of the index `ids` under which more than one record stands, a bounded number at a time. */
  sharedIdKeys(): AsyncIterable<readonly SharedIdKey[]>
  /** The records at some keys, where they are. */
  records(at: readonly number[]): Promise<readonly CommitRecord[]>
  /** Records from the one on that holds a position. */
  recordsFrom(position: number, limit: number): Promise<readonly CommitRecord[]>
  /** Whether an event of this id is in a stream. */
  holds(id: string, stream: string): Promise<boolean>
}

export interface SharedIdKey {
  readonly key: string
  readonly at: readonly number[]
}
