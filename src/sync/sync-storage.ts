/** The storage of a synced store's outbox and cursor, as a port. IndexedDB and memory implement it. */
import type { StoredEvent } from '../log/record/record-text.js'
import type { OutboxRow, OwnRow, SyncChange, SyncSnapshot, SyncState } from './sync-state.js'

export interface SyncStorage {
  /** State and outbox at one moment. */
  load(): Promise<SyncSnapshot>
  /** Own commits in the log behind a position, in order, with state and outbox of the same moment. */
  loadOwn(after: number): Promise<SyncSnapshot & { readonly own: readonly OwnRow[] }>
  /**
   * Adds a commit if the stored turn is still that of `from` and no commit has its `n` or a larger one. `'moved'`:
   * nothing was stored, load and decide again.
   */
  append(row: OutboxRow, from: SyncState, durability: 'strict' | 'relaxed'): Promise<'stored' | 'moved'>
  /** Stores a change if the stored turn is still that of `from`, all of it in one transaction. */
  apply(change: SyncChange, from: SyncState): Promise<'stored' | 'moved'>
  /** Confirmed events of the log as they are stored, from a position on: for comparing with a restored server. */
  confirmed(after: number, limit: number): Promise<readonly StoredEvent[]>
}
