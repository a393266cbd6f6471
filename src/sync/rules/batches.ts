/** Which commits are sent, and which of them together. */
import { maxCancelIds, maxEntries } from '../../wire/protocol.js'
import { aroundPush, strings, utf8, wireSize } from '../commit-text.js'
import type { OutboxRow, SyncSnapshot, SyncState } from '../sync-state.js'
import { isUnnamed, namesAll, needsOf } from './outbox-draft.js'

/**
 * Whether the server's word that it has a commit still counts: it was not pulled yet, and may be. A server whose head is
 * below, or whose log was pulled to there without it, lost it.
 */
const isAccepted = ({ accepted }: OutboxRow, { head, cursor }: SyncState): boolean =>
  accepted !== undefined && accepted <= head && accepted > cursor.at

/** Commits that are not sent, and so hold up what was decided on them. */
class Blockers {
  readonly #ids = new Set<string>()
  readonly #rows: OutboxRow[] = []

  add(row: OutboxRow): void {
    this.#rows.push(row)
    for (const { id } of row.events) this.#ids.add(id)
  }

  block(row: OutboxRow, needs: readonly string[]): boolean {
    return needs.some((id) => this.#ids.has(id)) || (!namesAll(row) && this.#rows.some((each) => isUnnamed(row, each)))
  }
}

/** What is to be sent. */
export interface ToSend {
  /** In the order of the outbox, the oldest first. None is left out. */
  readonly commits: readonly OutboxRow[]
  /**
   * Commits that are `behind`, later ones in their streams, and those that were decided on them: they go in pushes of
   * their own, and hold up no other.
   */
  readonly waiting: readonly OutboxRow[]
  /** Commits that are not wanted any more. */
  readonly cancel: readonly OutboxRow[]
}

/**
 * What was decided on a commit is never sent without it, unless the server has it: another user who took its ids would
 * make the server believe that it has.
 */
export function toSend({ state, outbox }: SyncSnapshot): ToSend {
  const commits: OutboxRow[] = []
  const waiting: OutboxRow[] = []
  const cancel: OutboxRow[] = []
  const waitingStreams = new Set<string>()
  /** Streams of held commits: later commits in them are held too, so that they stay in their order. */
  const heldStreams = new Set<string>()
  /** `waiting`: sent apart. `held`: not sent before their fate is known. `undecided`: decided again first. */
  const blockers = { waiting: new Blockers(), held: new Blockers(), undecided: new Blockers() }
  for (const row of outbox) {
    const isUnwanted = row.undecided === undefined && (row.cancel === true || row.renew !== undefined)
    // Whether it is this commit that the server has, or another under its ids, is known once it is pulled: a cancel has
    // only ids.
    if (isUnwanted && isAccepted(row, state)) blockers.held.add(row)
    if (row.refused !== undefined || isAccepted(row, state)) continue
    const needs = needsOf(row)
    if (isUnwanted) {
      cancel.push(row)
      blockers.held.add(row)
    } else if (row.undecided !== undefined || blockers.undecided.block(row, needs)) blockers.undecided.add(row)
    else if (row.events.some(({ stream }) => heldStreams.has(stream)) || blockers.held.block(row, needs)) {
      for (const { stream } of row.events) heldStreams.add(stream)
      blockers.held.add(row)
    } else if (
      row.behind !== undefined ||
      row.events.some(({ stream }) => waitingStreams.has(stream)) ||
      blockers.waiting.block(row, needs)
    ) {
      waiting.push(row)
      for (const { stream } of row.events) waitingStreams.add(stream)
      blockers.waiting.add(row)
    } else commits.push(row)
  }
  return { commits, waiting, cancel }
}

/** Whether a commit may have been decided on one of the batch that is named neither by it nor by a commit that it names. */
function mayMissOne(row: OutboxRow, batch: readonly OutboxRow[]): boolean {
  const places = new Map(batch.flatMap((each) => each.events.map(({ id }) => [id, each] as const)))
  // A commit that expects the stream as well was decided on what is before it there.
  const expect = row.expect.filter(
    ([stream, id]) => places.get(id ?? '')?.expect.some(([each]) => each === stream) !== true,
  )
  return batch.some((earlier) => isUnnamed({ ...row, expect }, earlier))
}

/** The first commits that one push cancels: at least one, if there is one. */
export function firstCancels(rows: readonly OutboxRow[], bytes: number, most: number): OutboxRow[] {
  let [size, ids, count] = [aroundPush, 0, 0]
  for (const { events } of rows) {
    size += 1 + utf8(strings(events.map(({ id }) => id)))
    ids += events.length
    if (count === most || (count > 0 && (size > bytes || ids > maxCancelIds))) break
    count += 1
  }
  return rows.slice(0, count)
}

/**
 * The first commits that go into one push: at least one, if there is one. None goes with an earlier one that it may have been
 * decided on and does not name: if the server refuses that, it could not tell.
 */
export function firstBatch(rows: readonly OutboxRow[], bytes: number): OutboxRow[] {
  let size = 0
  const batch: OutboxRow[] = []
  for (const row of rows) {
    size += wireSize(row)
    if (batch.length > 0 && (size > bytes || batch.length === maxEntries)) break
    if (!namesAll(row) && mayMissOne(row, batch)) break
    batch.push(row)
  }
  return batch
}

/**
 * A push of waiting commits, and the `n` at which the next one begins; `undefined`: all were taken once. Each goes together
 * with all earlier ones of its streams, since the server would store it before them otherwise, and with those that it was
 * decided on. Where that is too much for one push, the earliest of them go.
 *
 * @param from the smallest `n` to begin with
 */
export function waitingBatch(
  waiting: readonly OutboxRow[],
  from: number,
  bytes: number,
): { readonly rows: OutboxRow[]; readonly next: number | undefined } {
  const before = predecessors(waiting)
  const rowAt = (index: number) => waiting[index] as OutboxRow
  const chosen = new Set<number>()
  let left = bytes
  let at = waiting.findIndex(({ n }) => n >= from)
  if (at < 0) at = waiting.length
  while (at < waiting.length) {
    const needed = withEarlier(at, before, chosen)
    const size = needed.reduce((sum, index) => sum + wireSize(rowAt(index)), 0)
    const fits = size <= left && chosen.size + needed.length <= maxEntries
    if (!fits && chosen.size > 0) break
    at += 1
    left -= size
    const most = fits ? needed.length : firstBatch(needed.map(rowAt), bytes).length
    for (const index of needed.slice(0, most)) chosen.add(index)
    if (!fits) break
  }
  const rows = [...chosen].sort((one, other) => one - other).map(rowAt)
  return { rows, next: waiting[at]?.n }
}

/** By index: the last earlier commit of each stream, and those that it was decided on. */
function predecessors(rows: readonly OutboxRow[]): number[][] {
  const last = new Map<string, number>()
  const places = new Map<string, number>()
  return rows.map((row, index) => {
    const before = new Set<number>()
    for (const id of needsOf(row)) before.add(places.get(id) ?? index)
    for (const { stream, id } of row.events) {
      before.add(last.get(stream) ?? index)
      last.set(stream, index)
      places.set(id, index)
    }
    before.delete(index)
    return [...before]
  })
}

/** A commit and all earlier ones that it has to follow, in order, without those that are chosen. */
function withEarlier(index: number, before: readonly (readonly number[])[], chosen: ReadonlySet<number>): number[] {
  const found = new Set<number>()
  const open = [index]
  for (let at = open.pop(); at !== undefined; at = open.pop()) {
    if (found.has(at) || chosen.has(at)) continue
    found.add(at)
    open.push(...(before[at] as number[]))
  }
  return [...found].sort((one, other) => one - other)
}
