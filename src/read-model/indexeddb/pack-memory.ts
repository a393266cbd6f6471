/** What a connection remembers of packed tables. */
import { workingPosition } from '../../projection/target.js'
import type { TablePacks } from './packs.js'
import { workingSide, type Side, type StateRow } from '../state.js'

/** Names the state of the rows on a side: as long as it is the same, so are they. A rebuild may end where it began, so both sides are named. */
export const standingOf = (state: StateRow, side: Side): string =>
  `${side}${state.shown}:${state.epoch}:${side === workingSide(state) ? workingPosition(state) : state.position}`

/** Tables of one and the same state; what is of another is forgotten. */
export class PackMemory {
  #standing = ''
  #tables: ReadonlyMap<string, TablePacks> = new Map()

  get standing(): string {
    return this.#standing
  }

  at(standing: string): ReadonlyMap<string, TablePacks> {
    return standing === this.#standing ? this.#tables : new Map()
  }

  /** From here on these are remembered, and nothing else. */
  move(standing: string, tables: Iterable<readonly [string, TablePacks]> = []): void {
    this.#standing = standing
    this.#tables = new Map(tables)
  }

  /** Adds a table to those of that state. */
  remember(standing: string, table: string, packs: TablePacks): void {
    this.move(standing, [...this.at(standing), [table, packs]])
  }
}
