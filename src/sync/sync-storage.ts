/** The storage of a synced store's outbox and cursor, as a port. IndexedDB and memory implement it. */
import type {
  ConfirmedEvents,
  OutboxRow,
  OwnRow,
  SyncChange,
  SyncRule,
  SyncSnapshot,
  SyncState,
} from './sync-state.js'

/** What became of a change. */
export type Changed =
  /** `snapshot`: what is stored now. */
  | { readonly kind: 'stored'; readonly change: SyncChange; readonly snapshot: SyncSnapshot }
  /** The rule returned `undefined`: nothing to do. `snapshot`: with commits that were appended meanwhile. */
  | { readonly kind: 'unchanged'; readonly snapshot: SyncSnapshot }
  /** The stored turn is another one: nothing was stored. Load and decide again. */
  | { readonly kind: 'moved' }
  /** A pulled position or version is not the next one here: nothing was stored. */
  | { readonly kind: 'inconsistent'; readonly message: string }

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
  /**
   * One transaction: if the stored turn is still that of `from`, calls the rule with `from`, to which commits that were
   * appended since are added, and stores what it returns. So a burst of appends never keeps a change out, and no rule
   * misses a commit.
   */
  change(from: SyncSnapshot, rule: SyncRule): Promise<Changed>
  /** Confirmed events of the log as they are stored, from a position on: for comparing with a restored server. */
  confirmed(after: number, limit: number): Promise<ConfirmedEvents>
}
