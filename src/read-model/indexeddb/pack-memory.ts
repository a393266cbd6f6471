/** What a connection remembers of packed tables. */
import type { TablePacks } from './packs.js'
import { stampOf, type Slot, type StateRow } from '../state.js'

/** The version stamp of the rows on a slot. */
export const packStampOf = (state: StateRow, slot: Slot): string => `${slot} ${stampOf(state)}`

/** The packs of tables at one version stamp; those of every other one are forgotten. */
export class PackMemory {
  #stamp = ''
  #tables: ReadonlyMap<string, TablePacks> = new Map()

  get stamp(): string {
    return this.#stamp
  }

  at(stamp: string): ReadonlyMap<string, TablePacks> {
    return stamp === this.#stamp ? this.#tables : new Map()
  }

  /** Remembers these tables and no others. */
  move(stamp: string, tables: Iterable<readonly [string, TablePacks]> = []): void {
    this.#stamp = stamp
    this.#tables = new Map(tables)
  }

  /** Adds a table to those of that stamp. */
  remember(stamp: string, table: string, packs: TablePacks): void {
    this.move(stamp, [...this.at(stamp), [table, packs]])
  }
}
