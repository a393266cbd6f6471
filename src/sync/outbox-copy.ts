/** The outbox as views see it: a copy in memory that is read in one transaction. */
import type { OutboxRow, OwnRow, SyncState } from './sync-state.js'

export interface OutboxCopy {
  readonly state: SyncState
  /** By `n`. With those that are refused, or no longer wanted. */
  readonly outbox: readonly OutboxRow[]
  /** Own commits in the log that have an event behind the position that the copy was asked for, by position. */
  readonly own: readonly OwnRow[]
  /** The position behind which `own` is complete. */
  readonly ownFrom: number
}

/** Where views get it from. */
export interface OutboxSource {
  /**
   * A copy that is at least as new as this call, and has a cursor of at least that: with own commits behind `after`.
   * Made from the copy in memory if that is new enough; without a look at what is stored, if what this context knows is
   * enough.
   */
  copy(want: { readonly cursor: number; readonly after: number; readonly isKnown?: boolean }): Promise<OutboxCopy>
  /**
   * Calls back when the outbox, the cursor or the identity changed: in this context synchronously after that was stored,
   * of others by a hint, or by a look at the clock that makes up for lost ones. Returns how to stop that.
   *
   * An append of this context resolves only after the promises that its listeners returned have settled, so that live
   * queries have noticed it by then. They settle soon, and never reject.
   */
  subscribe(listener: () => void | Promise<void>): () => void
}
