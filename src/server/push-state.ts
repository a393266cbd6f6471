/** A push while it is decided: what the log knows about it, and what it adds. */
import type { FinalVerdict, Verdict, CommitAnswer } from '../wire/protocol.js'
import { conditionReach } from '../wire/protocol.js'
import { say } from '../messages.js'
import { chainBehind } from './chain.js'
import type { CheckedCommit, CheckedPush, Refusal } from './check-push.js'
import { lineOf } from './line-of.js'
import type { DecisionQuestions, LogDecision, LoggedEvent } from './log-store.js'
import { RequestRefusedError } from './request-refused.js'
import { judge, judgeCancel, type Known, type RecentEvent } from './rules.js'

export class PushState implements Known {
  readonly waiting = new Map<string, string>()
  chain: string
  /** What was done to look for events that match conditions. */
  work = 0
  head: number
  readonly #log: LogDecision
  readonly #author: string
  #hasAdded = false

  private constructor(
    log: LogDecision,
    author: string,
    readonly events: Map<string, LoggedEvent>,
    readonly last: Map<string, LoggedEvent>,
    readonly verdicts: Map<string, FinalVerdict>,
    readonly recent: RecentEvent[],
  ) {
    this.#log = log
    this.#author = author
    this.head = log.head
    this.chain = log.chain
  }

  /** Asks for all that the rules need, so that no commit waits for a question of its own. */
  static async load(
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
    const [events, last, verdicts] = [new Map(known[0]), new Map(known[1]), new Map(known[2])]
    return new PushState(log, author, events, last, verdicts, await recentOf(log, commits, events))
  }

  /**
   * Stores a commit, or says what else becomes of it.
   *
   * @param at where the log must end before the first event that is added
   */
  async settle(commit: CheckedCommit, no: Refusal | undefined, at: number | undefined): Promise<CommitAnswer> {
    this.work += this.recent.length * (commit.condition?.cost ?? 0)
    const verdict = judge(commit, this, no)
    if (verdict !== undefined) {
      if ('behind' in verdict)
        for (const { stream } of commit.events) if (!this.waiting.has(stream)) this.waiting.set(stream, commit.id)
      await this.#keep(commit.ids, verdict)
      return { id: commit.id, ...verdict }
    }
    if (at !== undefined && !this.#hasAdded && at !== this.head)
      throw new RequestRefusedError(409, 'moved', say`The log is at ${this.head}.`)
    this.#hasAdded = true
    return { id: commit.id, accepted: await this.#add(commit) }
  }

  /** Sees to it that a commit is never stored, or says that it is. */
  async cancel(ids: readonly string[]): Promise<CommitAnswer> {
    const verdict = judgeCancel(ids, this)
    await this.#keep(ids, verdict)
    return { id: ids[0] as string, ...verdict }
  }

  /** Keeps what is final under each id that has no verdict yet. */
  async #keep(ids: readonly string[], verdict: Verdict): Promise<void> {
    if ('accepted' in verdict || 'behind' in verdict) return
    const without = ids.filter((id) => !this.verdicts.has(id))
    if (without.length === 0) return
    for (const id of without) this.verdicts.set(id, verdict)
    await this.#log.keep(this.#author, without, verdict)
  }

  async #add(commit: CheckedCommit): Promise<number> {
    const first = this.head + 1
    const events = commit.events.map((event, index): LoggedEvent => {
      const { id, stream, type } = event
      const version = (this.last.get(stream)?.version ?? 0) + 1
      const position = first + index
      const logged = { position, id, stream, type, version, line: lineOf(event, position, first, version) }
      this.last.set(stream, logged)
      this.events.set(id, logged)
      return logged
    })
    const lines = events.map(({ line }) => line)
    this.chain = chainBehind(this.chain, lines)
    this.head += events.length
    this.recent.push(...events)
    await this.#log.add({ author: this.#author, events, chain: this.chain })
    return first
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
