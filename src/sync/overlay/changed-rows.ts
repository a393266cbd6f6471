/** What readers see otherwise after other rows are laid over the stored ones. */
import type { Clock } from '../../platform/clock.js'
import { Slices } from '../../platform/slices.js'
import { equal } from '../../read-model/equal.js'
import type { RowKey } from '../../read-model/keys.js'
import type { Entry } from '../../read-model/unit-of-work/rows.js'
import type { KnownRows, LaidRows } from './merged.js'
import type { StoredRow } from './overlay-changes.js'

/** The changed rows by table, each as it is seen now; `'unknown'`: any row of the table. */
export type ChangedRows = ReadonlyMap<string, readonly StoredRow[] | 'unknown'>

/** The most rows of a table that are read because they are not laid over any more. If there are more, any may have changed. */
const mostGone = 256

/** How many rows are compared between two looks at the time. */
const comparedTogether = 64

/**
 * @param before the rows that were laid over
 * @param now the rows that are laid over from now on
 * @param known stored rows
 * @param read reads other stored rows of a table
 */
export async function changedRows(
  before: LaidRows,
  now: LaidRows,
  known: KnownRows,
  clock: Clock,
  read: (table: string, keys: readonly RowKey[]) => Promise<readonly unknown[]>,
): Promise<ChangedRows> {
  const slices = new Slices(() => clock.monotonic())
  const all = new Map<string, readonly StoredRow[] | 'unknown'>()
  for (const table of new Set([...before.keys(), ...now.keys()])) {
    const [was, is, stored] = [before.get(table), now.get(table), known.get(table)]
    const changed: StoredRow[] = []
    let compared = 0
    for (const [mapKey, entry] of is ?? []) {
      if (!isSame(was?.get(mapKey), entry)) changed.push(entry)
      if ((compared += 1) % comparedTogether === 0) await slices.turn()
    }
    // A row that is not laid over any more is seen as it is stored.
    const missing: RowKey[] = []
    for (const [mapKey, { key }] of was ?? []) {
      if (is?.has(mapKey) === true) continue
      if (stored?.has(mapKey) === true) changed.push({ key, row: stored.get(mapKey) })
      else missing.push(key)
    }
    if (missing.length > mostGone) {
      all.set(table, 'unknown')
      continue
    }
    if (missing.length > 0) {
      const found = await read(table, missing)
      changed.push(...missing.map((key, at) => ({ key, row: found[at] })))
    }
    if (changed.length > 0) all.set(table, changed)
  }
  return all
}

const isSame = (before: Entry | undefined, now: Entry): boolean =>
  before === now || (before !== undefined && equal(before.row, now.row))
