/** What is stored on this origin, whatever the code of today defines. */
import { StorageUnavailableError } from '../errors.js'
import type { EventShape } from '../events/event.js'
import { databaseName, storeNameOf } from '../events/names.js'
import { lockManager } from '../locks/in-use.js'
import { storeInternals, type TidemarkStore } from '../log/open.js'
import { say } from '../messages.js'
import { assertAvailable, storageError } from '../platform/indexeddb.js'
import { inUseName, stateOf } from '../read-model/indexeddb/old-versions.js'
import { impossibleIn } from '../read-model/possible-state.js'
import type { StateRow } from '../read-model/state.js'
import { isUsed } from '../running/definitions.js'
import { broughtReadModels } from '../running/shared-storage.js'

/** A read model as it is stored. */
export interface StoredReadModel {
  readonly name: string
  readonly version: number
  /**
   * Every event up to here is in its rows; 0 if they are of another log. `undefined` if that cannot be read: it is
   * damaged, or a newer version of the app made it.
   */
  readonly position: number | undefined
  /** How many dead letters are kept; `undefined` as for `position`. */
  readonly deadLetterCount: number | undefined
  /**
   * Whether a tab or worker runs it or reads it. Where there are no Web Locks (a page without a secure connection) only
   * this context is known, and `undefined` says that another one may.
   */
  readonly inUse: boolean | undefined
}

/** @throws StorageUnavailableError if the engine does not list its databases */
async function databases(): Promise<string[]> {
  const what = say`listing what is stored`
  assertAvailable(what)
  if (typeof indexedDB.databases !== 'function')
    throw new StorageUnavailableError(say`this browser does not list its databases`)
  try {
    return (await indexedDB.databases()).map(({ name = '' }) => name)
  } catch (error) {
    throw storageError(error, what)
  }
}

/**
 * The names of the event stores in IndexedDB on this origin, sorted. Opens none of them. For a page that shows what is
 * stored, and to delete (`deleteEventStore`) the stores of users who left.
 *
 * @throws StorageUnavailableError if there is no IndexedDB here, or it is forbidden, and in an old engine that does not
 * list its databases (Firefox before 126); StorageFailedError if the browser fails to
 *
 * @example
 * for (const name of await listEventStores()) if (name !== current) await deleteEventStore(name)
 */
export async function listEventStores(): Promise<string[]> {
  const names = (await databases()).map(storeNameOf).filter((name) => name !== undefined)
  return names.sort()
}

/**
 * The read models that a store has, also those that the code no longer defines, sorted by name and version. Creates and
 * changes nothing. `deleteReadModel` takes what it returns.
 *
 * @throws StorageUnavailableError, StorageFailedError as for `listEventStores`, for a store in IndexedDB;
 * StorageLostError, ClosedError where the store is gone or closed
 *
 * @example
 * const defined = [baskets, orders]
 * for (const stored of await listReadModels(store))
 *   if (stored.inUse === false && !defined.some(({ name }) => name === stored.name)) await deleteReadModel(store, stored)
 */
export async function listReadModels<E extends EventShape>(store: TidemarkStore<E>): Promise<StoredReadModel[]> {
  const parts = storeInternals(store)
  // Rejects once the store is closed, or lost.
  const log = await parts.logId()
  parts.assertOpen()
  const found: StoredReadModel[] = []
  const add = (key: string, state: StateRow | undefined, inUse: boolean | undefined) => {
    const parsed = /^(.+)@([1-9]\d*)$/s.exec(key)
    if (parsed === null) return
    const [, name = '', version] = parsed
    const sound = state !== undefined && impossibleIn(state).length === 0 ? state : undefined
    found.push({
      name,
      version: Number(version),
      position: sound && (sound.log === log ? sound.position : 0),
      deadLetterCount: sound?.letters,
      inUse: isUsed(store.name, parts, key) || inUse,
    })
  }
  if (parts.medium !== 'indexeddb')
    // Which process of a server uses one is not known.
    for (const [key, state] of await broughtReadModels(parts).states())
      add(key, state, parts.medium === 'memory' ? false : undefined)
  else {
    const prefix = `${databaseName(store.name)}:`
    const locks = lockManager()
    const names = (await databases()).filter((name) => name.startsWith(prefix))
    const held = new Set((await locks?.query())?.held?.map(({ name }) => name))
    for (const name of names) {
      const key = name.slice(prefix.length)
      // One that is damaged, or being deleted, is listed all the same.
      const state = await stateOf(name, say`The read model '${key}'`).catch(() => undefined)
      add(key, state, locks === undefined ? undefined : held.has(inUseName(store.name, key)))
    }
  }
  return found.sort((left, right) =>
    left.name === right.name ? left.version - right.version : left.name < right.name ? -1 : 1,
  )
}
