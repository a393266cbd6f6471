/** A read model as it is stored at one moment, whatever is wrong with it. */

/** What readers see of a read model at one moment. It may have been edited. */
export interface Snapshot {
  /** Object stores and indexes that do not exist. */
  readonly missing: readonly string[]
  /** What is wrong with the packs of its tables. */
  readonly misplaced: readonly { readonly table: string; readonly message: string }[]
  /** The tables whose rows lie in packs. */
  readonly packed: readonly string[]
  readonly state: unknown
  /** By table; a table whose object store is missing is not in it. */
  readonly rows: ReadonlyMap<string, readonly unknown[]>
  readonly letters: readonly unknown[]
}
