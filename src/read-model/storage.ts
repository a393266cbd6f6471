/** The storage of a read model, as a port. IndexedDB and memory implement it. */
import type { OpenOptions } from '../platform/opening-tries.js'
import type { DeadLetterRecord } from '../projection/target.js'
import type { Replay } from './dead-letters.js'
import type { RowKey } from './keys.js'
import type { Selection, TableQuery } from './selection.js'
import type { Commit, Slot, StateRow, Transition } from './state.js'

export type { Query, TableQuery } from './selection.js'

/** Values that were read in one transaction, and the state that they belong to. */
export interface Answers {
  /** In the order of the questions. */
  readonly values: readonly unknown[]
  readonly state: StateRow
}

/** One of them. */
export interface Answer {
  readonly value: unknown
  readonly state: StateRow
}

/** What a transaction made of the state. */
export interface Moved {
  readonly before: StateRow
  readonly after: StateRow
}

/** The rows of tables as a run reads them, without knowing which slot they are on. */
export interface RowSource {
  /** Rows by their keys, in the order of the keys; `undefined` for one that is not there. */
  rows(table: string, keys: readonly RowKey[]): Promise<readonly unknown[]>
  /** All rows of a table, or `undefined` if there are more than `most`. */
  wholeTable(table: string, most: number): Promise<readonly unknown[] | undefined>
  /** The last key of a table; `undefined` if the table is empty. */
  lastKey(table: string): Promise<RowKey | undefined>
  /** The rows that a selection finds, in its order. */
  select(table: string, selection: Selection): Promise<readonly unknown[]>
  /** See {@link ReadModelStorage.assertKeeps}. */
  readonly assertKeeps?: ReadModelStorage['assertKeeps'] | undefined
}

/** The rows of one slot. */
export const rowSource = (storage: ReadModelStorage, slot: Slot): RowSource => ({
  rows: (table, keys) => storage.rows(slot, table, keys),
  wholeTable: (table, most) => storage.wholeTable(slot, table, most),
  lastKey: (table) => storage.lastKey(slot, table),
  select: async (table, options) =>
    (await storage.queries([{ table, query: { kind: 'all', options } }], slot)).values[0] as readonly unknown[],
  assertKeeps: storage.assertKeeps,
})

/**
 * The rows, dead letters and state of one projection version. Every method that changes something is one transaction.
 */
export interface ReadModelStorage {
  /** The id of the log that its rows are folded from. */
  readonly log: string
  /** Resolves once rows can be read. */
  open(how?: OpenOptions): Promise<unknown>
  close(): void
  state(): Promise<StateRow>
  /**
   * Stores the state that `change`, a rule of `state.ts`, makes of the stored one, and empties the slots that it names.
   * Rejects with what `change` throws, and stores nothing then. `change` may be called more than once. `what` is for
   * messages: 'pausing'.
   */
  move(what: string, change: (before: StateRow) => Transition): Promise<Moved>
  /** Stores rows, dead letters and the checkpoint together: see `committed`. */
  commit(change: Commit): Promise<Moved>
  /** Removes a dead letter that readers see: see `letterRemoved`. */
  removeDeadLetter(position: number, replay?: Replay): Promise<Moved>
  /** The events that earlier versions left out by hand. Rejects if one of them cannot be read. */
  leftOutBefore(): Promise<readonly number[]>
  /** See {@link RowSource}. */
  rows(slot: Slot, table: string, keys: readonly RowKey[]): Promise<readonly unknown[]>
  wholeTable(slot: Slot, table: string, most: number): Promise<readonly unknown[] | undefined>
  lastKey(slot: Slot, table: string): Promise<RowKey | undefined>
  /** What is asked, all of it at one moment. @param slot by default the one that readers see */
  queries(asked: readonly TableQuery[], slot?: Slot): Promise<Answers>
  /** Dead letters after a position, in order. @param slot by default the one that readers see */
  letters(after: number, limit: number, slot?: Slot): Promise<DeadLetterRecord[]>
  /**
   * Throws an InvalidArgumentError for a row that this storage cannot keep. Called for each row that is put, so that the
   * event fails, and not the commit. Needs no `this`. @default it keeps what structured clone copies
   */
  readonly assertKeeps?: ((table: string, key: RowKey, row: object) => void) | undefined
}
