/** Decides a push commit by commit, and stores what is accepted. */
import { say } from '../messages.js'
import type { CommitAnswer, PushAnswer, Verdict } from '../wire/protocol.js'
import { chainBehind } from './chain.js'
import type { CheckedCommit, CheckedPush } from './check-push.js'
import { lineOf } from './line-of.js'
import type { LogDecision, LoggedEvent } from './log-store.js'
import type { PushState } from './push-state.js'
import { RequestRefusedError } from './request-refused.js'
import { judge, judgeCancel, type Objection } from './rules.js'

/** The most work for conditions in one push. Looking at one event is 1, and the length of the pattern, if there is one. */
const mostWork = 1_000_000

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
  replies: ReadonlyMap<CheckedCommit, Objection | undefined>,
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
    // N136: what is left is sent again. It is never the first one, which requires nothing of this push.
    if (verdict === 'early') break
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
