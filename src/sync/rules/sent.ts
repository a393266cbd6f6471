/** A push is about to leave this device. */
import type { OutboxRow, SyncChange, SyncSnapshot } from '../sync-state.js'
import { changedState } from './outbox-draft.js'

/** Stored before the request leaves: a commit that may have left is discarded by a cancel. */
export function sent({ state }: SyncSnapshot, rows: readonly OutboxRow[]): SyncChange | undefined {
  const sentTo = rows.reduce((most, { n, leaves }) => (leaves === true ? most : Math.max(most, n)), state.sentTo)
  return sentTo === state.sentTo ? undefined : { state: changedState(state, { sentTo }) }
}
