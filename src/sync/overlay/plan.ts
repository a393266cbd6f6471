/** Which own events are laid over the rows of one state, in which order, and what tells one such list from another. */
import type { CompiledFilter } from '../../log/filter.js'
import type { StateRow } from '../../read-model/state.js'
import type { OutboxCopy, OutboxSource } from '../outbox-copy.js'
import { missingAfter, ownEvents, type RowsAt } from './in-rows.js'
import type { PendingPlace } from './own-reading.js'

/** Own events of the log that are laid over rows which are being made, at most: the newest. */
export const mostConfirmed = 10_000

/** Own events, by where they are. */
export interface Plan {
  /** The end of the log that it was made of. */
  readonly cursor: number
  readonly identity: string
  /** Positions in the log, in order. */
  readonly confirmed: readonly number[]
  /** Streams whose events the projection puts aside. */
  readonly blocked: ReadonlySet<string> | undefined
  /** In the order of the outbox. */
  readonly pending: readonly PendingPlace[]
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
 * @throws RangeError for a copy that is older than the rows
 */
export function planOf(
  copy: OutboxCopy,
  state: Pick<StateRow, 'log' | 'position' | 'skipped'>,
  filter: CompiledFilter,
  blocked: ReadonlySet<string> | undefined,
): Plan {
  const { identity, cursor } = copy.state
  const skipped = new Set(identity === state.log ? state.skipped : undefined)
  const confirmed: number[] = []
  const pending: PendingPlace[] = []
  const versions = new Map<string, number>()
  let position = cursor.at
  for (const event of ownEvents(copy, rowsAt(state))) {
    if (event.kind === 'confirmed') {
      if (!skipped.has(event.position)) confirmed.push(event.position)
      continue
    }
    const text = event.commit.events[event.index]
    if (text === undefined) continue
    // Also those that this read model does not handle: an event has one place in all of them.
    position += 1
    const nth = (versions.get(text.stream) ?? 0) + 1
    versions.set(text.stream, nth)
    if (filter.matches(text) && blocked?.has(text.stream) !== true)
      pending.push({ text, commit: event.commit.name, position, nth })
  }
  return { cursor: cursor.at, identity, confirmed: confirmed.slice(-mostConfirmed), blocked, pending }
}
