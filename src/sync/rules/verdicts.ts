/** What the server said of commits that were pushed. */
import type { CommitAnswer, FinalVerdict } from '../../wire/protocol.js'
import type { AnsweredBy } from '../sync-effects.js'
import type { OutboxRow, SyncChange, SyncSnapshot } from '../sync-state.js'
import { toSend } from './batches.js'
import { isBy } from './contact.js'
import { isPending, OutboxDraft, wireId, without } from './outbox-draft.js'
import type { RefusalFacts } from './refusal-texts.js'
import { asNewest } from './retried.js'

/** The response to a push, and what the push was made under. */
export interface PushResult {
  readonly by: AnsweredBy
  /** The identity of the device's log when it was made. */
  readonly identity: string
  readonly head: number
  readonly answers: readonly CommitAnswer[]
}

/**
 * What verdicts change in the outbox. They are thrown away unless epoch and identity are still those of the request: an old no that comes late would refuse what a
 * restored server stores.
 */
export function answered(snapshot: SyncSnapshot, { by, identity, head, answers }: PushResult): SyncChange | undefined {
  const { state } = snapshot
  if (!isBy(state, by) || state.identity !== identity) return undefined
  const draft = new OutboxDraft(snapshot)
  const places = new Map(snapshot.outbox.map((row) => [wireId(row), row.n]))
  let waiting: ReadonlySet<number> | undefined
  const waits = ({ n }: OutboxRow) => (waiting ??= new Set(toSend(snapshot).waiting.map((row) => row.n))).has(n)
  // Accepted commits first: they stay, whatever becomes of commits that they were decided on.
  const inOrder = [...answers].sort((one, other) => Number('accepted' in other) - Number('accepted' in one))
  for (const answer of inOrder) {
    // An earlier verdict may have changed it, or replaced it.
    const row = draft.get(places.get(answer.id) ?? NaN)
    if (row !== undefined && isPending(row) && wireId(row) === answer.id) take(draft, row, answer, waits)
  }
  if (draft.isEmpty && state.head === head) return undefined
  return draft.change({ head }, { isRepeated: answers.every((answer) => 'accepted' in answer) })
}

function take(draft: OutboxDraft, row: OutboxRow, verdict: CommitAnswer, waits: (row: OutboxRow) => boolean): void {
  if ('accepted' in verdict) {
    if (row.accepted !== verdict.accepted || row.behind !== undefined)
      draft.put({ ...without(row, 'behind'), accepted: verdict.accepted })
  } else if ('behind' in verdict) {
    if (row.behind !== verdict.behind || row.accepted !== undefined)
      draft.put({ ...without(row, 'accepted'), behind: verdict.behind })
  } else if (row.renew !== undefined) renew(draft, row, row.renew)
  else if (row.cancel === true) {
    draft.remove(row, { status: 'discarded' })
    draft.follow(row)
  } else if ('refused' in verdict) draft.refuse(row, verdict.refused.code, verdict.refused.message)
  // No try for a commit that is sent among the waiting ones: others may write there for as long as it waits.
  else if ('conflict' in verdict) draft.decideAgain(row, 'conflict', inTheWay(verdict.conflict, row), !waits(row))
  else draft.decideAgain(row, 'blocked', { id: verdict.blocked })
}

const inTheWay = (
  conflict: Extract<FinalVerdict, { conflict: object }>['conflict'],
  { expect }: OutboxRow,
): RefusalFacts => {
  if ('position' in conflict) return { position: conflict.position }
  const { stream, last } = conflict
  // The last event is the expected one, only at another version: so it is not what is in the way.
  const isExpected = expect.some(([, id]) => id === last)
  return { stream, ...(last !== null && !isExpected && { id: last }) }
}

/** It is cancelled, so its next version can be sent. */
function renew(draft: OutboxDraft, row: OutboxRow, ids: readonly string[]): void {
  draft.remove(row)
  draft.put(asNewest(row, draft.nextN, ids, row.renewData))
  draft.follow(row)
}
