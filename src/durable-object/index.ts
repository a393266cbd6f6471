/**
 * `tidemark/durable-object`: a log of synced stores in one Durable Object of Cloudflare, or of workerd anywhere else. Needs
 * no package: the types that it names are those of the runtime.
 */
export {
  durableLog,
  isTicketed,
  type DurableLog,
  type DurableLogOptions,
  type DurableSession,
  type DurableStats,
} from './durable-log.js'
export { durableLogStore, type DurableLogStore, type DurableLogStoreOptions } from './object-log-store.js'
export type { DurableContext, DurableCursor, DurableSocket, DurableSql, DurableStorage } from './durable-types.js'
