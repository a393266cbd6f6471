/** How many rows the packed tables hold: part of the state and kept by every commit, so that counting reads no rows. */
import { stampOf, type Slot, type StateRow, type Transition } from './state.js'

/** By table; one that is not named is empty. */
type Counts = { readonly [table: string]: number }

export interface RowCounts {
  /** The state that this is true of. A tidemark that does not know of counts moves on without them. */
  readonly of: string
  /** A slot is missing if its rows were not counted from the first one on. */
  readonly sides: { readonly [S in Slot]?: Counts }
}

/** Nothing where somebody edited them, so that they cannot be counts. */
function countsOf(state: StateRow, slot: Slot): Counts | undefined {
  const counts: unknown = state.counts?.of === stampOf(state) ? state.counts.sides?.[slot] : undefined
  if (typeof counts !== 'object' || counts === null || Array.isArray(counts)) return undefined
  return Object.values(counts).every((count) => Number.isSafeInteger(count) && (count as number) >= 0)
    ? (counts as Counts)
    : undefined
}

/** How many rows of a packed table readers see; nothing where only its packs can tell. */
export function countedRows(state: StateRow, table: string): number | undefined {
  const counts = countsOf(state, state.shown)
  return counts === undefined ? undefined : Object.hasOwn(counts, table) ? counts[table] : 0
}

/** What becomes of the rows in a transaction. */
export interface RowsMoved {
  readonly slot: Slot
  /** How many rows more a table of the slot holds. */
  readonly added: Iterable<readonly [table: string, rows: number]>
}

/** The state after a transition, with its counts. `countable`: every table that may be packed is. */
export function counted(
  before: StateRow,
  { after, clear }: Transition,
  countable: boolean,
  moved?: RowsMoved,
): StateRow {
  const { counts: _, ...state } = after
  const sides: { [S in Slot]?: Counts } = {}
  for (const slot of [0, 1] as const) {
    const known = clear.includes(slot) && countable ? {} : clear.includes(slot) ? undefined : countsOf(before, slot)
    if (known === undefined) continue
    const counts: { [table: string]: number } = { ...known }
    if (moved?.slot === slot)
      for (const [table, rows] of moved.added)
        counts[table] = (Object.hasOwn(counts, table) ? (counts[table] as number) : 0) + rows
    sides[slot] = counts
  }
  return sides[0] === undefined && sides[1] === undefined ? state : { ...state, counts: { of: stampOf(state), sides } }
}
