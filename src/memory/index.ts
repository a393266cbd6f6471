/** `tidemark/memory`: the in-memory backend. */
import type { EventShape } from '../events/event.js'
import { openMemoryEventStore, type EventStoreOptions, type TidemarkStore } from '../log/open.js'
import { MemoryReadModels } from '../read-model/memory/memory-storage.js'
import { openSyncedInMemory } from '../sync/open-synced-store.js'
import type { SyncedStore, SyncedStoreOptions } from '../sync/synced-store.js'

export type { EventStoreOptions, SyncedStore, SyncedStoreOptions, TidemarkStore }

/**
 * Opens an event store in memory: for Node, edge runtimes and tests. Nothing survives; other tabs see nothing of it.
 */
export function openEventStore<E extends EventShape = EventShape>(
  options: EventStoreOptions<E>,
): Promise<TidemarkStore<E>> {
  return openMemoryEventStore(options, new MemoryReadModels())
}

/**
 * Opens a synced store in memory, with the same options as the one of `tidemark/sync`: a device that forgets everything
 * when the process ends.
 */
export function openSyncedStore<E extends EventShape = EventShape>(
  options: SyncedStoreOptions<E>,
): Promise<SyncedStore<E>> {
  return openSyncedInMemory(options, new MemoryReadModels())
}
