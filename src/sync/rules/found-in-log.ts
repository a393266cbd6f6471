/** The server accepted a commit at a position that was pulled before, and the commit is there. */
import type { OutboxRow, SyncChange, SyncSnapshot } from '../sync-state.js'
import { OutboxDraft, wireId } from './outbox-draft.js'

/**
 * Confirmed: two devices appended the same commit with given ids, and the one of the other device came first.
 *
 * @param was the commit when the log was read
 * @param at the position of its first event
 */
export function foundInLog(snapshot: SyncSnapshot, was: OutboxRow, at: number): SyncChange | undefined {
  const draft = new OutboxDraft(snapshot)
  const row = draft.get(was.n)
  if (row === undefined || wireId(row) !== wireId(was) || row.accepted !== at) return undefined
  draft.remove(row, { status: 'confirmed', position: at })
  return draft.change()
}
