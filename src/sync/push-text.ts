/** The body of a push, and what the server said to it. */
import { isEventId } from '../events/names.js'
import { say } from '../messages.js'
import { cut } from '../platform/cut.js'
import { isObject } from '../platform/objects.js'
import { maxRefusal, type CommitAnswer } from '../wire/protocol.js'
import { commitText, list, strings } from './commit-text.js'
import { Inconsistent, isChain, isCount, isName, parsedBody } from './responses.js'
import type { PushReply } from './sync-effects.js'
import type { OutboxRow } from './sync-state.js'

/** What is pushed. */
export interface Pushed {
  readonly commits: readonly OutboxRow[]
  readonly cancel: readonly (readonly string[])[]
  readonly at?: number
}

export function pushText({ commits, cancel, at }: Pushed): string {
  const parts = [`"commits":${list(commits.map(commitText))}`]
  if (at !== undefined) parts.push(`"at":${at}`)
  if (cancel.length > 0) parts.push(`"cancel":${list(cancel.map(strings))}`)
  return `{${parts.join(',')}}`
}

/** What the server said to a push. @throws Inconsistent */
export function pushedIn(
  text: string,
  { commits, cancel }: Pushed,
): Omit<Extract<PushReply, { kind: 'pushed' }>, 'by'> {
  const { head, answers, chain } = parsedBody(text)
  if (!isCount(head) || !Array.isArray(answers) || (chain !== undefined && !isChain(chain)))
    throw new Inconsistent(say`The server did not say what became of a push.`)
  const asked = new Set([...commits.map(({ events }) => events[0]?.id), ...cancel.map(([id]) => id)])
  return {
    kind: 'pushed',
    head,
    answers: answers.map((answer) => answerOf(answer, asked)),
    ...(chain === undefined ? {} : { chain }),
  }
}

function answerOf(value: unknown, asked: ReadonlySet<unknown>): CommitAnswer {
  const answer = (isObject(value) ? value : {}) as Record<string, unknown>
  const { id, accepted, conflict, refused, blocked, behind } = answer
  if (!isEventId(id) || !asked.has(id))
    throw new Inconsistent(say`The server said something about a commit that it was not sent.`)
  const { stream, last, position } = (isObject(conflict) ? conflict : {}) as Record<string, unknown>
  const { code, message } = (isObject(refused) ? refused : {}) as Record<string, unknown>
  const verdicts: (CommitAnswer | false)[] = [
    isCount(accepted) && accepted > 0 && { id, accepted },
    isName(stream) && (last === null || isEventId(last)) && { id, conflict: { stream, last } },
    isCount(position) && { id, conflict: { position } },
    isName(code) && {
      id,
      refused: { code, message: typeof message === 'string' ? cut(message, maxRefusal.message) : '' },
    },
    isEventId(blocked) && { id, blocked },
    isEventId(behind) && { id, behind },
  ]
  const found = verdicts.filter((verdict) => verdict !== false)
  const [first] = found
  if (first === undefined || found.length > 1)
    throw new Inconsistent(say`The server said nothing that is known about a commit.`)
  return first
}
