/** Read models of earlier versions: what they left out by hand, and removing them once no context uses them. */
import { hasCode } from '../../errors.js'
import { deleteDB } from 'idb'
import { databaseName } from '../../events/names.js'
import { ifUnused, lockManager } from '../../locks/in-use.js'
import { feature } from '../../platform/features.js'
import { requested } from '../../platform/indexeddb.js'
import type { Projection } from '../define.js'
import { addLeftOut, earlierVersions } from '../earlier-versions.js'
import type { StateRow } from '../state.js'
import { lookInto } from './existing.js'
import { stateStore } from './layout.js'
import { say } from '../../messages.js'

type Version = Pick<Projection, 'name' | 'version'>

/** The lock that says that a read model is in use. */
export const inUseName = (store: string, key: string): string => `${databaseName(store, key)}:in-use`

/** The databases of earlier versions, the latest first; none if the engine does not list its databases. */
async function databasesBefore(
  store: string,
  { name, version }: Version,
): Promise<[database: string, version: string][]> {
  const factory: Partial<IDBFactory> | undefined = feature(({ indexedDB }) => indexedDB)
  if (typeof factory?.databases !== 'function') return []
  const prefix = databaseName(store, `${name}@`)
  const names = (await factory.databases()).map(({ name = '' }) => name)
  return earlierVersions(names, prefix, version).map((database) => [database, database.slice(prefix.length)])
}

/**
 * What earlier versions of a projection left out by hand, as far as their databases still exist. Rejects if one cannot
 * be read.
 */
export async function leftOutBefore(store: string, definition: Version, log: string): Promise<readonly number[]> {
  const found = new Set<number>()
  for (const [database, version] of await databasesBefore(store, definition)) {
    addLeftOut(found, await stateOf(database, say`The read model '${definition.name}@${version}'`), log)
  }
  return [...found]
}

/** The state of a read model, without its definition. */
export async function stateOf(name: string, label: string): Promise<StateRow | undefined> {
  const what = say`reading what '${name}' left out`
  try {
    return await lookInto(name, label, async (connection, database) =>
      database.objectStoreNames.contains(stateStore)
        ? connection.transact(
            { stores: [stateStore], mode: 'readonly', what },
            (transaction) =>
              requested(transaction.objectStore(stateStore).get('state')) as Promise<StateRow | undefined>,
          )
        : undefined,
    )
  } catch (error) {
    // Only a newer build may open it.
    if (hasCode(error, 'unsupported-format')) return undefined
    throw error
  }
}

/**
 * Deletes the databases of lower versions of a projection that no tab or worker has open. Rows can always be folded
 * again, so one that cannot be deleted is left for another time. Without Web Locks it is not known what is in use, and
 * nothing is removed. Resolves with whether one is in use.
 */
export async function removeOldVersions(store: string, { name, version }: Version): Promise<boolean> {
  const locks = lockManager()
  let isUsed = false
  if (locks !== undefined) {
    for (const [database, old] of await databasesBefore(store, { name, version }))
      if (!(await ifUnused(locks, inUseName(store, `${name}@${old}`), () => deleteDB(database)))) isUsed = true
  }
  return isUsed
}
