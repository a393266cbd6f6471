/** The storage of a synced store's outbox and cursor, as a port. IndexedDB and memory implement it. */
import type { Durability } from '../log/event-store.js'
import type { StoredEvent } from '../log/record/record-text.js'
import type { OutboxRow, OwnRow, SyncChange, SyncSnapshot, SyncState } from './sync-state.js'

/** Confirmed events as they are stored. */
export interface ConfirmedEvents {
  /** In order, without holes. */
  readonly events: readonly StoredEvent[]
  /** The positions among them at which a commit begins. */
  readonly starts: ReadonlySet<number>
}

export interface SyncStorage {
  /** State and outbox at one moment. */
  load(): Promise<SyncSnapshot>
  /** Own commits in the log that end behind a position, in order, with state and outbox of the same moment. */
  loadOwn(after: number): Promise<SyncSnapshot & { readonly own: readonly OwnRow[] }>
  /**
   * Adds a commit if the stored turn is still that of `from` and no commit has its `n` or a larger one. `'moved'`:
   * nothing was stored, load and decide again.
   */
  append(row: OutboxRow, from: SyncState, durability: Durability): Promise<'stored' | 'moved'>
  /**
   * Stores a change if the stored turn is still that of `from`, all of it in one transaction. Nothing was stored:
   * `'moved'`, load and decide again; `'inconsistent'`, the position or a version of what was pulled is not the next one
   * here.
   *
   * @throws LogInconsistentError if `takeBack` is not where a commit ends
   */
  apply(change: SyncChange, from: SyncState): Promise<'stored' | 'moved' | 'inconsistent'>
  /** Confirmed events of the log behind a position, about `limit` of them: for comparing with a restored server. */
  confirmed(after: number, limit: number): Promise<ConfirmedEvents>
}
