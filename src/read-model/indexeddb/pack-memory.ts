/** What a connection remembers of packed tables. */
import { workingPosition } from '../../projection/target.js'
import type { TablePacks } from './packs.js'
import { workingSlot, type Slot, type StateRow } from '../state.js'

/** Names the state of the rows on a slot: as long as it is the same, so are they. A rebuild may end where it began, so both slots are named. */
export const packStampOf = (state: StateRow, slot: Slot): string =>
  `${slot}${state.shown}:${state.epoch}:${slot === workingSlot(state) ? workingPosition(state) : state.position}`

/** Tables of one and the same state; what is of another is forgotten. */
export class PackMemory {
  #stamp = ''
  #tables: ReadonlyMap<string, TablePacks> = new Map()

  get stamp(): string {
    return this.#stamp
  }

  at(stamp: string): ReadonlyMap<string, TablePacks> {
    return stamp === this.#stamp ? this.#tables : new Map()
  }

  /** From here on these are remembered, and nothing else. */
  move(stamp: string, tables: Iterable<readonly [string, TablePacks]> = []): void {
    this.#stamp = stamp
    this.#tables = new Map(tables)
  }

  /** Adds a table to those of that state. */
  remember(stamp: string, table: string, packs: TablePacks): void {
    this.move(stamp, [...this.at(stamp), [table, packs]])
  }
}
