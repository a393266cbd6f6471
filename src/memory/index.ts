/** `tidemark/memory`: the in-memory backend. */
export { openMemoryEventStore as openEventStore, type EventStoreOptions, type TidemarkStore } from '../log/open.js'
