/** The stored rows, compared with those that the events make. */
import { describeKey } from '../errors.js'
import { say } from '../messages.js'
import { nextTask } from '../platform/tasks.js'
import type { Projection } from '../read-model/define.js'
import { sameStored } from '../read-model/equal.js'
import { atKeyPath, compareKeys, mapKeyOf, type MapKey, type RowKey } from '../read-model/keys.js'
import { countedRows } from '../read-model/row-counts.js'
import type { StateRow } from '../read-model/state.js'
import type { Findings } from './read-model-defects.js'
import type { Snapshot } from './snapshot.js'

/** How many rows are compared in one task. */
const rowsPerTurn = 500

/** Compares row by row. Returns how many stored rows there are. */
export async function compareRows(
  definition: Projection,
  snapshot: Snapshot,
  folded: ReadonlyMap<string, readonly unknown[]>,
  found: Findings,
  signal: AbortSignal | undefined,
): Promise<number> {
  let compared = 0
  for (const [table, { key: name }] of Object.entries(definition.tables)) {
    const stored = snapshot.rows.get(table)
    if (stored === undefined) continue
    const keyOf = (row: unknown) => atKeyPath(row, name)
    const wanted = new Map<MapKey, unknown>(
      (folded.get(table) ?? []).map((row) => [mapKeyOf(keyOf(row) as RowKey), row]),
    )
    const count = snapshot.packed.includes(table) ? countedRows(snapshot.state as StateRow, table) : undefined
    if (count !== undefined && count !== stored.length && count !== wanted.size) {
      found.add({
        kind: 'state',
        table,
        message: say`The state says that table '${table}' has ${count} rows, and there are ${stored.length}.`,
      })
    }
    for (const row of stored) {
      const key = keyOf(row)
      const mapKey = mapKeyOf(key as RowKey)
      const at = { table, key }
      if (!wanted.has(mapKey))
        found.add({
          kind: 'unexpected-row',
          ...at,
          message: say`Table '${table}' has a row ${describeKey(key)} that the events do not make.`,
        })
      else if (!sameStored(wanted.get(mapKey), row))
        found.add({
          kind: 'wrong-row',
          ...at,
          message: say`The row ${describeKey(key)} of table '${table}' is not what the events make of it.`,
        })
      wanted.delete(mapKey)
      compared += 1
      if (compared % rowsPerTurn === 0) {
        await nextTask()
        signal?.throwIfAborted()
      }
    }
    const missing = [...wanted.values()].map(keyOf).sort(compareKeys)
    for (const key of missing)
      found.add({
        kind: 'missing-row',
        table,
        key,
        message: say`Table '${table}' lacks the row ${describeKey(key)} that the events make.`,
      })
  }
  return compared
}
