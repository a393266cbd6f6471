/** What both backends of a synced store do with a change. Pure. */
import { chainStart } from '../wire/protocol.js'
import type { OutboxStamp } from './device-storage.js'
import type { OutboxRow, OwnRow, PulledEvents, SyncChange, SyncSnapshot, SyncState } from './sync-state.js'

/** The state of a synced store that was made a moment ago. */
export const firstState = (identity: string): SyncState => ({
  key: 'state',
  isFresh: false,
  cursor: { at: 0, chain: chainStart },
  head: 0,
  marks: [],
  largestN: 0,
  sentTo: 0,
  turn: 0,
  identity,
  left: [],
})

/** The largest `n` that a snapshot knows of. */
export const largestNOf = ({ state, outbox }: SyncSnapshot): number => Math.max(state.largestN, outbox.at(-1)?.n ?? 0)

/** A snapshot, completed by the commits of `stored` that were appended since: those with a larger `n` than all it knows. */
export function completed(from: SyncSnapshot, stored: readonly OutboxRow[]): SyncSnapshot {
  const known = largestNOf(from)
  const newer = stored.filter(({ n }) => n > known)
  return newer.length === 0 ? from : { state: from.state, outbox: [...from.outbox, ...newer] }
}

/** What is stored after a change. */
export function snapshotAfter({ outbox }: SyncSnapshot, { state, put = [], remove = [] }: SyncChange): SyncSnapshot {
  const rows = new Map(outbox.map((row) => [row.n, row]))
  for (const n of remove) rows.delete(n)
  for (const row of put) rows.set(row.n, row)
  return { state, outbox: [...rows.values()].sort((one, other) => one.n - other.n) }
}

/** Whether pulled events follow a log: position by position, version by version. */
export function isNext(pulled: PulledEvents, head: number, versionOf: (stream: string) => number): boolean {
  const { at, events, versions } = pulled
  const reached = new Map<string, number>()
  for (const [index, { stream }] of events.entries()) {
    const version = (reached.get(stream) ?? versionOf(stream)) + 1
    if (versions[index] !== version) return false
    reached.set(stream, version)
  }
  return at === head + 1
}

/** Numbers as spans of neighbours: what was appended together mostly leaves together, by one request. */
export function spansOf(numbers: readonly number[]): (readonly [from: number, to: number])[] {
  const spans: [number, number][] = []
  for (const n of [...numbers].sort((one, other) => one - other)) {
    const last = spans.at(-1)
    if (last !== undefined && n === last[1] + 1) last[1] = n
    else spans.push([n, n])
  }
  return spans
}

/** The positions that a row is about. */
const endOfOwn = ({ at, n }: OwnRow): number => at + n - 1

export const isBehind = (row: OwnRow, after: number): boolean => endOfOwn(row) > after

/** Whether nothing but where it is has to be known of a row. */
const isBare = ({ name, needs, was }: OwnRow): boolean => name === undefined && needs === undefined && was === undefined

/**
 * The last stored row, which may have grown, and the new ones behind it: bare neighbours are one row.
 */
export function joinedOwn(last: OwnRow | undefined, rows: readonly OwnRow[]): OwnRow[] {
  const joined: OwnRow[] = last === undefined ? [] : [last]
  for (const row of [...rows].sort((left, right) => left.at - right.at)) {
    const before = joined.at(-1)
    if (before !== undefined && isBare(before) && isBare(row) && endOfOwn(before) + 1 === row.at)
      joined[joined.length - 1] = { at: before.at, n: before.n + row.n }
    else joined.push(row)
  }
  return joined
}

/** Own rows with new ones, most of which are behind them, in order. */
export function withOwn(rows: readonly OwnRow[], more: readonly OwnRow[]): OwnRow[] {
  const all = [...rows.slice(0, -1), ...joinedOwn(rows.at(-1), more)]
  const isInOrder = all.every((row, index) => index === 0 || (all[index - 1] as OwnRow).at < row.at)
  return isInOrder ? all : all.sort((left, right) => left.at - right.at)
}

/** The rows once the log ends at a position, where a commit ends. */
export const ownUpTo = (rows: readonly OwnRow[], upTo: number): OwnRow[] =>
  rows.filter(({ at }) => at <= upTo).map((row) => (isBehind(row, upTo) ? { ...row, n: upTo + 1 - row.at } : row))

/** The rows without what they were decided on. */
export const withoutNeeds = (rows: readonly OwnRow[]): OwnRow[] =>
  joinedOwn(
    undefined,
    rows.map(({ needs: _, ...rest }) => rest),
  )

/** Which moment a copy is of. */
export const stampOf = (copy: SyncSnapshot): OutboxStamp => ({ turn: copy.state.turn, largestN: largestNOf(copy) })

export const isNewer = (one: OutboxStamp, other: OutboxStamp): boolean =>
  one.turn > other.turn || (one.turn === other.turn && one.largestN > other.largestN)
