/** `tidemark/sync`: stores that are synced with a server. */
export { startSync, type StartSyncOptions, type SyncHandle } from './start-sync.js'
export { syncOnce, type SyncOnceOptions } from './sync-once.js'
export type { SyncPhase, SyncReason, SyncStatus } from './sync-status.js'
