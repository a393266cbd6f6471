/** What `verifyReadModel` may find. */
import { notice } from '../messages.js'

/** What can be wrong with a read model. */
export type ReadModelDefectKind =
  /** An object store or an index is missing, or a record is not a list of rows. */
  | 'structure'
  /** The row that says how far the rows are is missing, or does not say it. */
  | 'state'
  /** The rows were made with other tables, or from other types of events, than those declared. */
  | 'tables'
  /** The rows were folded from another log than the store's. */
  | 'log'
  /** The checkpoint lies beyond the head of the log. */
  | 'checkpoint'
  /**
   * A dead letter is malformed, or names an event that the projection has not reached; or there are more or fewer of
   * them than the state says.
   */
  | 'letter'
  /** The projection went past an event that fails for good now, although it was neither parked nor skipped. */
  | 'event'
  /** A row is not what the events make of it. */
  | 'wrong-row'
  /** A row that the events make is not there. */
  | 'missing-row'
  /** A row is there that the events do not make. */
  | 'unexpected-row'

/** One thing that is wrong with a read model. */
export interface ReadModelDefect {
  readonly kind: ReadModelDefectKind
  /** Of the event or checkpoint, if it is about one. */
  readonly position?: number
  /** The table of a row. */
  readonly table?: string
  /** The key of a row: that of its table, or, in a row edited by hand, whatever is stored there. */
  readonly key?: unknown
  readonly message: string
}

/** More defects than these are counted, not listed. */
const maxListed = 1000

/** The defects that were found so far. */
export class Findings {
  readonly defects: ReadModelDefect[] = []
  unlisted = 0

  add(defect: ReadModelDefect): void {
    if (this.defects.length < maxListed) this.defects.push({ ...defect, message: notice(defect.kind, defect.message) })
    else this.unlisted += 1
  }
}
