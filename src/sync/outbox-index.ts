/** What an append and a reader of streams ask of the outbox, without looking through it each time. */
import { isShown } from './overlay/in-rows.js'
import type { OutboxRow } from './sync-state.js'

/** The pending events of a stream. */
export interface PendingStream {
  count: number
  lastId: string
}

export class OutboxIndex {
  /** By every id that an event of it has or had. */
  readonly ids = new Map<string, OutboxRow>()
  /** By the name of the commit. */
  readonly names = new Map<string, OutboxRow>()
  readonly streams = new Map<string, PendingStream>()
  /** How many pending events there are. */
  events = 0

  constructor(rows: readonly OutboxRow[]) {
    for (const row of rows) this.add(row)
  }

  /** It is the newest. */
  add(row: OutboxRow): void {
    this.names.set(row.name, row)
    for (const { id } of row.events) this.ids.set(id, row)
    for (const id of row.had ?? []) this.ids.set(id, row)
    if (!isShown(row)) return
    for (const { stream, id } of row.events) {
      const pending = this.streams.get(stream)
      if (pending === undefined) this.streams.set(stream, { count: 1, lastId: id })
      else {
        pending.count += 1
        pending.lastId = id
      }
      this.events += 1
    }
  }
}
