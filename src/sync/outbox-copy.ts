/** The outbox as views see it: a copy in memory that is read in one transaction. */
import type { OutboxRow, OwnRow, SyncState } from './sync-state.js'

export interface OutboxCopy {
  readonly state: SyncState
  /** By `n`, with those that were refused or discarded. */
  readonly outbox: readonly OutboxRow[]
  /** Own commits in the log that have an event behind the position that the copy was asked for, by position. */
  readonly own: readonly OwnRow[]
  /** The position behind which `own` is complete. */
  readonly ownFrom: number
}

/** Where views get it from. */
export interface OutboxSource {
  /**
   * A copy that is at least as new as this call.
   *
   * @param want `cursor`: the least cursor that it must have; `after`: own commits behind that position are in it;
   * `isKnown`: what this context knows is new enough, so that nothing needs to be read
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
