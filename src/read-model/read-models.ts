/** The read models of a store that is not in IndexedDB, as a port: the store brings them along. */
import type { DeadLetterRecord } from '../projection/target.js'
import type { Projection } from './define.js'
import type { StateRow } from './state.js'
import type { ReadModelStorage } from './storage.js'

/** What readers see of a read model at one moment, as it is stored. */
export interface StoredModel {
  readonly state: unknown
  readonly rows: ReadonlyMap<string, readonly unknown[]>
  readonly letters: readonly DeadLetterRecord[]
}

export interface ReadModels {
  /** Opens one, and makes it if there is none. */
  open(definition: Projection, log: string): ReadModelStorage
  /** What readers see; nothing if there is no such read model. Makes and changes nothing. */
  stored(definition: Projection): Promise<StoredModel | undefined>
  /** The state of each, by its key; without one where it is damaged. */
  states(): Promise<readonly (readonly [key: string, state: StateRow | undefined])[]>
  /** Deletes one. No runner continues with what it remembers. */
  remove(key: string): Promise<void>
}
