/** The database of a synced store: that of a log, and the object stores of sync. */
import { StorageDamagedError } from '../../errors.js'
import { syncedVersion } from '../../log/indexeddb/format.js'
import type { DatabaseKind } from '../../log/indexeddb/indexeddb-log.js'
import { say } from '../../messages.js'
import { firstState } from '../change-rules.js'

/** By object store: the key of its rows. */
export const syncShape: Readonly<Record<string, string | string[]>> = {
  sync: 'key',
  outbox: 'n',
  own: 'at',
  attic: ['identity', 'at'],
}

/**
 * Version 2 of the database from the beginning, so that no other tab ever keeps an upgrade waiting, and no build or call
 * that knows of logs alone opens it.
 *
 * @param foreign called where the database is that of a local store, which stays as it is
 * @param gone called when the database was deleted, or the browser closed it
 */
export const syncedDatabase = (name: string, foreign: () => void, gone?: () => void): DatabaseKind => ({
  version: syncedVersion,
  gone,
  create(database, transaction, logId) {
    if (database.objectStoreNames.length > 0) {
      foreign()
      transaction.abort()
      return false
    }
    for (const [store, keyPath] of Object.entries(syncShape)) database.createObjectStore(store, { keyPath })
    transaction
      .objectStore('sync')
      .put(firstState(logId))
      .catch(() => {})
    return true
  },
  assertWhole(database) {
    for (const store of Object.keys(syncShape))
      if (!database.objectStoreNames.contains(store))
        throw new StorageDamagedError(
          say`The synced store '${name}' lacks its object store '${store}': it was damaged, and is left as it is. Export it with its outbox, then deleteEventStore, and it is fetched again.`,
        )
  },
})
