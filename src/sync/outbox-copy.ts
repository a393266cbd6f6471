/** The outbox as views see it: a copy in memory that is read in one transaction. */
import type { OutboxRow, OwnRow, SyncState } from './sync-state.js'

export interface OutboxCopy {
  readonly state: SyncState
  /** By `n`. With those that are refused, or no longer wanted. */
  readonly outbox: readonly OutboxRow[]
  /** Own commits in the log behind the position that the copy was asked for. */
  readonly own: readonly OwnRow[]
  /** The position behind which `own` is complete. */
  readonly ownFrom: number
}

/** Where views get it from. */
export interface OutboxSource {
  /**
   * A copy that is at least as new as this call, or as its cursor: with own commits behind `after`. Made from the copy
   * in memory if that is new enough.
   */
  copy(want: { readonly cursor: number; readonly after: number }): Promise<OutboxCopy>
  /**
   * Calls back when the outbox changed, in this context synchronously after it was stored, of others by a hint, or by a
   * look at the clock that makes up for lost ones. Returns how to stop that.
   */
  subscribe(listener: () => void): () => void
}
