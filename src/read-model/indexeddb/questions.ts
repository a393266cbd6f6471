/** What is asked of the tables of a read model: all values are of one moment. */
import { requested } from '../../platform/indexeddb.js'
import { readsBackwards } from '../../platform/engine-quirks.js'
import type { DeadLetterRecord } from '../../projection/target.js'
import { countedRows } from '../row-counts.js'
import type { Slot, StateRow } from '../state.js'
import type { Answers, Query, TableQuery } from '../storage.js'
import type { ReadModelDatabase } from './database.js'
import { letterStore, rowStore } from './layout.js'
import { nativeRange } from './native-range.js'
import { hasEntries } from './records.js'
import { say } from '../../messages.js'

type Turns = 'one' | 'several'

/**
 * What is asked, of one moment.
 *
 * @param slot by default the one that readers see
 * @param counting counts the rows of packed tables: the state does not say how many there are
 */
export async function askRows(
  database: ReadModelDatabase,
  asked: readonly TableQuery[],
  slot?: Slot,
  counting = false,
): Promise<Answers> {
  const turns = asked.some(({ table, query }) => needsSeveralTurns(query, database, table, counting))
  const { state, values } = await shownRows(
    database,
    say`reading '${asked[0]?.table}'`,
    (slot) => asked.map(({ table }) => rowStore(slot, table)),
    (transaction, slot) =>
      Promise.all(asked.map(({ table, query }) => database.table(transaction, slot, table).ask(query, counting))),
    turns ? 'several' : 'one',
    slot,
  )
  let uncounted = false
  const all = values.map((value, at) => {
    const { table, query } = asked[at] as TableQuery
    if (query.kind !== 'count' || value !== undefined) return value
    const count = countedRows(state, table)
    uncounted ||= count === undefined
    return count
  })
  return uncounted ? askRows(database, asked, slot, true) : { values: all, state }
}

/** Dead letters after a position, in order; by default of the slot that readers see. */
export async function lettersAfter(
  database: ReadModelDatabase,
  after: number,
  limit: number,
  slot?: Slot,
): Promise<DeadLetterRecord[]> {
  if (limit === 0) return []
  const { values } = await shownRows(
    database,
    say`reading dead letters of '${database.key}'`,
    (slot) => [letterStore(slot)],
    (transaction, slot) =>
      requested(transaction.objectStore(letterStore(slot)).getAll(IDBKeyRange.lowerBound(after, true), limit)),
    'one',
    slot,
  )
  return values as DeadLetterRecord[]
}

/**
 * A cursor needs this page for every record, a limit counts rows and neither packs nor entries of an index, and rows of
 * packs are counted in parts.
 */
function needsSeveralTurns(query: Query, database: ReadModelDatabase, table: string, counting: boolean): boolean {
  if (query.kind === 'get' || query.kind === 'many') return false
  const { direction, limit = Infinity, ranges, after, index } = query.options
  const isPackable = database.packable.includes(table)
  const hasBounds = (ranges ?? []).some((range) => nativeRange(range) !== null)
  if (query.kind === 'count') return isPackable && (counting || hasBounds)
  if ((direction === 'prev' && !readsBackwards()) || after !== undefined) return true
  const mayGoOn = (ranges?.length ?? 1) > 1 || hasEntries(database.definition.tables[table], index)
  return limit !== Infinity && (isPackable || mayGoOn)
}

/**
 * Reads the state and, in the same transaction, what `work` reads of the slot that readers see. Which slot that is, is only
 * known once the state is there: if a rebuild was completed since the last time, all of it is read again.
 *
 * @param fixed a slot to be read in any case
 */
async function shownRows(
  database: ReadModelDatabase,
  what: string,
  storesOf: (slot: Slot) => readonly string[],
  work: (transaction: IDBTransaction, slot: Slot) => Promise<unknown[]>,
  turns: Turns,
  fixed?: Slot,
): Promise<{ values: unknown[]; state: StateRow }> {
  for (;;) {
    const slot = fixed ?? database.shown
    const [state, values] = await database.read(
      what,
      storesOf(slot),
      (transaction) => Promise.all([database.state(transaction), work(transaction, slot)]),
      turns,
    )
    if (state.shown === slot || fixed !== undefined) return { values, state }
    database.shown = state.shown
  }
}
