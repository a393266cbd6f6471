/**
 * The rows of this context's last commit: live queries that run because of that commit take them from here, instead of
 * reading in a transaction what was just stored.
 */
import { mapKeyOf } from './keys.js'
import { seenIn } from './stamps.js'
import type { Commit } from './state.js'
import type { Answers, Moved, TableQuery } from './storage.js'

/** A commit of more rows is read from the storage: copying them would take longer. */
const mostRows = 16

export class RecentCommit {
  /** How many readers would take rows from here. */
  readers = 0
  #last: { readonly change: Commit; readonly moved: Moved } | undefined

  /** Keeps what was committed, if someone may ask for it. */
  committed(change: Commit, moved: Moved): void {
    this.#last = undefined
    // The rows of a rebuild are not those that readers see.
    if (this.readers === 0 || change.from.rebuild !== undefined) return
    let rows = 0
    for (const entries of change.rows.values()) rows += entries.size
    if (rows <= mostRows) this.#last = { change, moved }
  }

  /** What is asked, of the moment of that commit; nothing if its rows do not say it, or it is not the one of this stamp. */
  answer(asked: readonly TableQuery[], stamp: string): Answers | undefined {
    if (this.#last === undefined || asked.length === 0) return undefined
    const { change, moved } = this.#last
    if (seenIn(moved.after).stamp !== stamp) return undefined
    const values: unknown[] = []
    for (const { table, query } of asked) {
      if (query.kind !== 'get') return undefined
      const entry = change.rows.get(table)?.get(mapKeyOf(query.key))
      if (entry === undefined) return undefined
      values.push(entry.row === null ? undefined : entry.row)
    }
    try {
      // Copies, as a read would return.
      return { values: structuredClone(values), state: moved.after }
    } catch {
      return undefined
    }
  }

  /** Nothing is asked of that commit any more. */
  forget(): void {
    this.#last = undefined
  }
}
