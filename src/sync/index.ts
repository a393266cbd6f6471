/** `tidemark/sync`: a store that is a replica of a server's log, with an outbox for what this device did. */
export { openSyncedStore } from './open-synced-store.js'
export { defineCommands, type CommandFunctions, type NamedCommand } from './define-commands.js'
export { exportOutbox } from './export-outbox.js'
export { readTakenBack, type TakenBackEvent } from './read-taken-back.js'
export { SyncRefusedError, type CommitRefusal } from './sync-refused.js'
export type { RemoteOptions } from './sync-parts.js'
export type {
  AppendedCommit,
  OwnCommit,
  OwnCommitStatus,
  SyncedAppendResult,
  SyncedEvent,
  SyncedStore,
  SyncedStoreOptions,
  SyncedStreamOptions,
} from './synced-store.js'
export { adoptStore, type AdoptResult } from './adopt-store.js'

// Its views
export { openReadModel, type ConfirmedRows, type SyncedReadModel } from './synced-read-model.js'
export type { PendingRows, SyncedTables } from './pending-rows.js'

// Syncing it
export { startSync, type StartSyncOptions, type SyncHandle, type WakeKind } from './start-sync.js'
export { syncOnce, type SyncOnceOptions } from './sync-once.js'
export type { SyncPhase, SyncReason, SyncStatus } from './sync-status.js'

// An app that syncs
export { tidemark } from './synced-tidemark.js'
export type {
  AppSync,
  AppSyncOptions,
  SyncedApp,
  SyncedAppAppendResult,
  SyncedAppMembers,
  SyncedAppModel,
  SyncedAppModels,
  SyncedAppOptions,
  SyncedCommandResult,
  SyncedUntilOptions,
} from './synced-app-types.js'
