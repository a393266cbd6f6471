/** Devices of one server in memory, each with a store, a connection that a test controls, and syncing that it runs by rounds. */
import { openSyncedStore } from 'tidemark/memory'
import type { EventShape } from 'tidemark'
import { startSync, type SyncedStoreOptions, type SyncHandle, type SyncedStore } from 'tidemark/sync'
import type { TestSyncServer } from 'tidemark/testing'
import { onTestFinished } from 'vitest'

export interface SyncedDevice<E extends EventShape> {
  readonly store: SyncedStore<E>
  readonly sync: SyncHandle
  /** Syncs some times in turn. */
  rounds(times?: number): Promise<void>
  leave(): void
  /** Reaches the server again, and syncs. */
  join(times?: number): Promise<void>
}

/** The device of a user, which ends with the test. It has reached the server, unless it is `away`. */
export async function syncedDevice<E extends EventShape>(
  server: TestSyncServer,
  user: string,
  { isAway = false, ...options }: Pick<SyncedStoreOptions<E>, 'events' | 'commands'> & { readonly isAway?: boolean },
): Promise<SyncedDevice<E>> {
  const connection = server.connection()
  const store = await openSyncedStore<E>({
    ...options,
    name: user,
    url: server.url,
    fetch: connection.fetch,
    headers: () => ({ authorization: `Bearer ${user}` }),
  })
  const leave = () => connection.partition('both')
  if (isAway) leave()
  const sync = startSync(store)
  onTestFinished(async () => {
    await sync.stop()
    await store.close()
  })
  const rounds = async (times = 3) => {
    for (let round = 0; round < times; round += 1) await sync.now()
  }
  if (!isAway) await rounds(1)
  return {
    store,
    sync,
    rounds,
    leave,
    async join(times) {
      connection.partition()
      await rounds(times)
    },
  }
}
