/** What the database of a read model is made of. */
import { say } from '../../messages.js'
import { indexNames } from '../../platform/indexeddb.js'
import type { Tables } from '../define.js'
import type { Slot } from '../state.js'

export const stateStore = 'tidemark:state'
/** The object stores of both slots exist from the first day, so that the database never needs an upgrade, which an old tab could block. */
export const rowStore = (slot: Slot, table: string): string => (slot === 0 ? table : `tidemark:other:${table}`)
export const letterStore = (slot: Slot): string => (slot === 0 ? 'tidemark:letters' : 'tidemark:other-letters')
export const slots: readonly Slot[] = [0, 1]

/** What of it is not there: `object store 'sums'`, `index 'byTotal' of 'sums'`. */
export function missingParts(database: IDBDatabase, tables: Tables): string[] {
  const names = database.objectStoreNames
  const missing: string[] = []
  const check = (name: string, indexes: readonly string[] = []) => {
    if (!names.contains(name)) return void missing.push(say`object store '${name}'`)
    if (indexes.length === 0) return
    const there = indexNames(database, name)
    for (const index of indexes) if (!there.includes(index)) missing.push(say`index '${index}' of '${name}'`)
  }
  check(stateStore)
  for (const slot of slots) {
    for (const [name, { indexes = {} }] of Object.entries(tables)) check(rowStore(slot, name), Object.keys(indexes))
    check(letterStore(slot))
  }
  return missing
}
