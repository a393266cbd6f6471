/** Commits of a local store become pending commits of a synced one. */
import type { EventText } from '../../log/record/record-text.js'
import { largestNOf } from '../change-rules.js'
import type { OutboxRow, SyncChange, SyncSnapshot, SyncState } from '../sync-state.js'
import { changedState } from './outbox-draft.js'

/** A commit of a local log. */
export interface LocalCommit {
  /** Position of its first event there. */
  readonly at: number
  readonly events: readonly EventText[]
}

/** Up to which position a local log is adopted. */
export const adoptedUpTo = ({ adopting = [] }: SyncState, log: string): number =>
  adopting.find((each) => each.log === log)?.upTo ?? 0

/**
 * Adds commits behind all others, and stores in the same transaction how far the local log has come.
 *
 * @param commits of the local log, behind what is adopted of it
 * @param upTo where the last of them ends
 */
export function adopted(
  snapshot: SyncSnapshot,
  log: string,
  commits: readonly LocalCommit[],
  upTo: number,
): SyncChange {
  const { state } = snapshot
  let largestN = largestNOf(snapshot)
  const put = commits.map(({ events }): OutboxRow => {
    const [{ id, time }] = events as readonly [EventText]
    return { n: (largestN += 1), name: id, time, events, expect: [] }
  })
  const adopting = [...(state.adopting ?? []).filter((each) => each.log !== log), { log, upTo }]
  return { state: changedState(state, { largestN, adopting }), put }
}
