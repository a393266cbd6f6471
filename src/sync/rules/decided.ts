/** Commits were decided again by the commands that made them. */
import type { DecisionReply } from '../sync-effects.js'
import type { OutboxRow, SyncChange, SyncSnapshot } from '../sync-state.js'
import { unknownCommand } from './refusal-texts.js'
import { hadOf, OutboxDraft, wireId, without } from './outbox-draft.js'

/** How many commits are remembered that wanted no events in the end. */
const mostNothing = 1000

/** A commit as it was, and what its command says now. */
export type DecidedCommit = readonly [was: OutboxRow, reply: DecisionReply]

/**
 * Takes the places of the rows, as long as each still has the ids that were to be replaced: several contexts that decide
 * the same commit make one of it. Later commits that were decided on the replaced events follow.
 *
 * @param decisions in the order of the outbox, each made on those before it
 */
export function decided(snapshot: SyncSnapshot, decisions: readonly DecidedCommit[]): SyncChange | undefined {
  const draft = new OutboxDraft(snapshot)
  const nothing = [...(snapshot.state.nothing ?? [])]
  for (const [was, reply] of decisions) {
    // (N63)
    const row = draft.get(was.n)
    if (row?.undecided === undefined || wireId(row) !== wireId(was)) break
    if (reply.kind === 'refused') draft.refuse(row, reply.code, reply.message)
    else if (reply.kind === 'unknown') draft.refuse(row, 'command-unknown', unknownCommand(row.command?.name))
    else {
      const next = nextVersion(row, reply)
      if (next !== undefined) draft.put(next)
      else {
        draft.remove(row, { status: 'confirmed' })
        nothing.push(row.name)
      }
      draft.follow(row)
    }
  }
  if (draft.isEmpty) return undefined
  return draft.change(nothing.length > 0 ? { nothing: nothing.slice(-mostNothing) } : {})
}

/** What a commit is in the outbox once it was decided, if it is pending then. */
export function nextVersion(row: OutboxRow, reply: DecisionReply): OutboxRow | undefined {
  if (reply.kind !== 'decided') return undefined
  const { events, expect, condition, requires } = reply.row
  return {
    ...without(row, 'undecided', 'accepted', 'behind', 'condition', 'requires'),
    events,
    expect,
    ...(condition !== undefined && { condition }),
    ...(requires !== undefined && { requires }),
    had: hadOf(row),
  }
}
