/** The rows that a transaction stores. */
import { Slices } from '../../platform/slices.js'
import type { RowChanges } from '../state.js'
import type { RowChange, TablePacks } from './packs.js'
import { inKeyOrder } from './row-order.js'
import type { TableLayout, TableWrites } from './table-layout.js'

/**
 * How many rows are handed to the storage in one turn at most: each takes as much of the main thread as folding some
 * ten events.
 */
const rowsPerTurn = 128

/** Changes of rows by table, each in the order of their keys. */
export type OrderedChanges = ReadonlyMap<string, readonly RowChange[]>

/** Puts changes into the order of their keys. If there are many, the page gets some turns meanwhile. */
export async function ordered(changes: RowChanges): Promise<OrderedChanges> {
  const slices = new Slices()
  const tables = new Map<string, readonly RowChange[]>()
  for (const [table, rows] of changes) tables.set(table, await inKeyOrder(rows.values(), slices))
  return tables
}

/** The rows of one transaction; one that is run again makes another of these. */
export class RowWrites {
  readonly #tables: readonly (readonly [table: string, writes: TableWrites])[]

  /** `remembered`: packs as they are if the transaction finds the state that it expects. */
  constructor(
    changes: OrderedChanges,
    layout: (table: string) => TableLayout,
    remembered: ReadonlyMap<string, TablePacks> = new Map(),
  ) {
    this.#tables = [...changes].map(([table, rows]) => [table, layout(table).writes(rows, remembered.get(table))])
  }

  /**
   * Whether all of it can be handed over in the turn that begins the transaction: nothing has to be read first, and it
   * is not too much.
   */
  fitsInTurn(others: number): boolean {
    return this.#tables.reduce((sum, [, { effort }]) => sum + effort, others) <= rowsPerTurn
  }

  /** See {@link TableWrites.run}. */
  async run(shows: () => Promise<unknown>, slices?: Slices): Promise<void> {
    for (const [, writes] of this.#tables) await writes.run(shows, slices)
  }

  /** What is known of the packs once all of that is committed. */
  packs(): [string, TablePacks][] {
    return this.#tables.flatMap(([table, writes]) => {
      const packs = writes.packs()
      return packs === undefined ? [] : [[table, packs]]
    })
  }

  /** How many more rows each packed table has. */
  added(): (readonly [string, number])[] {
    return this.#tables.map(([table, { added }]) => [table, added] as const).filter(([, added]) => added !== 0)
  }
}
