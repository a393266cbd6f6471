/** Adopting a local store of this device by its name, if there is one. */
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
 */
export async function adoptNamed(
  name: string,
  synced: SyncedStore,
  signal: AbortSignal,
  impatience: AbortSignal,
): Promise<void> {
  // What is in memory is not found by its name.
  if (internalsOf(synced)?.medium === 'memory') return
  const local = await openIfThere(name)
  if (local === undefined) return
  try {
    const { adopter } = await adoptedLog(local.name, storeInternals(local)).mark()
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
