/** A commit was decided again by the command that made it. */
import type { DecisionReply } from '../sync-effects.js'
import type { OutboxRow, SyncChange, SyncSnapshot } from '../sync-state.js'
import { unknownCommand } from './refusal-texts.js'
import { idsOf, OutboxDraft, wireId, without } from './outbox-draft.js'

/** Of how many commits it is remembered that nothing became of them. */
const mostNothing = 1000

/**
 * Takes the row's place, if it still has the ids that were to be replaced: several contexts that decide the same commit
 * make one of it. Later commits that were decided on the replaced events follow.
 */
export function decided(snapshot: SyncSnapshot, was: OutboxRow, decision: DecisionReply): SyncChange | undefined {
  const draft = new OutboxDraft(snapshot)
  // (N63)
  const row = draft.get(was.n)
  if (row?.undecided === undefined || wireId(row) !== wireId(was)) return undefined
  if (decision.kind === 'refused') draft.refuse(row, decision.code, decision.message)
  else if (decision.kind === 'unknown') draft.refuse(row, 'command-unknown', unknownCommand(row.command?.name))
  else {
    if (decision.kind === 'nothing') draft.remove(row)
    else draft.put(nextVersion(row, decision.row))
    draft.follow(row)
  }
  if (decision.kind !== 'nothing') return draft.change()
  const { nothing = [] } = snapshot.state
  return draft.change({ nothing: [...nothing, row.name].slice(-mostNothing) })
}

const nextVersion = (row: OutboxRow, { events, expect, condition, requires }: OutboxRow): OutboxRow => ({
  ...without(row, 'undecided', 'accepted', 'behind', 'condition', 'requires'),
  events,
  expect,
  ...(condition !== undefined && { condition }),
  ...(requires !== undefined && { requires }),
  had: idsOf(row),
})
