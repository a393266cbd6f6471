/** What an answer was made of, and which changes touch it. Pure. */
import type { Changes, RowChange } from '../read-model/changes.js'
import type { Tables } from '../read-model/define.js'
import { indexOptions } from '../read-model/index-keys.js'
import { atKeyPath, mapKeyOf, type MapKey, type RowKey } from '../read-model/keys.js'
import { comparePlaces, placeOf, placeOfRow, type Place, type Selection } from '../read-model/selection.js'
import type { Query } from '../read-model/storage.js'

/** One question, and what of its result decides when the result is another one. */
export interface Read {
  readonly table: string
  /** The rows that were asked for, or found. `undefined`: any row counts. */
  readonly keys: ReadonlySet<MapKey> | undefined
  /** Which other rows count as well. */
  readonly selection?: Selection
  /** The last row, if as many were found as were wanted: rows behind it do not count. */
  readonly last?: Place | undefined
}

/** What a question and its result depend on. */
export function readOf(tables: Tables, table: string, query: Query, value: unknown): Read {
  if (query.kind === 'get') return { table, keys: new Set([mapKeyOf(query.key)]) }
  if (query.kind === 'many') return { table, keys: new Set(query.keys.map(mapKeyOf)) }
  if (query.kind === 'count') return { table, keys: undefined }
  const definition = tables[table] as Tables[string]
  const { options: selection } = query
  const rows = value as readonly unknown[]
  const keyOf = (row: unknown) => atKeyPath(row, definition.key) as RowKey
  const index = selection.index === undefined ? undefined : definition.indexes?.[selection.index]
  // Of several keys of a row it is not known which one the window came to.
  const isFull = rows.length === selection.limit && !(index !== undefined && indexOptions(index).multiEntry === true)
  return {
    table,
    keys: new Set(rows.map((row) => mapKeyOf(keyOf(row)))),
    selection,
    last: isFull ? placeOfRow(selection, definition, keyOf(rows.at(-1)), rows.at(-1)) : undefined,
  }
}

/** Whether the result of a question may be another one after these changes. */
export function touches({ table, keys, selection, last }: Read, changes: Changes): boolean {
  if (changes === 'unknown') return true
  const rows = changes.get(table)
  if (rows === undefined || rows === 'unknown') return rows !== undefined
  if (keys === undefined) return rows.length > 0
  return rows.some((row) => keys.has(mapKeyOf(row.key)) || (selection !== undefined && enters(row, selection, last)))
}

/** Whether a row that was not found would be now. */
function enters({ key, keys }: RowChange, selection: Selection, last: Place | undefined): boolean {
  // It was deleted.
  if (keys === undefined) return false
  const at = selection.index === undefined ? [key] : (keys.get(selection.index) ?? [])
  const place = placeOf(selection, at, key)
  return place !== undefined && (last === undefined || comparePlaces(selection, place, last) < 0)
}
