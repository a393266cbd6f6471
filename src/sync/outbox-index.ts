/** Finds commits of the outbox by their ids and names, and the pending events of streams. */
import { isShown } from './overlay/in-rows.js'
import type { OutboxRow } from './sync-state.js'

/** The pending events of a stream. */
export interface PendingStream {
  count: number
  lastId: string
  /**
   * The last event of the last commit that expects something of the stream, and then the first events in it of commits
   * that expect nothing. Foreign events may come to stand before those, also if what they were on top of is taken back.
   */
  loose: string[]
  /** Whether each of them expects nothing of the stream: then not even its confirmed events are known to be before them. */
  isLoose: boolean
}

/** What is required of a stream by what is decided on its pending events. `end`: its last confirmed event. */
export const underPending = (pending: PendingStream | undefined, end: string | undefined): readonly string[] =>
  pending === undefined ? [] : pending.isLoose && end !== undefined ? [end, ...pending.loose] : pending.loose

export class OutboxIndex {
  /** Commits by every id that an event of theirs has or had. */
  readonly ids = new Map<string, OutboxRow>()
  /** Commits by their names. */
  readonly names = new Map<string, OutboxRow>()
  readonly streams = new Map<string, PendingStream>()
  /** How many pending events there are. */
  events = 0

  constructor(rows: readonly OutboxRow[]) {
    for (const row of rows) this.add(row)
  }

  /** Adds the newest commit. */
  add(row: OutboxRow): void {
    this.names.set(row.name, row)
    for (const { id } of row.events) this.ids.set(id, row)
    for (const id of row.had ?? []) this.ids.set(id, row)
    if (!isShown(row)) return
    const seen = new Set<string>()
    for (const { stream, id } of row.events) {
      const pending = this.streams.get(stream) ?? { count: 0, lastId: id, loose: [], isLoose: true }
      this.streams.set(stream, pending)
      pending.count += 1
      pending.lastId = id
      if (row.expect.some(([each]) => each === stream)) {
        pending.loose = [id]
        pending.isLoose = false
      } else if (!seen.has(stream)) pending.loose.push(id)
      seen.add(stream)
      this.events += 1
    }
  }
}

/** The commits with smaller numbers. */
export const rowsBefore = (rows: readonly OutboxRow[], n: number): readonly OutboxRow[] =>
  (rows.at(-1)?.n ?? -Infinity) < n ? rows : rows.filter((row) => row.n < n)

/** Returns the index of a list that only grows. A longer list of the same identity costs its new rows alone. */
export function growingIndex(): (rows: readonly OutboxRow[]) => OutboxIndex {
  let known: readonly OutboxRow[] | undefined
  let index: OutboxIndex
  let length: number
  return (rows) => {
    if (known !== rows) [known, index, length] = [rows, new OutboxIndex([]), 0]
    for (; length < rows.length; length += 1) index.add(rows[length] as OutboxRow)
    return index
  }
}
