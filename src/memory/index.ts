/** `tidemark/memory`: the in-memory backend. */
import type { EventShape } from '../events/event.js'
import { openMemoryEventStore, type EventStoreOptions, type TidemarkStore } from '../log/open.js'
import { MemoryReadModels } from '../read-model/memory/memory-storage.js'

export type { EventStoreOptions, TidemarkStore }

/**
 * Opens an event store in memory: for Node, edge runtimes and tests. Nothing survives; other tabs see nothing of it.
 */
export function openEventStore<E extends EventShape = EventShape>(
  options: EventStoreOptions<E>,
): Promise<TidemarkStore<E>> {
  return openMemoryEventStore(options, new MemoryReadModels())
}
