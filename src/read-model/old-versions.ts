/** Removing read models of former versions, once nobody uses them. */
import { deleteDB } from 'idb'
import { ifUnused, lockManager } from '../coordination/in-use.js'
import { databaseName } from '../events/names.js'
import { feature } from '../platform/features.js'
import { inUseName } from './attach.js'
import type { ProjectionDefinition } from './define.js'

/**
 * Deletes the databases of lower versions of a projection that no tab or worker has open. Rows can always be folded again, so
 * what fails here is left for another time. Without Web Locks nobody can tell what is in use, and nothing is removed.
 */
export async function removeOldVersions(store: string, { name, version }: Pick<ProjectionDefinition, 'name' | 'version'>): Promise<void> {
  const locks = lockManager()
  const factory: Partial<IDBFactory> | undefined = feature(({ indexedDB }) => indexedDB)
  if (locks === undefined || typeof factory?.databases !== 'function') return
  const prefix = databaseName(store, `${name}@`)
  for (const { name: database } of await factory.databases()) {
    if (database === undefined || !database.startsWith(prefix)) continue
    const old = database.slice(prefix.length)
    if (!/^[1-9]\d*$/.test(old) || Number(old) >= version) continue
    await ifUnused(locks, inUseName(store, `${name}@${old}`), () => deleteDB(database))
  }
}
