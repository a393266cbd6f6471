/** Commits of a local store become those of a synced one: pending, or confirmed where the server has them. */
import type { EventText } from '../../log/record/record-text.js'
import { largestNOf } from '../change-rules.js'
import type { PulledPage } from '../sync-effects.js'
import type { OutboxRow, OwnRow, SyncChange, SyncSnapshot, SyncState } from '../sync-state.js'
import { changedState } from './outbox-draft.js'
import { pulled } from './pulled.js'

/** A commit of a local log. */
export interface LocalCommit {
  /** Position of its first event there. */
  readonly at: number
  readonly events: readonly EventText[]
  /** The version of each there. */
  readonly versions: readonly number[]
}

/** A local log, and how much of it there is. */
export interface LocalLog {
  readonly log: string
  readonly head: number
}

/** Up to which position a local log is adopted. */
export const adoptedUpTo = ({ adopting = [] }: SyncState, log: string): number =>
  adopting.find((each) => each.log === log)?.upTo ?? 0

/** How far the local logs have come that are adopted at the moment; nothing if none is. */
export function adoptionIn({
  adopting = [],
}: SyncState): { readonly done: number; readonly total: number } | undefined {
  let [done, total] = [0, 0]
  for (const { upTo, head = upTo } of adopting) if (upTo < head) [done, total] = [done + upTo, total + head]
  return total === 0 ? undefined : { done, total }
}

const adoptingOf = ({ adopting = [] }: SyncState, { log, head }: LocalLog, upTo: number) => [
  ...adopting.filter((each) => each.log !== log),
  { log, upTo, head },
]

/** The commit as it is sent, and waits in the outbox. */
export function rowOf({ events }: LocalCommit, n: number): OutboxRow {
  const [{ id, time }] = events as readonly [EventText]
  return { n, name: id, time, events, expect: [] }
}

/**
 * Commits that are in the log, as rows of own ones, so that they are given back to a server that loses them. Those that
 * are noted already are left out.
 *
 * @param placeOf the position of an event in the log
 * @param own the rows that end behind the first of them
 */
export function ownOf(
  commits: readonly LocalCommit[],
  placeOf: (id: string) => number,
  own: readonly OwnRow[],
): readonly OwnRow[] {
  const rows = commits.map(({ events }): OwnRow & { name: string } => {
    const { id } = events[0] as EventText
    // With its name: it is joined with no neighbour, since there may be rows behind it.
    return { at: placeOf(id), n: events.length, name: id }
  })
  return rows.filter(({ at }) => !own.some((each) => each.at <= at && at < each.at + each.n))
}

/**
 * Adds commits behind all others, and stores in the same transaction how far the local log has come.
 *
 * @param commits of the local log, behind what is adopted of it
 * @param upTo where the last of them ends
 * @param own others of the local log, which are in the log of the server already
 */
export function adopted(
  snapshot: SyncSnapshot,
  local: LocalLog,
  commits: readonly LocalCommit[],
  upTo: number,
  own: readonly OwnRow[] = [],
): SyncChange {
  const { state } = snapshot
  const before = largestNOf(snapshot)
  // They may have been sent as they are, and no response came: that request may still arrive.
  const put = commits.map((commit, index): OutboxRow => ({ ...rowOf(commit, before + 1 + index), leaves: true }))
  return {
    state: changedState(state, { largestN: before + put.length, adopting: adoptingOf(state, local, upTo) }),
    put,
    ...(own.length > 0 && { own }),
  }
}

/**
 * The server has stored commits at the positions that they have in the local log, behind all that was adopted: they are
 * confirmed, as commits of this device.
 *
 * @param identity of this device's log when they were sent
 * @param page what was sent, as if it had been pulled
 */
export function adoptedAsIs(
  snapshot: SyncSnapshot,
  local: LocalLog,
  identity: string,
  page: PulledPage,
): SyncChange | undefined {
  const { state } = snapshot
  const { at, events } = page.events
  const isNext = state.identity === identity && adoptedUpTo(state, local.log) === at - 1
  const change = isNext ? pulled(snapshot, page) : undefined
  if (change === undefined) return undefined
  return {
    ...change,
    state: { ...change.state, adopting: adoptingOf(state, local, page.cursor.at) },
    own: [{ at, n: events.length }],
  }
}

/**
 * Commits are in the log already, at the positions that they have in the local log: they were sent, and no response came.
 *
 * @param own the rows that note them
 */
export function foundAsIs(snapshot: SyncSnapshot, local: LocalLog, upTo: number, own: readonly OwnRow[]): SyncChange {
  return {
    state: changedState(snapshot.state, { adopting: adoptingOf(snapshot.state, local, upTo) }),
    ...(own.length > 0 && { own }),
  }
}
