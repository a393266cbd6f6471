/** A library that syncs, of another make: what tidemark is compared with where devices share a log. */
import type { Device } from './device.js'
import type { Customer, NewDeposit } from './workload.js'

export interface SyncPeer {
  readonly name: string
  /** As a part of an address and of the name of a database. */
  readonly room: string
  /** Opens a device that replicates all the time; `shown` is called as for `openDevice`. Its rows are in memory only. */
  openDevice(server: string, name: string, customer: string, shown: (row: Customer) => void): Promise<Device>
  /** Fetches everything that the server has, and folds it in memory. All of it is under the clock. */
  fetch(server: string, name: string): Promise<Fetched>
  /** Stores events on a device. `send` sends them, and is what is under the clock. */
  offline(server: string, name: string, deposits: readonly NewDeposit[]): Promise<Offline>
}

export interface Fetched {
  readonly rows: readonly Customer[]
  destroy(): Promise<void>
}

export interface Offline {
  send(): Promise<void>
  destroy(): Promise<void>
}
