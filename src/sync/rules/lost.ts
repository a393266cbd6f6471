/**
 * What a restored server lost comes back from the devices that made it, perhaps behind other events. A commit that expects
 * such an event of another device did not see those, and the id of the stream's last event does not tell (N100). So it is
 * not sent before that event is in the log here, and is decided again if another event of the stream is pulled first. Pure.
 */
import { maxEntries } from '../../wire/protocol.js'
import type { LostOnes, OutboxRow } from '../sync-state.js'
import { looseIds } from './loose.js'
import { isPending } from './outbox-draft.js'

/** The most ids that one commit remembers, and all of them together. What was forgotten counts as not seen. */
const mostOfOne = 500
const mostOfAll = 100_000

/** Whether an event that it expects did not come back yet. */
export const isAwaiting = ({ lost }: OutboxRow): boolean => lost !== undefined && lost.awaits.length > 0

/**
 * The pending commits that expect something of streams of which events were lost.
 *
 * @param streams what was lost, in order
 * @param own the ids in it that are own: those are given back by this device, before any of these
 */
export function withLost(
  rows: readonly OutboxRow[],
  streams: ReadonlyMap<string, readonly string[]>,
  own: ReadonlySet<string>,
): OutboxRow[] {
  const loose = looseIds(rows)
  const most = Math.max(1, Math.min(mostOfOne, Math.floor(mostOfAll / rows.length)))
  return rows.map((row) => {
    const saw = new Set(row.lost?.saw)
    const awaits = new Set(row.lost?.awaits)
    const requires = new Set(row.requires)
    if (!isPending(row)) return row
    for (const [stream, id] of row.expect) {
      const ids = streams.get(stream)
      if (ids === undefined || id === null) continue
      const at = ids.indexOf(id)
      if (at < 0 && !loose.has(id)) continue
      for (const each of ids.slice(0, at < 0 ? undefined : at + 1)) saw.add(each)
      // What it expects is not on the server yet, and does not say that those before it are.
      if (at < 0 && requires.size < maxEntries) requires.add(ids.at(-1) as string)
      else if (at >= 0 && !own.has(id)) awaits.add(id)
    }
    if (saw.size === 0) return row
    const lost: LostOnes = { saw: [...saw].slice(-most), awaits: [...awaits] }
    const [first] = lost.awaits
    return {
      ...row,
      lost,
      ...(requires.size > 0 && { requires: [...requires] }),
      ...(first !== undefined && { behind: first }),
    }
  })
}

/** An event that a commit awaits is in the log. */
export function arrived(row: OutboxRow, id: string): OutboxRow {
  const { lost, behind, ...rest } = row
  const awaits = lost?.awaits.filter((each) => each !== id) ?? []
  const next = behind === id ? awaits[0] : behind
  return { ...rest, ...(lost && { lost: { ...lost, awaits } }), ...(next !== undefined && { behind: next }) }
}
