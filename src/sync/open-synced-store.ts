/** Opening a synced store: the store of the core over a log whose appends go to an outbox. */
import { InvalidArgumentError } from '../errors.js'
import type { EventShape } from '../events/event.js'
import { randomId } from '../events/identifier.js'
import { storeName } from '../events/names.js'
import type { IndexedDbLog } from '../log/indexeddb/indexeddb-log.js'
import type { MemoryLog } from '../log/memory/memory-log.js'
import { openMemoryEventStore, openOnDevice, type StoreLayer } from '../log/open.js'
import { say } from '../messages.js'
import { systemClock } from '../platform/clock.js'
import { isObject } from '../platform/objects.js'
import { assertCommands } from './define-commands.js'
import { IndexedDbSyncStorage } from './indexeddb/indexeddb-sync-storage.js'
import { syncedDatabase } from './indexeddb/synced-database.js'
import { assertRemote } from './log-address.js'
import { MemorySyncStorage } from './memory/memory-sync-storage.js'
import { syncedStore } from './synced-methods.js'
import { openParts, type OpenedParts, type SyncedGiven } from './synced-parts.js'
import type { SyncedStore, SyncedStoreOptions } from './synced-store.js'

/** What it takes in addition to a local store. */
const names = ['url', 'author', 'headers', 'credentials', 'fetch', 'commands', 'clock']

/**
 * Opens the synced store of that name in IndexedDB, and creates it if there is none: a replica of one log of a server,
 * and an outbox for what this device did. It works without the server, also the first time; `startSync` connects it.
 *
 * A database of its own kind: a local store of that name is left as it is, and refused. Put the user into `name` and
 * `author`: nothing of one user is ever sent as another.
 *
 * @throws InvalidNameError, InvalidArgumentError before anything is opened; InvalidArgumentError also if there is a local
 * store of that name
 * @throws StorageUnavailableError, StorageBusyError, StorageFailedError, StorageFullError, StorageDamagedError,
 * UnsupportedFormatError as `openEventStore`
 *
 * @example
 * const url = 'https://api.example.com/logs/shop-7'
 * const store = await openSyncedStore({ name: 'shop/anna', author: 'anna', events, url })
 * const sync = startSync(store)
 */
export async function openSyncedStore<E extends EventShape = EventShape>(
  options: SyncedStoreOptions<E>,
): Promise<SyncedStore<E>> {
  const given = checked(options)
  const name = storeName(options.name)
  let isForeign = false
  let parts: OpenedParts | undefined
  let log: IndexedDbLog | undefined
  const layer: StoreLayer<IndexedDbLog> = {
    names,
    clock: given.clock,
    kind: syncedDatabase(
      name,
      () => {
        isForeign = true
        // No second try: nothing would be different.
        log?.connection.close()
      },
      () => parts?.gone(),
    ),
    over(opened, about) {
      log = opened
      const storage = new IndexedDbSyncStorage(opened.connection, name)
      parts = openParts(given, about, opened, storage, () => opened.forget())
      return parts.layered
    },
  }
  const store = await openOnDevice<E>(options, layer).catch((error: unknown) => {
    if (!isForeign) throw error
    throw new InvalidArgumentError(
      'name',
      say`is that of a local store, '${name}', which stays as it is. Give the synced store another name: adoptStore() then copies what is in the local one.`,
    )
  })
  return syncedStore(store, parts as OpenedParts)
}

/** The same in memory; see `tidemark/memory`. */
export async function openSyncedInMemory<E extends EventShape = EventShape>(
  options: SyncedStoreOptions<E>,
  readModels: object,
): Promise<SyncedStore<E>> {
  const given = checked(options)
  let parts: OpenedParts | undefined
  const layer: StoreLayer<MemoryLog> = {
    names,
    clock: given.clock,
    over(log, about) {
      const storage = new MemorySyncStorage(log, randomId(), about.checkpoints)
      parts = openParts(given, about, log, storage, () => {})
      return parts.layered
    },
  }
  const store = await openMemoryEventStore<E>(options, readModels, layer)
  return syncedStore(store, parts as OpenedParts)
}

function checked<E extends EventShape>(options: SyncedStoreOptions<E>): SyncedGiven {
  if (!isObject(options)) throw new InvalidArgumentError('options', say`must be { name, url, … }.`)
  const { url, author, headers, credentials, fetch, commands = {}, clock = systemClock } = options
  assertRemote(options, '', true)
  assertCommands(commands)
  return { remote: { url, author, headers, credentials, fetch }, clock, commands: commands as SyncedGiven['commands'] }
}
