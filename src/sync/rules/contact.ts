/** What is known of the server. */
import type { SyncChange, SyncSnapshot } from '../sync-state.js'
import type { AnsweredBy } from '../sync-effects.js'
import { OutboxDraft, without } from './outbox-draft.js'

/** Whether a reply is from the log, the author and the epoch that this store, or who else asked, knows. */
export const isBy = (
  { remote }: { readonly remote?: AnsweredBy | undefined },
  { log, epoch, author }: AnsweredBy,
): boolean => remote?.log === log && remote.epoch === epoch && remote.author === author

/** Whether it is the user whose store this is: what one user did is never sent as another. */
export const isOwner = ({ remote, author = remote?.author }: SyncSnapshot['state'], by: AnsweredBy): boolean =>
  author === undefined || author === by.author

/**
 * The first contact, or the first one under another epoch: nothing is pushed before something is pulled under it. What the
 * server had accepted it may have lost, and all of it is sent again, before what was decided on it: another user may have
 * taken its ids.
 */
export function met(snapshot: SyncSnapshot, by: AnsweredBy, head?: number): SyncChange | undefined {
  const { remote } = snapshot.state
  if (!isOwner(snapshot.state, by)) return undefined
  if (remote !== undefined && (remote.log !== by.log || remote.author !== by.author || remote.epoch === by.epoch))
    return undefined
  const { log, epoch, author } = by
  const draft = new OutboxDraft(snapshot)
  for (const row of snapshot.outbox) if (row.accepted !== undefined) draft.put(without(row, 'accepted'))
  return draft.change({ remote: { log, epoch, author }, isFresh: false, ...(head !== undefined && { head }) })
}
