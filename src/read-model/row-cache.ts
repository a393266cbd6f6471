/** The rows that a leader remembers: bounded, and sometimes known to be all there are. */
import type { Slot } from './keys.js'
import type { Entry } from './rows.js'

/** How many rows of a table are remembered, besides those not yet committed. */
export const maxCachedRows = 20_000

interface CachedTable {
  readonly entries: Map<Slot, Entry>
  /** What is not here is not in the table. */
  complete: boolean
}

/** Rows by table and key, the least recently used forgotten first. */
export class RowCache {
  readonly #tables = new Map<string, CachedTable>()

  /** `complete`: the tables are empty. */
  constructor(tables: readonly string[], complete: boolean) {
    for (const name of tables) this.#tables.set(name, { entries: new Map(), complete })
  }

  get(table: string, slot: Slot): Entry | undefined {
    const cached = this.#table(table)
    const entry = cached.entries.get(slot)
    // The order matters only where something may have to go.
    if (entry !== undefined && cached.entries.size > maxCachedRows / 2) {
      cached.entries.delete(slot)
      cached.entries.set(slot, entry)
    }
    return entry
  }

  set(table: string, slot: Slot, entry: Entry): void {
    const cached = this.#table(table)
    cached.entries.set(slot, entry)
    if (cached.entries.size <= maxCachedRows) return
    for (const oldest of cached.entries.keys()) {
      cached.entries.delete(oldest)
      break
    }
    cached.complete = false
  }

  isComplete(table: string): boolean {
    return this.#table(table).complete
  }

  /** Every row of the table was remembered. */
  markComplete(table: string): void {
    this.#table(table).complete = true
  }

  #table(name: string): CachedTable {
    return this.#tables.get(name) as CachedTable
  }
}
