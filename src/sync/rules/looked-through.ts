/** A commit with a condition that was decided long ago: this device has looked through what it pulled since. */
import type { OutboxRow, SyncChange, SyncSnapshot } from '../sync-state.js'
import { OutboxDraft, wireId, without } from './outbox-draft.js'

/** An event that matches the condition, or the last event that was looked at. */
export type LookedThrough = { readonly match: number } | { readonly after: string; readonly at: number }

/** @param was the commit when that began */
export function lookedThrough(snapshot: SyncSnapshot, was: OutboxRow, found: LookedThrough): SyncChange | undefined {
  const draft = new OutboxDraft(snapshot)
  const row = draft.get(was.n)
  if (row?.condition === undefined || wireId(row) !== wireId(was)) return undefined
  if ('match' in found) draft.decideAgain(row, 'conflict', { position: found.match })
  else draft.put({ ...without(row, 'behind'), condition: { ...row.condition, after: found.after, at: found.at } })
  return draft.change()
}
