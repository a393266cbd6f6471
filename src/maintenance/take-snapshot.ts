/** Takes a snapshot of a read model; changes and makes nothing. */
import type { StoreInternals } from '../log/open.js'
import type { Projection } from '../read-model/define.js'
import { broughtReadModels } from '../running/shared-storage.js'
import { snapshotOfDatabase } from './indexeddb/indexeddb-snapshot.js'
import type { Snapshot } from './snapshot.js'

/** Returns `undefined` if there is no such read model (yet). */
export async function takeSnapshot(
  storeName: string,
  parts: StoreInternals,
  definition: Projection,
): Promise<Snapshot | undefined> {
  if (parts.medium === 'indexeddb') return snapshotOfDatabase(storeName, definition)
  const stored = await broughtReadModels(parts).stored(definition)
  if (stored === undefined) return undefined
  // Copies, as from a database: nothing may change them while they are compared.
  const rows = Object.keys(definition.tables).map(
    (name) => [name, (stored.rows.get(name) ?? []).map((row) => structuredClone(row))] as const,
  )
  return { missing: [], misplaced: [], packed: [], state: stored.state, letters: stored.letters, rows: new Map(rows) }
}
