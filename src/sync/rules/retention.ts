/** What a device forgets after 90 days: what own commits were decided on, and what a restored server took back. Pure. */
import type { Age, SyncChange, SyncSnapshot } from '../sync-state.js'
import { changedState } from './outbox-draft.js'

const day = 86_400_000
/** As long as servers remember what they refused. */
const keptFor = 90 * day
/** The most time that one look adds to the age: a clock that jumps by a year makes nothing old. */
const mostAtOnce = 7 * day

/**
 * Forgets, at most once a day, what was here 90 days ago. Needs of own commits are there for a server that is restored to
 * before them. What was taken back is there for the app, and stays while an own commit among it was not given back.
 *
 * @param now wall clock, ms
 */
export function aged(snapshot: SyncSnapshot, now: number): SyncChange | undefined {
  const { state, outbox } = snapshot
  const { age } = state
  const since = age === undefined ? 0 : now - age.at
  if (age !== undefined && since >= 0 && since < day) return undefined
  const lived = (age?.lived ?? 0) + Math.max(0, Math.min(since, mostAtOnce))
  const isOld = (then = Infinity) => lived - then >= keptFor
  // Positions of another identity are those of other events.
  const marks = age?.identity === state.identity ? age.marks : []
  const recent = marks.filter((mark) => !isOld(mark.lived))
  const last = recent.at(-1)
  if (last === undefined || lived - last.lived >= day) recent.push({ lived, at: state.cursor.at })
  const needsUpTo = marks.filter((mark) => isOld(mark.lived)).at(-1)?.at
  const isGivenBack = outbox.every((row) => row.healed !== true || row.refused !== undefined)
  const attic = state.left.filter((each) => isGivenBack && each.isGone !== true && isOld(each.lived))
  const left = state.left.map((each) =>
    attic.includes(each) ? { ...each, isGone: true as const } : { ...each, lived: each.lived ?? lived },
  )
  const forget = {
    ...(needsUpTo !== undefined && { needsUpTo }),
    ...(attic.length > 0 && { attic: attic.map(({ identity }) => identity) }),
  }
  return {
    state: changedState(state, {
      left,
      age: { at: now, lived, identity: state.identity, marks: recent } satisfies Age,
    }),
    ...(Object.keys(forget).length > 0 && { forget }),
  }
}
