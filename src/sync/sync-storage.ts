/** The storage of a synced store's outbox and cursor, as a port. IndexedDB and memory implement it. */
import type { Durability } from '../log/event-store.js'
import type { StoredEvent } from '../log/record/record-text.js'
import type { OutboxRow, OwnRow, SyncChange, SyncRule, SyncSnapshot, SyncState } from './sync-state.js'

/** What became of a change. */
export type Changed =
  /** `snapshot`: what is stored now. */
  | { readonly kind: 'stored'; readonly change: SyncChange; readonly snapshot: SyncSnapshot }
  /** The rule returned `undefined`: nothing to do. `snapshot`: with commits that were appended meanwhile. */
  | { readonly kind: 'unchanged'; readonly snapshot: SyncSnapshot }
  /** The stored turn is another one: nothing was stored. Load and decide again. */
  | { readonly kind: 'moved' }
  /** The position or a version of what was pulled is not the next one here: nothing was stored. */
  | { readonly kind: 'inconsistent' }

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
   * One transaction: if the stored turn is still that of `from`, calls the rule with `from`, to which commits are added
   * whose `n` is above all that `from` knows, and stores what it returns. So a burst of appends never keeps a change
   * out, and no rule misses a commit.
   *
   * @throws LogInconsistentError if `takeBack` is not where a commit ends
   */
  change(from: SyncSnapshot, rule: SyncRule): Promise<Changed>
  /** Confirmed events of the log behind a position, about `limit` of them: for comparing with a restored server. */
  confirmed(after: number, limit: number): Promise<ConfirmedEvents>
}
