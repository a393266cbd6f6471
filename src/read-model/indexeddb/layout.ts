/** The object stores that the database of a read model has. */
import { indexNames } from '../../platform/indexeddb.js'
import type { Tables } from '../define.js'
import type { Side } from '../state.js'

export const stateStore = 'tidemark:state'
/** The object stores of both sides are made with the database, so that it never needs an upgrade, which an old tab could block (H40). */
export const rowStore = (side: Side, table: string): string => (side === 0 ? table : `tidemark:other:${table}`)
export const letterStore = (side: Side): string => (side === 0 ? 'tidemark:letters' : 'tidemark:other-letters')
export const sides: readonly Side[] = [0, 1]

/** All of them but {@link stateStore}. */
export const everything = (tables: Tables): string[] =>
  sides.flatMap((side) => [...Object.keys(tables).map((table) => rowStore(side, table)), letterStore(side)])

/** Only a table whose rows are records of their own has a key path. */
export const isPacked = (store: IDBObjectStore): boolean => store.keyPath === null

/** What of it does not exist: `object store 'sums'`, `index 'byTotal' of 'sums'`. */
export function missingParts(database: IDBDatabase, tables: Tables): string[] {
  const names = database.objectStoreNames
  const missing = [stateStore, ...everything(tables)]
    .filter((name) => !names.contains(name))
    .map((name) => `object store '${name}'`)
  for (const side of sides) {
    for (const [table, { indexes = {} }] of Object.entries(tables)) {
      const name = rowStore(side, table)
      const wanted = Object.keys(indexes)
      if (wanted.length === 0 || !names.contains(name)) continue
      const there = indexNames(database, name)
      for (const index of wanted) if (!there.includes(index)) missing.push(`index '${index}' of '${name}'`)
    }
  }
  return missing
}
