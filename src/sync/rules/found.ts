/** A commit of the outbox is in the log already. */
import type { OutboxRow, SyncChange, SyncSnapshot } from '../sync-state.js'
import { OutboxDraft, wireId } from './outbox-draft.js'

/** Two devices appended the same commit with given ids, and the other one's came first. */
export function found(snapshot: SyncSnapshot, was: OutboxRow, at: number): SyncChange | undefined {
  const draft = new OutboxDraft(snapshot)
  const row = draft.get(was.n)
  if (row === undefined || wireId(row) !== wireId(was) || row.accepted !== at) return undefined
  draft.remove(row, { status: 'confirmed', position: at })
  return draft.change()
}
