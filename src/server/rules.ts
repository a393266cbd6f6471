/** What becomes of a pushed commit. Pure: docs/protocol.md has these rules in words. */
import { isSameJson } from '../events/json.js'
import { say } from '../messages.js'
import { conditionReach, type FinalVerdict, type Verdict, type WireEvent } from '../wire/protocol.js'
import type { CheckedCommit, CheckedCondition, CheckedEvent, Refusal } from './check-push.js'
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

/** What the server has said about a commit before, or has to say because of its ids. */
export function settled(commit: CheckedCommit, known: Known): FinalVerdict | { readonly accepted: number } | undefined {
  if (firstOf(commit.ids, known.events) === undefined) return firstOf(commit.ids, known.verdicts)
  const found = commit.ids.map((id) => known.events.get(id))
  if (commit.events.some((event, index) => isUnlike(event, found[index])))
    return refused('id-taken', say`Another event has one of these ids.`)
  const [first] = found
  if (first === undefined || found.includes(undefined))
    return refused('incomplete', say`A part of the commit is in the log.`)
  return { accepted: first.position }
}

/** What is known of the first of these names that anything is known of. */
const firstOf = <T>(names: readonly string[], known: ReadonlyMap<string, T>): T | undefined =>
  names.map((name) => known.get(name)).find((each) => each !== undefined)

/** In the place of what `accept` has against a commit, where it failed. */
export const unknown: Refusal = { code: '', message: '' }

/** What becomes of a commit; nothing if it is to be stored. `no`: what `accept` has against it. */
export function judge(commit: CheckedCommit, known: Known, no: Refusal | undefined): Verdict | undefined {
  const before = settled(commit, known)
  if (before !== undefined) return before
  const flaw = commit.flaw ?? no
  if (flaw?.code) return refused(flaw.code, flaw.message)
  const streams = commit.events.map(({ stream }) => stream)
  const first = firstOf(streams, known.waiting)
  if (first !== undefined) return { behind: first }
  // First of all needs: a refused id may be in the log with what another author wrote.
  const blocked = commit.needs.find((id) => known.verdicts.has(id))
  if (blocked !== undefined) return { blocked }
  const missing = commit.needs.find((id) => !known.events.has(id))
  for (const [stream, wanted] of commit.expect) {
    const { id, version } = known.last.get(stream) ?? { id: null, version: 0 }
    const isSame = id === wanted.id && (wanted.version ?? version) === version
    // What is missing could not be there any more where it is expected.
    if (!isSame && (missing === undefined || version >= (wanted.version ?? Infinity)))
      return { conflict: { stream, last: id } }
  }
  if (missing !== undefined) return { behind: missing }
  const match = commit.condition && matching(commit, commit.condition, known)
  // Waits alone, until the rules can be asked about it.
  return match ?? (no && { behind: commit.id })
}

function matching(
  commit: CheckedCommit,
  { filter, after, except }: CheckedCondition,
  known: Known,
): Verdict | undefined {
  const from = after === null ? 0 : (known.events.get(after) as LoggedEvent).position
  // Not looked through while all others wait: the device pulls, and says what it has looked at itself.
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
