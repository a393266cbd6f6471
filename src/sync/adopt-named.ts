/** Adopting a local store of this device by its name, if there is one. */
import { hasCode } from '../errors.js'
import type { EventShape } from '../events/event.js'
import { storeName } from '../events/names.js'
import { internalsOf, openOnDevice, storeInternals, type StoreLayer, type TidemarkStore } from '../log/open.js'
import type { IndexedDbLog } from '../log/indexeddb/indexeddb-log.js'
import { systemClock } from '../platform/clock.js'
import { adopt } from './adopt-store.js'
import { adoptedLog } from './adopted-log.js'
import type { SyncedStore } from './synced-store.js'

/**
 * Resolves when it is adopted; also if there is no such store, which is not created, and if another synced store adopts
 * it, that of another user for example.
 *
 * @param impatience something waits for it: the server is not waited for any longer
 * @throws InvalidArgumentError where a synced store in memory would have to adopt it: its events would be lost with the page
 */
export async function adoptNamed(
  name: string,
  synced: SyncedStore,
  signal: AbortSignal,
  impatience: AbortSignal,
): Promise<void> {
  const isInMemory = internalsOf(synced)?.medium === 'memory'
  const local = await openIfThere(name).catch((error: unknown) => {
    // Without IndexedDB there is nothing to lose. A store in memory needs none, and is not found by its name.
    if (isInMemory && hasCode(error, 'storage-unavailable')) return undefined
    throw error
  })
  if (local === undefined) return
  try {
    const { adopter, isClosed } = await adoptedLog(local.name, storeInternals(local)).mark()
    // All of it is in the store that adopted it.
    if (isInMemory && isClosed) return
    if (adopter === undefined || adopter === synced.name) await adopt(local, synced, { signal }, impatience)
  } finally {
    await local.close()
  }
}

/** Opens a local store that exists. */
async function openIfThere(name: string): Promise<TidemarkStore | undefined> {
  let isThere = true
  let log: IndexedDbLog | undefined
  const layer: StoreLayer<IndexedDbLog> = {
    names: [],
    clock: systemClock,
    kind: {
      version: 1,
      create(_, transaction) {
        isThere = false
        transaction.abort()
        // No second try: nothing would be different.
        log?.connection.close()
        return false
      },
      assertWhole() {},
    },
    over(opened) {
      log = opened
      return { log: opened, internals: {}, dispose() {} }
    },
  }
  return openOnDevice<EventShape>({ name: storeName(name) }, layer).catch((error: unknown) => {
    if (isThere) throw error
    return undefined
  })
}
