/**
 * What a commit changed in the rows that readers see, as far as it is known: which rows, and where they are in every
 * index now. Pure.
 */
import { indexKeysOf } from './index-keys.js'
import { copyOfKey, isIndexKey, isRowKey, mapKeyOf, type IndexKey, type MapKey, type RowKey } from './keys.js'
import { bytesOf, tagOf } from './kinds.js'
import type { RowChanges } from './state.js'
import type { Tables } from './define.js'
import { isObject } from '../platform/objects.js'

/** A row that was stored or deleted. */
export interface RowChange {
  readonly key: RowKey
  /**
   * The keys under which each index has the row now, by the name of the index; an index that lacks the row is not
   * named. Several keys only where the index has one for each entry of a list. Absent: the row was deleted.
   */
  readonly keys?: ReadonlyMap<string, readonly IndexKey[]>
}

/** `'unknown'`: any row of the table may be another one. */
export type TableChanges = readonly RowChange[] | 'unknown'

/** The tables that changed, by name; `'unknown'`: any row of any table may be another one. */
export type Changes = ReadonlyMap<string, TableChanges> | 'unknown'

/** How many rows are named within one context … */
const rowsHere = 1024
/** … and how many in a message to other contexts: each costs them and this one a copy. */
const rowsElsewhere = 64
/** Index keys for each row that may be named, on average: an index may have one for each entry of a list. */
const keysForEach = 16
/** The longest key that is named, in characters, bytes and parts together. */
const longestKey = 1000
/** Tables in a message. */
const mostTables = 1000

/** How much more may be named. */
class Budget {
  rows: number
  keys: number

  constructor(rows: number) {
    this.rows = rows
    this.keys = rows * keysForEach
  }

  /** Takes a table's share; false, and nothing is taken, if it is too much. */
  take(rows: readonly RowChange[]): boolean {
    if (rows.length > this.rows) return false
    let keys = 0
    for (const row of rows) for (const list of row.keys?.values() ?? []) keys += list.length
    if (keys > this.keys) return false
    this.rows -= rows.length
    this.keys -= keys
    return true
  }
}

/**
 * What a commit changed, found when a reader asks: most commits have no reader, and finding it takes half as long as a
 * fold. `most`: of how many rows. No other context can send a function.
 */
export type LazyChanges = (most: number) => Changes

/** What the rows of a commit change. Rows beyond what is asked for cost a look at their number. */
export function changesOf(tables: Tables, rows: RowChanges): LazyChanges {
  let here: Changes | undefined
  return (most) => (most === rowsHere ? (here ??= named(tables, rows, most)) : named(tables, rows, most))
}

function named(tables: Tables, rows: RowChanges, most: number): Changes {
  const changes = new Map<string, TableChanges>()
  const budget = new Budget(most)
  for (const [table, entries] of rows) {
    const found =
      entries.size > budget.rows
        ? undefined
        : tableChanges((tables[table] ?? {}) as Parameters<typeof indexKeysOf>[0], entries.values())
    changes.set(table, found !== undefined && budget.take(found) ? found : 'unknown')
  }
  return changes
}

function tableChanges(
  table: Parameters<typeof indexKeysOf>[0],
  entries: Iterable<{ readonly key: RowKey; readonly row: unknown }>,
): readonly RowChange[] | undefined {
  const changes: RowChange[] = []
  for (const { key, row } of entries) {
    if (sizeOf(key) > longestKey) return undefined
    if (row === null) {
      changes.push({ key })
      continue
    }
    const keys = new Map<string, readonly IndexKey[]>()
    for (const [index, list] of indexKeysOf(table, row)) {
      for (const one of list) if (sizeOf(one) > longestKey) return undefined
      // Copies: rows may hold bytes that are a part of a large buffer.
      keys.set(index, list.map(copyOfKey))
    }
    changes.push({ key, keys })
  }
  return changes
}

/** Lists within lists: as deep as one may be that is a key. */
const deepest = 63

/** About how much there is in a key. Ends where it is too much, also for a list that contains itself. */
function sizeOf(key: unknown, depth = 0): number {
  if (typeof key === 'string') return key.length
  if (!isObject(key)) return 1
  if (!Array.isArray(key)) return bytesOf(key)?.length ?? 1
  let size = depth < deepest ? key.length : Infinity
  for (const part of key) {
    if (size > longestKey) break
    size += sizeOf(part, depth + 1)
  }
  return size
}

/**
 * What one commit and the next one changed, together; of a row that both changed, what the later one made of it. As
 * much as fits in a message to other contexts.
 */
export function joined(before: Changes | undefined, made: Changes | LazyChanges): Changes {
  const after = typeof made === 'function' ? made(rowsElsewhere) : made
  if (before === 'unknown' || after === 'unknown') return 'unknown'
  const tables = new Map<string, TableChanges>()
  const budget = new Budget(rowsElsewhere)
  for (const table of new Set([...(before?.keys() ?? []), ...after.keys()])) {
    const rows = joinedRows(before?.get(table) ?? [], after.get(table) ?? [])
    tables.set(table, rows !== 'unknown' && budget.take(rows) ? rows : 'unknown')
  }
  return tables
}

function joinedRows(before: TableChanges, after: TableChanges): TableChanges {
  if (before === 'unknown' || after === 'unknown') return 'unknown'
  if (before.length === 0) return after
  if (before.length + after.length > 2 * rowsElsewhere) return 'unknown'
  const rows = new Map<MapKey, RowChange>()
  for (const change of [...before, ...after]) rows.set(mapKeyOf(change.key), change)
  return [...rows.values()]
}

/**
 * Changes as they arrived: any script of the origin can post some. If anything is wrong with them they are `'unknown'`.
 */
export function checkedChanges(posted: unknown): Changes {
  if (typeof posted === 'function') return (posted as LazyChanges)(rowsHere)
  if (!isMap(posted)) return 'unknown'
  if (posted.size > mostTables) return 'unknown'
  const budget = new Budget(rowsElsewhere)
  for (const [table, rows] of posted) {
    if (typeof table !== 'string') return 'unknown'
    if (rows === 'unknown') continue
    if (!Array.isArray(rows) || rows.length > budget.rows) return 'unknown'
    // Not with `every`, which does not look at holes.
    for (const row of rows as unknown[]) if (!isRowChange(row)) return 'unknown'
    if (!budget.take(rows as RowChange[])) return 'unknown'
  }
  return posted as Changes
}

const isMap = (posted: unknown): posted is Map<unknown, unknown> => isObject(posted) && tagOf(posted) === '[object Map]'

function isRowChange(posted: unknown): posted is RowChange {
  if (!isObject(posted)) return false
  const { key, keys } = posted as { readonly key?: unknown; readonly keys?: unknown }
  if (!isRowKey(key) || sizeOf(key) > longestKey) return false
  if (keys === undefined) return true
  if (!isMap(keys)) return false
  for (const [index, list] of keys) {
    if (typeof index !== 'string' || !Array.isArray(list) || list.length === 0) return false
    for (const each of list) if (sizeOf(each) > longestKey || !isIndexKey(each)) return false
  }
  return true
}
