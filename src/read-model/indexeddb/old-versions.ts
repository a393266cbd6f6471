/** Read models of earlier versions: what they left out by hand, and removing them once no context uses them. */
import { deleteDB } from 'idb'
import { say } from '../../messages.js'
import { ifUnused, lockManager } from '../../locks/in-use.js'
import { databaseName } from '../../events/names.js'
import { Connection } from '../../platform/connection.js'
import { feature } from '../../platform/features.js'
import { requested } from '../../platform/indexeddb.js'
import type { Projection } from '../define.js'
import { stateStore } from './layout.js'
import { addLeftOut, earlierVersions, type StateRow } from '../state.js'

/** The lock that says that a read model is in use. */
export const inUseName = (store: string, key: string): string => `${databaseName(store, key)}:in-use`

/** The databases of earlier versions, the latest first; none where the engine does not list its databases. */
async function databasesBefore(
  store: string,
  { name, version }: Pick<Projection, 'name' | 'version'>,
): Promise<[database: string, version: string][]> {
  const factory: Partial<IDBFactory> | undefined = feature(({ indexedDB }) => indexedDB)
  if (typeof factory?.databases !== 'function') return []
  const prefix = databaseName(store, `${name}@`)
  const names = (await factory.databases()).map(({ name = '' }) => name)
  return earlierVersions(names, prefix, version).map((database) => [database, database.slice(prefix.length)])
}

/** What earlier versions of a projection left out by hand, as far as their databases are still there. Rejects where one cannot be read. */
export async function leftOutBefore(
  store: string,
  definition: Pick<Projection, 'name' | 'version'>,
  log: string,
): Promise<readonly number[]> {
  const found = new Set<number>()
  for (const [database, version] of await databasesBefore(store, definition)) {
    addLeftOut(found, await stateOf(database, say`The read model '${definition.name}@${version}'`), log)
  }
  return [...found]
}

/** The state of a read model, without its definition. */
async function stateOf(name: string, label: string): Promise<StateRow | undefined> {
  let gone = false
  const connection = new Connection({
    name,
    version: 1,
    label,
    upgrade: (_database, transaction) => {
      // It was deleted in this moment, and is not made again.
      gone = true
      transaction.abort()
    },
    verify: async (database) => void (gone = !database.objectStoreNames.contains(stateStore)),
  })
  try {
    await connection.open()
    if (gone) return undefined
    return (await connection.transact(
      { stores: [stateStore], mode: 'readonly', what: say`reading what '${name}' left out` },
      (transaction) => requested(transaction.objectStore(stateStore).get('state')),
    )) as StateRow | undefined
  } catch (error) {
    // Nor is one that only a newer build may open.
    if (gone || (error as { code?: string }).code === 'unsupported-format') return undefined
    throw error
  } finally {
    connection.close()
  }
}

/**
 * Deletes the databases of lower versions of a projection that no tab or worker has open. Rows can always be folded again, so
 * what fails here is left for another time. Without Web Locks nobody can tell what is in use, and nothing is removed.
 */
export async function removeOldVersions(
  store: string,
  { name, version }: Pick<Projection, 'name' | 'version'>,
): Promise<void> {
  const locks = lockManager()
  if (locks === undefined) return
  for (const [database, old] of await databasesBefore(store, { name, version })) {
    await ifUnused(locks, inUseName(store, `${name}@${old}`), () => deleteDB(database))
  }
}
