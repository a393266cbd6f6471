/** What the database of a read model is made of. */
import { indexNames } from '../../platform/indexeddb.js'
import type { Tables } from '../define.js'
import type { Side } from '../state.js'

export const stateStore = 'tidemark:state'
/** The object stores of both sides exist from the first day, so that the database never needs an upgrade, which an old tab could block (H40). */
export const rowStore = (side: Side, table: string): string => (side === 0 ? table : `tidemark:other:${table}`)
export const letterStore = (side: Side): string => (side === 0 ? 'tidemark:letters' : 'tidemark:other-letters')
export const sides: readonly Side[] = [0, 1]

/** What of it is not there: `object store 'sums'`, `index 'byTotal' of 'sums'`. */
export function missingParts(database: IDBDatabase, tables: Tables): string[] {
  const names = database.objectStoreNames
  const missing: string[] = []
  const look = (name: string, indexes: readonly string[] = []) => {
    if (!names.contains(name)) return void missing.push(`object store '${name}'`)
    if (indexes.length === 0) return
    const there = indexNames(database, name)
    for (const index of indexes) if (!there.includes(index)) missing.push(`index '${index}' of '${name}'`)
  }
  look(stateStore)
  for (const side of sides) {
    for (const [name, { indexes = {} }] of Object.entries(tables)) look(rowStore(side, name), Object.keys(indexes))
    look(letterStore(side))
  }
  return missing
}
