/** How the rows of a table lie in its object store. All that differs between the two ways is behind this. */
import type { Slices } from '../../platform/slices.js'
import type { RowKey } from '../keys.js'
import type { Query } from '../storage.js'
import type { PackMemory } from './pack-memory.js'
import type { RowChange, TablePacks } from './packs.js'

/**
 * Says what was found, given the version stamp of the state that it was read in; `undefined` if that is not the one
 * expected.
 */
export type Found<T> = (stamp: string) => T

/** A table within a transaction. Everything is asked in one turn, unless it is said otherwise. */
export interface TableLayout {
  /** One row. */
  row(key: unknown): Promise<unknown>
  /**
   * Rows by their keys. Finds `undefined` if `memory` was out of date: it is then up to date, so that the next try
   * succeeds. Without `memory` it always succeeds, with a request for each row.
   */
  rows(keys: readonly RowKey[], memory: PackMemory | undefined): Promise<Found<readonly unknown[] | undefined>>
  /** About how many rows there are; exactly, if each is a record. */
  size(memory: PackMemory): Promise<Found<number>>
  /** Every row. */
  all(memory: PackMemory): Promise<Found<readonly unknown[]>>
  lastKey(): Promise<RowKey | undefined>
  /** What readers ask. `undefined` for how many rows there are in all, which the state says, unless `counting`. */
  ask(query: Query, counting: boolean): Promise<unknown>
  /**
   * The changes of a commit, in the order of their keys. `packs`: as they are if the transaction finds the state that
   * it expects.
   */
  writes(changes: readonly RowChange[], packs: TablePacks | undefined): TableWrites
}

/** The changes of one table, to be handed to the storage. */
export interface TableWrites {
  /** How much work that is for the main thread, in rows; `Infinity` if something has to be read first. */
  readonly effort: number
  /** How many more rows the table has, if those are counted. */
  readonly added: number
  /**
   * Hands everything to the storage. With `slices` the page can paint and handle input in between. `shows` rejects if
   * the storage returns nothing for what is there: packs that it does not show would be overwritten.
   */
  run(shows: () => Promise<unknown>, slices?: Slices): Promise<void>
  /** What is known of the packs once this is committed. */
  packs(): TablePacks | undefined
}
