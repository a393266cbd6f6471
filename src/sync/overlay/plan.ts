/** Which own events are laid over the rows of one state, in which order, and what tells one such list from another. */
import type { CompiledFilter } from '../../log/filter.js'
import type { StateRow } from '../../read-model/state.js'
import type { EventText } from '../../log/record/record-text.js'
import type { OutboxCopy, OutboxSource } from '../outbox-copy.js'
import { isExtended, missingAfter, ownEvents, type OwnEvent, type RowsAt } from './in-rows.js'
import type { PendingPlace } from './own-reading.js'

/** Own events of the log that are laid over rows which are being made, at most: the newest. */
export const mostConfirmed = 10_000

/** Own events, by where they are. */
export interface Plan {
  /** What it was made of. */
  readonly copy: OutboxCopy
  /** Positions in the log, in order. */
  readonly confirmed: readonly number[]
  /** Streams whose events the projection puts aside. */
  readonly blocked: ReadonlySet<string> | undefined
  /** In the order of the outbox. */
  readonly pending: readonly PendingPlace[]
  /** How many pending events there are, with those that the read model does not handle. */
  readonly count: number
  /** By the id of a pending event: which one of its stream it is, from 1. */
  nth(): ReadonlyMap<string, number>
}

const rowsAt = ({ log, position }: Pick<StateRow, 'log' | 'position'>): RowsAt => ({ identity: log, position })

/**
 * A copy of the outbox that is at least as new as these rows, with all own commits that may be missing in them. It must
 * be asked for after the rows were read, never before.
 */
export async function copyFor(source: OutboxSource, state: StateRow, isKnown: boolean): Promise<OutboxCopy> {
  const { log, position } = state
  let copy = await source.copy({ cursor: position, after: position, isKnown })
  if (isKnown && copy.state.identity !== log) copy = await source.copy({ cursor: position, after: position })
  // Rows of an earlier identity: what both have in common may end before their position.
  for (let after = position; copy.state.identity !== log; copy = await source.copy({ cursor: 0, after })) {
    const needed = missingAfter(copy.state, rowsAt(state))
    if (needed >= after) break
    after = needed
  }
  return copy
}

/**
 * Leaves out what the projection leaves out: events that were skipped by hand, and of the outbox those that its filter
 * does not let through, and of streams that are blocked by dead letters. Of events of the log the latter is known once
 * they are read.
 *
 * @param before of the same rows: if there are only more commits since, it is continued
 * @throws RangeError for a copy that is older than the rows
 */
export function planOf(
  copy: OutboxCopy,
  state: Pick<StateRow, 'log' | 'position' | 'skipped'>,
  filter: CompiledFilter,
  blocked: ReadonlySet<string> | undefined,
  before?: Plan,
): Plan {
  const { identity, cursor } = copy.state
  const rows = rowsAt(state)
  const known = before !== undefined && isExtended(copy, before.copy) ? before : undefined
  const skipped = new Set(identity === state.log ? state.skipped : undefined)
  const confirmed = [...(known?.confirmed ?? [])]
  const pending = [...(known?.pending ?? [])]
  let count = known?.count ?? 0
  for (const event of ownEvents(copy, rows, known?.copy.outbox.length)) {
    if (event.kind === 'confirmed') {
      if (!skipped.has(event.position)) confirmed.push(event.position)
      continue
    }
    // Also those that this read model does not handle: an event has one place in all of them.
    count += 1
    const text = textOf(event)
    if (filter.matches(text) && blocked?.has(text.stream) !== true)
      pending.push({ text, commit: event.commit.name, position: cursor.at + count })
  }
  return { copy, confirmed: confirmed.slice(-mostConfirmed), blocked, pending, count, nth: () => nthOf(copy, rows) }
}

const textOf = ({ commit, index }: OwnEvent & { readonly kind: 'pending' }): EventText =>
  commit.events[index] as EventText

function nthOf(copy: OutboxCopy, rows: RowsAt): Map<string, number> {
  const counts = new Map<string, number>()
  const nth = new Map<string, number>()
  for (const event of ownEvents(copy, rows)) {
    if (event.kind === 'confirmed') continue
    const { id, stream } = textOf(event)
    const count = (counts.get(stream) ?? 0) + 1
    counts.set(stream, count)
    nth.set(id, count)
  }
  return nth
}
