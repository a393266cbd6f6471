/**
 * Which own events are in the rows of a read model already, so that they are not laid over them. Pure.
 *
 * Where it is wrong, a commit counts twice or not at all. The cases that decide are rows that were folded from a log whose
 * tail was taken back since, because the server was restored from a backup: such rows hold events under positions of that
 * earlier identity of the log.
 */
import type { OutboxCopy } from '../outbox-copy.js'
import type { OutboxRow, SyncState } from '../sync-state.js'

/** The rows of a read model: of which identity of the log they were folded, and up to which position in it. */
export interface RowsAt {
  readonly identity: string
  readonly position: number
}

/** What is known of the identities of a log. */
export type Identities = Pick<SyncState, 'identity' | 'left'>

/** Where the first event of an own commit is in the log, if it is there, and where it was in earlier identities of it. */
export interface OwnPlace {
  readonly at?: number | undefined
  readonly was?: { readonly [identity: string]: number } | undefined
}

/** Up to which position an identity of the log is the same as today's: 0 for one that is not known. */
export function sameUpTo({ identity, left }: Identities, of: string): number {
  if (of === identity) return Infinity
  const from = left.findIndex((each) => each.identity === of)
  return from < 0 ? 0 : left.slice(from).reduce((least, { upTo }) => Math.min(least, upTo), Infinity)
}

/** Behind this position own events of the log may be missing in the rows; none is missing before it. */
export const missingAfter = (log: Identities, { identity, position }: RowsAt): number =>
  Math.min(position, sameUpTo(log, identity))

/**
 * Whether an event of an own commit is in the rows. It is asked event by event: a runner's page may end inside a
 * commit.
 *
 * @param index of the event in its commit
 */
export function inRows(log: Identities, rows: RowsAt, { at, was }: OwnPlace, index: number): boolean {
  const { identity, position } = rows
  if (identity !== log.identity && was !== undefined && Object.hasOwn(was, identity))
    return (was[identity] as number) + index <= position
  // At a position that this identity had in common with today's.
  return at !== undefined && at + index <= missingAfter(log, rows)
}

/** An own event that is to be laid over rows: it is in the log already, or waits for that. */
export type OwnEvent =
  | { readonly kind: 'confirmed'; readonly position: number }
  | { readonly kind: 'pending'; readonly commit: OutboxRow; readonly index: number }

/** Whether one copy is another one to which commits were appended. */
export const isExtended = (copy: OutboxCopy, { state, own, outbox }: OutboxCopy): boolean =>
  copy.state === state && copy.own === own && copy.outbox[outbox.length - 1] === outbox.at(-1)

/** Whether views show a commit of the outbox: not one that was refused, or that the app does not want any more. */
export const isShown = ({ refused, cancel }: Pick<OutboxRow, 'refused' | 'cancel'>): boolean =>
  refused === undefined && cancel !== true

/**
 * The own events that are to be laid over rows, in the order in which they apply: those of the log by position, then
 * those of the outbox by `n`.
 *
 * @param copy with the own commits of the log behind {@link missingAfter}
 * @param from the place in the outbox to begin at, without those of the log
 * @throws RangeError for a copy that is older than the rows, or lacks own commits
 */
export function ownEvents({ state, outbox, own, ownFrom }: OutboxCopy, rows: RowsAt, from?: number): OwnEvent[] {
  const after = missingAfter(state, rows)
  // An own commit that the rows hold already would be pending in an older copy, and count twice.
  if (ownFrom > after || (rows.identity === state.identity && state.cursor.at < rows.position))
    throw new RangeError('overlay')
  const events: OwnEvent[] = []
  for (const { at, n, was } of from === undefined ? own : [])
    for (let index = 0; index < n; index += 1)
      if (at + index > after && !inRows(state, rows, { at, was }, index))
        events.push({ kind: 'confirmed', position: at + index })
  for (let at = from ?? 0; at < outbox.length; at += 1) {
    const commit = outbox[at] as OutboxRow
    if (!isShown(commit)) continue
    for (let index = 0; index < commit.events.length; index += 1)
      if (!inRows(state, rows, commit.was === undefined ? {} : { was: commit.was }, index))
        events.push({ kind: 'pending', commit, index })
  }
  return events
}
