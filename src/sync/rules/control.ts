/** What calls of the app change. */
import { chainStart } from '../../wire/protocol.js'
import type { SyncChange, SyncSnapshot, SyncState } from '../sync-state.js'
import { changedState, OutboxDraft, without } from './outbox-draft.js'

/** Paused or not. */
export function withPause({ state }: SyncSnapshot, paused: boolean): SyncChange | undefined {
  if ((state.paused === true) === paused) return undefined
  const { paused: _, ...rest } = changedState(state, {})
  return { state: paused ? { ...rest, paused } : rest }
}

/**
 * The log is fetched again from its beginning, under a new identity, from whatever log is at the address now; only its
 * user stays. Commits that are not confirmed stay: what they were decided on is `behind` until the log has it.
 */
export function refetched(snapshot: SyncSnapshot, identity: string): SyncChange {
  const { state, outbox } = snapshot
  const draft = new OutboxDraft(snapshot)
  for (const row of outbox) {
    const { condition, accepted, behind } = row
    if (accepted === undefined && behind === undefined && condition === undefined) continue
    // The event that it was looked through to may not be in that log.
    const again = condition && { condition: { ...condition, after: null, at: 0 } }
    draft.put({ ...without(row, 'accepted', 'behind'), ...again })
  }
  const author = state.remote?.author ?? state.author
  const change = draft.change(
    {
      isFresh: false,
      cursor: { at: 0, chain: chainStart },
      head: 0,
      marks: [],
      identity,
      left: [...state.left, { identity: state.identity, upTo: 0 }],
      ...(author !== undefined && { author }),
    },
    { takeBack: { upTo: 0 } },
  )
  const { remote: _, ...rest } = change.state
  return { ...change, state: rest satisfies SyncState }
}
