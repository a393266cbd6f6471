/** The folds of a definition: which row an event touches, and what becomes of it. */
import { InvalidArgumentError } from '../../errors.js'
import { say } from '../../messages.js'
import type { EventShape, RecordedEvent } from '../../events/event.js'
import { isRefusedPromise } from '../../platform/promises.js'
import type { Projection, TableFold } from '../define.js'
import { mapKeyOf, type MapKey, type RowKey } from '../keys.js'
import { handedOut, type Entry } from './rows.js'
import type { TableWork } from './table-work.js'

export interface Fold<E extends EventShape> {
  readonly table: string
  readonly key: TableFold<E, unknown>['key']
  readonly evolve: TableFold<E, unknown>['evolve']
  /** What messages call its key. */
  readonly label: string
}

export const foldsOf = <E extends EventShape>(definition: Projection<E>): readonly Fold<E>[] =>
  (Object.entries(definition.fold) as unknown as (readonly [string, TableFold<E, unknown>])[]).map(([table, fold]) => ({
    table,
    key: (event) => notLate(fold.key(event)),
    evolve: (row, event) => fold.evolve(row, event),
    label: say`The key of fold '${table}'`,
  }))

/** The keys that the folds of these events touch and that only the storage knows. */
export function unknownKeys<E extends EventShape>(
  table: TableWork,
  fold: Fold<E>,
  events: readonly RecordedEvent<E>[],
): RowKey[] {
  const keys = new Map<MapKey, RowKey>()
  for (const event of events) {
    let key: RowKey | undefined
    try {
      key = fold.key(event)
      if (key === undefined) continue
      table.assertKey(key, fold.label)
    } catch {
      // The event fails when its turn comes, and then its policy is asked.
      continue
    }
    if (table.needs(key)) keys.set(mapKeyOf(key), key)
  }
  return [...keys.values()]
}

/** A promise is refused as a key; its rejection must not come up as unhandled. */
const notLate = <T>(key: T): T => (isRefusedPromise(key), key)

export function evolve<E extends EventShape>(
  table: TableWork,
  fold: Fold<E>,
  key: RowKey,
  entry: Entry,
  event: RecordedEvent<E>,
): void {
  const before = handedOut(entry)
  const after = fold.evolve(before, event)
  if (after === before && after !== undefined && entry.copied !== true) return
  if (after === null) {
    if (before !== undefined) table.remove(key)
    return
  }
  if (isRefusedPromise(after)) {
    throw new InvalidArgumentError(
      `fold.${fold.table}.evolve`,
      say`returned a promise. It must return the row; await things in a handler of \`on\`.`,
    )
  }
  const row = table.checked(after)
  if (mapKeyOf(table.keyOf(row)) !== mapKeyOf(key))
    throw new InvalidArgumentError(`fold.${fold.table}.evolve`, say`returned a row with another key than 'key' did.`)
  table.stage(key, row as object)
}
