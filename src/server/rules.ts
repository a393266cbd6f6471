/** What becomes of a pushed commit. Pure: docs/protocol.md has these rules in words. */
import { isSameJson } from '../events/json.js'
import { say } from '../messages.js'
import { conditionReach, type FinalVerdict, type Verdict, type WireEvent } from '../wire/protocol.js'
import type { CheckedCommit, CheckedCondition, CheckedEvent, CheckedPush, Refusal } from './check-push.js'
import type { LastEvent, LoggedEvent } from './log-store.js'

/** What conditions look at. */
export type RecentEvent = Pick<LoggedEvent, 'position' | 'id' | 'stream' | 'type'>

/** What the log says about the ids and streams of a push. */
export interface Known {
  /** The position of the last event. */
  readonly head: number
  /** Events in the log, by id. */
  readonly events: ReadonlyMap<string, LoggedEvent>
  /** The last events of streams. */
  readonly last: ReadonlyMap<string, LastEvent>
  /** The final verdicts on commits of this author, by each of their ids. */
  readonly verdicts: ReadonlyMap<string, FinalVerdict>
  /** The last events of the log, in order, from the earliest that a condition of the push looks at. */
  readonly recent: readonly RecentEvent[]
  /** By stream: the first commit of this push that is behind. */
  readonly waiting: ReadonlyMap<string, string>
}

/** The verdict that the ids of a commit decide alone: it is in the log, was refused before, or has taken ids. */
function verdictByIds(commit: CheckedCommit, known: Known): FinalVerdict | { readonly accepted: number } | undefined {
  if (firstOf(commit.ids, known.events) === undefined) return firstOf(commit.ids, known.verdicts)
  const found = commit.ids.map((id) => known.events.get(id))
  if (commit.events.some((event, index) => isUnlike(event, found[index])))
    return refused('id-taken', say`Another event has one of these ids.`)
  const [first] = found
  if (first === undefined || found.includes(undefined))
    return refused('incomplete', say`A part of the commit is in the log.`)
  return { accepted: first.position }
}

/**
 * The commits that `accept` may be asked about: those without a verdict that are not behind. `isEarly` if something that
 * the commit requires is not in the log, and an earlier commit of the push has it.
 */
export function askable({ commits }: CheckedPush, known: Known): { commit: CheckedCommit; isEarly: boolean }[] {
  // N136
  const sent = new Set<string>()
  return commits.flatMap((commit) => {
    if (commit.flaw !== undefined || verdictByIds(commit, known) !== undefined) return []
    const missing = commit.needs.filter((id) => !known.events.has(id))
    if (!missing.every((id) => sent.has(id))) return []
    for (const id of commit.ids) sent.add(id)
    return { commit, isEarly: missing.length > 0 }
  })
}

/** The value of the first of these names that has one. */
const firstOf = <T>(names: readonly string[], known: ReadonlyMap<string, T>): T | undefined =>
  names.map((name) => known.get(name)).find((each) => each !== undefined)

/** In the place of what `accept` returned for a commit, where it threw: the commit is not decided, and waits. */
export const acceptFailed: Refusal = { code: '', message: '' }

/** What `accept` has against a commit. */
export interface Objection {
  readonly refusal: Refusal
  /** `accept` was asked before all that the commit requires was in the log, so it has to be asked again. */
  readonly isEarly: boolean
}

/**
 * The verdict on a commit; `undefined` if it is to be stored; `'early'` if `accept` has to be asked again.
 *
 * @param no what `accept` has against it
 */
export function judge(commit: CheckedCommit, known: Known, no: Objection | undefined): Verdict | 'early' | undefined {
  const before = verdictByIds(commit, known)
  if (before !== undefined) return before
  const { flaw } = commit
  if (flaw !== undefined) return refused(flaw.code, flaw.message)
  const streams = commit.events.map(({ stream }) => stream)
  const first = firstOf(streams, known.waiting)
  if (first !== undefined) return { behind: first }
  // Before it is asked what is missing: a refused id may be in the log with what another author wrote.
  const blocked = commit.needs.find((id) => known.verdicts.has(id))
  if (blocked !== undefined) return { blocked }
  const missing = commit.needs.find((id) => !known.events.has(id))
  for (const [stream, wanted] of commit.expect) {
    const { id, version } = known.last.get(stream) ?? { id: null, version: 0 }
    const isSame = id === wanted.id && (wanted.version ?? version) === version
    // If an event is missing, it may be the one that is expected, and may yet come; not at a version that is taken.
    if (!isSame && (missing === undefined || version >= (wanted.version ?? Infinity)))
      return { conflict: { stream, last: id } }
  }
  if (missing !== undefined) return { behind: missing }
  const match = commit.condition && matching(commit, commit.condition, known)
  if (match !== undefined || no === undefined) return match
  if (no.isEarly) return 'early'
  const { code, message } = no.refusal
  // Where `accept` threw, the commit waits for itself, until `accept` can be asked again.
  return no.refusal === acceptFailed ? { behind: commit.id } : refused(code, message)
}

function matching(
  commit: CheckedCommit,
  { filter, after, except }: CheckedCondition,
  known: Known,
): Verdict | undefined {
  const from = after === null ? 0 : (known.events.get(after) as LoggedEvent).position
  // Too far to look through while all others wait: the device pulls, looks itself, and sends a newer `after`.
  if (known.head - from > conditionReach) return { behind: after ?? commit.id }
  const match = known.recent.find((event) => event.position > from && !except.has(event.id) && filter.matches(event))
  return match && { conflict: { position: match.position } }
}

/** What becomes of the wish to cancel a commit, given all of its ids. */
export function judgeCancel(ids: readonly string[], known: Known): FinalVerdict | { readonly accepted: number } {
  const logged = firstOf(ids, known.events)
  if (logged !== undefined) return { accepted: logged.position }
  return firstOf(ids, known.verdicts) ?? refused('cancelled', say`It was taken back by its device.`)
}

const refused = (code: string, message: string): FinalVerdict => ({ refused: { code, message } })

/** Whether the log has something else under the id of an event. */
const isUnlike = (event: CheckedEvent, logged: LoggedEvent | undefined): boolean =>
  logged !== undefined &&
  (event.stream !== logged.stream ||
    event.type !== logged.type ||
    !isSameJson(JSON.parse(event.data), (JSON.parse(logged.line) as WireEvent).data))
