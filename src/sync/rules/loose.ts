/**
 * Commits that expect nothing of a stream are loose in it: the server stores them behind whatever is there by then. What was
 * decided on a loose commit that is pending did not see the foreign events that come to stand before it, and the id of the
 * stream's last event does not tell. So it is not sent before that commit is in the log here, and is decided again if a
 * foreign event of the stream is pulled first. Pure.
 */
import type { OutboxRow } from '../sync-state.js'

/** Whether a commit says what the stream must be like. */
export const expects = (row: OutboxRow, stream: string): boolean => row.expect.some(([each]) => each === stream)

/** The ids of events of loose commits that are in the outbox. */
export function looseIds(rows: readonly OutboxRow[]): ReadonlySet<string> {
  const ids = new Set<string>()
  for (const row of rows)
    if (row.refused === undefined) for (const { stream, id } of row.events) if (!expects(row, stream)) ids.add(id)
  return ids
}

/** The streams of which a commit expects the event of a loose commit. */
export const looseStreams = (row: OutboxRow, loose: ReadonlySet<string>): string[] =>
  row.expect.flatMap(([stream, id]) => (id !== null && loose.has(id) ? [stream] : []))
