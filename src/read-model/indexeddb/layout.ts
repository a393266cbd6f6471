/** The object stores that the database of a read model has. */
import { indexNames } from '../../platform/indexeddb.js'
import type { Tables } from '../define.js'
import type { Slot } from '../state.js'
import { say } from '../../messages.js'

export const stateStore = 'tidemark:state'
/**
 * The object stores of both slots are made with the database, so that it never needs an upgrade, which an old tab could
 * block.
 */
export const rowStore = (slot: Slot, table: string): string => (slot === 0 ? table : `tidemark:other:${table}`)
export const letterStore = (slot: Slot): string => (slot === 0 ? 'tidemark:letters' : 'tidemark:other-letters')
export const slots: readonly Slot[] = [0, 1]

/** All of them but {@link stateStore}. */
export const everything = (tables: Tables): string[] =>
  slots.flatMap((slot) => [...Object.keys(tables).map((table) => rowStore(slot, table)), letterStore(slot)])

/** Only a table whose rows are records of their own has a key path. */
export const isPacked = (store: IDBObjectStore): boolean => store.keyPath === null

/** What of it does not exist: `object store 'sums'`, `index 'byTotal' of 'sums'`. */
export function missingParts(database: IDBDatabase, tables: Tables): string[] {
  const names = database.objectStoreNames
  const missing = [stateStore, ...everything(tables)]
    .filter((name) => !names.contains(name))
    .map((name) => say`object store '${name}'`)
  for (const slot of slots) {
    for (const [table, { indexes = {} }] of Object.entries(tables)) {
      const name = rowStore(slot, table)
      const wanted = Object.keys(indexes)
      if (wanted.length === 0 || !names.contains(name)) continue
      const there = indexNames(database, name)
      for (const index of wanted) if (!there.includes(index)) missing.push(say`index '${index}' of '${name}'`)
    }
  }
  return missing
}
