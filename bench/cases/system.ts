/** A log with its read model, of whatever make: what tidemark, its peers and IndexedDB by hand are compared as. */
import type { Customer, NewDeposit } from './workload.js'

export interface System {
  readonly name: string
  /** Opens a log and its read model, and creates them if there are none. The database names begin with `name`. */
  open(name: string): Promise<SystemStore>
}

export interface SystemStore {
  /** Appends in one commit, and resolves when it is committed. The rows may come later. */
  append(deposits: readonly NewDeposit[]): Promise<void>
  /** Resolves when the rows of everything appended so far are committed. */
  settled(): Promise<void>
  /** The whole read model. */
  rows(): Promise<Customer[]>
  /** How many events the log has. */
  count(): Promise<number>
  close(): Promise<void>
  /** Closes, and deletes everything. */
  destroy(): Promise<void>
}
