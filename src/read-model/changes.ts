/**
 * What a commit changed in the rows that readers see, as far as it is known: which rows, and where they are in every
 * index now. Pure.
 */
import type { IndexKey, RowKey } from './keys.js'

/** A row that was stored or deleted. */
export interface RowChange {
  readonly key: RowKey
  /**
   * The keys under which each index has the row now, by the name of the index; an index that lacks the row is not
   * named. Several keys only where the index has one for each entry of a list. Absent: the row was deleted.
   */
  readonly keys?: { readonly [index: string]: readonly IndexKey[] }
}

/** `'unknown'`: any row of the table may be another one. */
export type TableChanges = readonly RowChange[] | 'unknown'

/** The tables that changed, by name; `'unknown'`: any row of any table may be another one. */
export type Changes = ReadonlyMap<string, TableChanges> | 'unknown'
