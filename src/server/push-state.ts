/** A push while it is decided: what the log knows about it, and what it adds. */
import type { CommitAnswer, FinalVerdict, PushAnswer, Verdict } from '../wire/protocol.js'
import { conditionReach } from '../wire/protocol.js'
import { say } from '../messages.js'
import { chainBehind } from './chain.js'
import type { CheckedCommit, CheckedPush, Refusal } from './check-push.js'
import { lineOf } from './line-of.js'
import type { DecisionQuestions, LastEvent, LogDecision, LoggedEvent } from './log-store.js'
import { RequestRefusedError } from './request-refused.js'
import { judge, judgeCancel, type Known, type RecentEvent } from './rules.js'

/** What the log knows about a push, which grows with what the push adds. */
export interface PushState extends Known {
  head: number
  readonly events: Map<string, LoggedEvent>
  readonly last: Map<string, LastEvent>
  readonly verdicts: Map<string, FinalVerdict>
  readonly recent: RecentEvent[]
  readonly waiting: Map<string, string>
}

/** The most work for conditions in one push. Looking at one event is 1, and the length of the pattern, if there is one. */
const mostWork = 1_000_000

/** Asks for all that the rules need, so that no commit waits for a question of its own. */
export async function loadState(
  log: LogDecision,
  { author, ids, streams }: DecisionQuestions,
  { commits }: CheckedPush,
): Promise<PushState> {
  // In one turn, so that a backend may ask for all of it at the same time. One that throws leaves nothing unobserved.
  const known = await Promise.all([
    (async () => log.find(ids))(),
    (async () => log.last(streams))(),
    (async () => log.verdicts(author, ids))(),
  ])
  const events = new Map(known[0])
  return {
    head: log.head,
    events,
    last: new Map(known[1]),
    verdicts: new Map(known[2]),
    recent: await recentOf(log, commits, events),
    waiting: new Map(),
  }
}

/**
 * Stores what a push has, commit by commit, or says what else becomes of it.
 *
 * @param replies what `accept` has against commits
 */
export async function settle(
  log: LogDecision,
  author: string,
  state: PushState,
  { commits, at, cancel }: CheckedPush,
  replies: ReadonlyMap<CheckedCommit, Refusal | undefined>,
): Promise<PushAnswer> {
  const answers: CommitAnswer[] = []
  let { chain } = log
  let [work, hasAdded] = [0, false]

  /** Notes a verdict for the response, and keeps it for good if it is a final no. */
  const keep = async (ids: readonly string[], verdict: Verdict) => {
    answers.push({ id: ids[0] as string, ...verdict })
    if ('accepted' in verdict || 'behind' in verdict) return
    const unsettled = ids.filter((id) => !state.verdicts.has(id))
    if (unsettled.length === 0) return
    for (const id of unsettled) state.verdicts.set(id, verdict)
    await log.keep(author, unsettled, verdict)
  }

  const add = async (commit: CheckedCommit) => {
    const first = state.head + 1
    const events = commit.events.map((event): LoggedEvent => {
      const { id, stream, type } = event
      const version = (state.last.get(stream)?.version ?? 0) + 1
      state.head += 1
      const position = state.head
      const logged = { position, id, stream, type, version, line: lineOf(event, position, first, version) }
      state.last.set(stream, logged)
      state.events.set(id, logged)
      state.recent.push(logged)
      return logged
    })
    const lines = events.map(({ line }) => line)
    chain = chainBehind(chain, lines)
    await log.add({ author, events, chain })
    answers.push({ id: commit.id, accepted: first })
  }

  for (const commit of commits) {
    // What is left is sent again: no push makes others wait for long.
    if (work > mostWork) break
    work += state.recent.length * (commit.condition?.cost ?? 0)
    const verdict = judge(commit, state, replies.get(commit))
    if (verdict !== undefined) {
      if ('behind' in verdict)
        for (const { stream } of commit.events) if (!state.waiting.has(stream)) state.waiting.set(stream, commit.id)
      await keep(commit.ids, verdict)
      // `at` is where the first commit must begin. Those after it follow it.
    } else if (at === undefined || hasAdded || at === state.head) {
      hasAdded = true
      await add(commit)
    } else throw new RequestRefusedError(409, 'moved', say`The log is at ${state.head}.`)
  }
  for (const ids of cancel) await keep(ids, judgeCancel(ids, state))
  const { head } = state
  return at === undefined ? { head, answers } : { head, answers, chain }
}

/** All that the rules need of the log. */
export function questionsOf(author: string, { commits, cancel }: CheckedPush): DecisionQuestions {
  return {
    author,
    ids: unique([...commits.flatMap((commit) => [...commit.ids, ...commit.needs]), ...cancel.flat()]),
    streams: unique(
      commits.flatMap(({ events, expect }) => [
        ...events.map(({ stream }) => stream),
        ...expect.map(([stream]) => stream),
      ]),
    ),
  }
}

/** The events that conditions look at, as far as they may look. */
async function recentOf(
  log: LogDecision,
  commits: readonly CheckedCommit[],
  events: ReadonlyMap<string, LoggedEvent>,
): Promise<RecentEvent[]> {
  const from = commits
    .flatMap(({ condition }) => (condition === undefined ? [] : [condition.after]))
    .map((after) => (after === null ? 0 : (events.get(after)?.position ?? log.head)))
    .filter((position) => log.head - position <= conditionReach)
  const recent: RecentEvent[] = []
  // Without their lines, which may be more than fits into memory.
  if (from.length > 0)
    for await (const { position, id, stream, type } of log.after(Math.min(...from)))
      recent.push({ position, id, stream, type })
  return recent
}

const unique = (texts: readonly string[]) => [...new Set(texts)]
