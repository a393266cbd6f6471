/** What a read model needs of the place that its rows are in. IndexedDB and memory offer it. */
import type { OpenOptions } from '../platform/opening-tries.js'
import type { DeadLetterRecord, FaultOutcome, StoredFault } from '../projection/target.js'
import type { KeyRange, RowKey } from './keys.js'
import type { Commit, RowChanges, RowsRead, Slot, StateRow, TakeOver } from './state.js'

/** Which rows, and in what order. */
export interface QueryOptions<Index extends string = string> {
  /** @default the key of the table */
  readonly index?: Index
  /** A span (an `IDBKeyRange`, or `{ lower, upper, lowerOpen, upperOpen }`) or a single key. Anything else is refused. @default every row */
  readonly range?: IDBKeyRange | KeyRange | IDBValidKey
  /** @default 'next' */
  readonly direction?: 'next' | 'prev'
  /** The most rows: a whole number of any size, or `Infinity`. @default Infinity */
  readonly limit?: number
}

/** The same, checked. */
export interface Selection {
  readonly index?: string | undefined
  /** @default every key */
  readonly range?: KeyRange
  /** @default 'next' */
  readonly direction?: 'next' | 'prev' | undefined
  /** Below 2 ** 32, or `Infinity`. @default Infinity */
  readonly limit?: number
}

/** One question to a table. */
export type Query =
  | { readonly kind: 'get'; readonly key: RowKey }
  | { readonly kind: 'all'; readonly options: Selection }
  | { readonly kind: 'count'; readonly options: Selection }

/** A question, and the table that it is put to. */
export interface TableQuery {
  readonly table: string
  readonly query: Query
}

/** An answer, and the state that it was read in: both in one transaction. */
export interface Answer {
  readonly value: unknown
  readonly state: StateRow
}

/** The rows, letters and state of one projection version. Every method is one transaction, or none. */
export interface ReadModelStorage {
  /** Resolves once rows can be asked for. */
  open(how?: OpenOptions): Promise<unknown>
  state(): Promise<StateRow>
  /** See `takeOver`. */
  begin(how: TakeOver): Promise<StateRow>
  /** See `tried`. */
  tries(from: StateRow, position?: number): Promise<StateRow>
  /** See `committed`. */
  commit(change: Commit): Promise<StateRow>
  /** See `replayed`; the rows are those that readers see. */
  replay(from: StateRow, read: RowsRead, rows: RowChanges, letter: number): Promise<void>
  /** See `rebuildStarted`. */
  rebuild(): Promise<void>
  /** See `faulted`. */
  fault(from: StateRow, fault: StoredFault, survived?: number): Promise<FaultOutcome>
  /** See `skipped`. */
  skip(position: number): Promise<void>
  setPaused(paused: boolean): Promise<void>
  /** A row of a slot, for a runner. */
  row(slot: Slot, table: string, key: RowKey): Promise<unknown>
  /** Several of them, in the order of the keys. */
  rows(slot: Slot, table: string, keys: readonly RowKey[]): Promise<unknown[]>
  /** All rows of a table, or nothing if there are more than so many. */
  wholeTable(slot: Slot, table: string, most: number): Promise<unknown[] | undefined>
  /** The last key of a table, if there is any. */
  lastKey(slot: Slot, table: string): Promise<RowKey | undefined>
  /** Asks a table that readers see. */
  query(table: string, query: Query): Promise<Answer>
  /** Asks several things at one moment: the values in their order, and one state. */
  queries(asked: readonly TableQuery[]): Promise<{ readonly values: readonly unknown[]; readonly state: StateRow }>
  letters(after: number, limit: number): Promise<DeadLetterRecord[]>
  /** The streams that letters of a slot hold. */
  blockedStreams(slot: Slot): Promise<ReadonlySet<string>>
  discardLetter(position: number): Promise<void>
  close(): void
}
