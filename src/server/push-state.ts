/** What the log knows about a push while it is decided. */
import { conditionReach, type FinalVerdict } from '../wire/protocol.js'
import type { CheckedCommit, CheckedPush } from './check-push.js'
import type { DecisionQuestions, LastEvent, LogDecision, LoggedEvent } from './log-store.js'
import type { Known, RecentEvent } from './rules.js'

/** What the log knows about a push, which grows with what the push adds. */
export interface PushState extends Known {
  head: number
  readonly events: Map<string, LoggedEvent>
  readonly last: Map<string, LastEvent>
  readonly verdicts: Map<string, FinalVerdict>
  readonly recent: RecentEvent[]
  readonly waiting: Map<string, string>
}

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
