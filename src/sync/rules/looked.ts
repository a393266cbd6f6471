/** A commit with a condition that was decided long ago: this device has looked through what it pulled since. */
import type { OutboxRow, SyncChange, SyncSnapshot } from '../sync-state.js'
import { OutboxDraft, wireId, without } from './outbox-draft.js'

/** An event that matches, or the last one that was looked at. */
export type Looked = { readonly match: number } | { readonly after: string; readonly at: number }

export function looked(snapshot: SyncSnapshot, was: OutboxRow, found: Looked): SyncChange | undefined {
  const draft = new OutboxDraft(snapshot)
  const row = draft.get(was.n)
  if (row?.condition === undefined || wireId(row) !== wireId(was)) return undefined
  if ('match' in found) draft.decideAgain(row, 'conflict', { position: found.match })
  else draft.put({ ...without(row, 'behind'), condition: { ...row.condition, after: found.after, at: found.at } })
  return draft.change()
}
