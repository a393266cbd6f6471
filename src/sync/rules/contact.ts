/** What is known of the server. */
import { chainStart } from '../../wire/protocol.js'
import type { SyncChange, SyncSnapshot } from '../sync-state.js'
import type { AnsweredBy } from '../sync-effects.js'
import { OutboxDraft, without } from './outbox-draft.js'

/** Whether a reply is from the log, the author and the epoch that this store knows. */
export const isBy = ({ remote }: SyncSnapshot['state'], { log, epoch, author }: AnsweredBy): boolean =>
  remote?.log === log && remote.epoch === epoch && remote.author === author

/**
 * The first contact, or the first one under another epoch: nothing is pushed before something is pulled under it. What the
 * server had accepted it may have lost, and all of it is sent again, before what was decided on it: another user may have
 * taken its ids.
 */
export function met(snapshot: SyncSnapshot, by: AnsweredBy, head?: number): SyncChange | undefined {
  const { remote } = snapshot.state
  if (remote !== undefined && (remote.log !== by.log || remote.author !== by.author || remote.epoch === by.epoch))
    return undefined
  const { log, epoch, author } = by
  const draft = new OutboxDraft(snapshot)
  for (const row of snapshot.outbox) if (row.accepted !== undefined) draft.put(without(row, 'accepted'))
  return draft.change({ remote: { log, epoch, author }, isFresh: false, ...(head !== undefined && { head }) })
}

/**
 * Another log is to be replicated, or the same one from its start: the device's log gets a new identity. What is in the
 * outbox stays, and what was decided on the old log is `behind` until the new one has it.
 */
export function resynced(snapshot: SyncSnapshot, identity: string): SyncChange {
  const draft = new OutboxDraft(snapshot)
  for (const row of snapshot.outbox) {
    const { condition } = row
    if (row.accepted === undefined && condition === undefined) continue
    draft.put({
      ...without(row, 'accepted'),
      ...(condition !== undefined && { condition: { ...condition, after: null, at: 0 } }),
    })
  }
  const { remote: _, ...state } = snapshot.state
  const change = draft.change(
    {
      isFresh: false,
      cursor: { at: 0, chain: chainStart },
      head: 0,
      marks: [],
      identity,
      left: [...state.left, { identity: state.identity, upTo: 0 }],
    },
    { takeBack: { upTo: 0 } },
  )
  const { remote: __, ...next } = change.state
  return { ...change, state: next }
}
