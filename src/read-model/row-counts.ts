/**
 * How many rows the packed tables have: part of the state and kept by every commit, so that counting reads no rows.
 * Pure.
 */
import { stampOf, type Slot, type StateRow, type TableCounts, type Transition } from './state.js'
import { isObject } from '../platform/objects.js'

/** Nothing if they were edited and cannot be counts. */
function countsOf(state: StateRow, slot: Slot): TableCounts | undefined {
  const counts: unknown = state.counts?.of === stampOf(state) ? state.counts.sides?.[slot] : undefined
  if (!isObject(counts) || Array.isArray(counts)) return undefined
  return Object.values(counts).every((count) => Number.isSafeInteger(count) && (count as number) >= 0)
    ? (counts as TableCounts)
    : undefined
}

const countIn = (counts: TableCounts, table: string): number =>
  Object.hasOwn(counts, table) ? (counts[table] as number) : 0

/** How many rows of a packed table readers see; nothing where only its packs can tell. */
export function countedRows(state: StateRow, table: string): number | undefined {
  const counts = countsOf(state, state.shown)
  return counts && countIn(counts, table)
}

/** What becomes of the rows in a transaction. */
export interface RowsMoved {
  readonly slot: Slot
  /** How many rows more a table of the slot has. */
  readonly added: Iterable<readonly [table: string, rows: number]>
}

/** The state after a transition, with its counts. `countable`: every table that may be packed is. */
export function counted(
  before: StateRow,
  { after, clear = [] }: Transition,
  countable: boolean,
  moved?: RowsMoved,
): StateRow {
  const { counts: _, ...state } = after
  const sides: { [S in Slot]?: TableCounts } = {}
  for (const slot of [0, 1] as const) {
    const known = !clear.includes(slot) ? countsOf(before, slot) : countable ? {} : undefined
    if (known === undefined) continue
    // No assignments to an object: a table may be called `__proto__` (H48).
    const counts = new Map(Object.entries(known))
    if (moved?.slot === slot)
      for (const [table, rows] of moved.added) counts.set(table, (counts.get(table) ?? 0) + rows)
    sides[slot] = Object.fromEntries(counts)
  }
  return (sides[0] ?? sides[1]) ? { ...state, counts: { of: stampOf(state), sides } } : state
}
