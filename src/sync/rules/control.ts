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
 * The log is fetched again from its beginning, under a new identity, from whatever log is at the address now. Commits
 * that are not confirmed stay: what they were decided on may be unknown there.
 */
export function refetched(snapshot: SyncSnapshot, identity: string): SyncChange {
  const { state, outbox } = snapshot
  const draft = new OutboxDraft(snapshot)
  for (const row of outbox)
    if (row.accepted !== undefined || row.behind !== undefined) draft.put(without(row, 'accepted', 'behind'))
  const { remote: _, ...rest } = draft.change({
    isFresh: false,
    cursor: { at: 0, chain: chainStart },
    head: 0,
    marks: [],
    identity,
    left: [...state.left, { identity: state.identity, upTo: 0 }],
  }).state
  return { ...draft.change(), state: rest satisfies SyncState, takeBack: { upTo: 0 } }
}
