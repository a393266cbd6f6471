/** tidemark: event sourcing and projections in the browser. The public surface. */

// Events
export { defineEvents } from './events/catalogue.js'
export {
  checkCommit,
  checkEvent,
  type CheckOptions,
  type EventProblem,
  type UncheckedEvent,
} from './log/check-commit.js'
export type {
  CreatedEvent,
  CreatorOptions,
  DataOfType,
  DefinedCreators,
  EventCatalogue,
  EventCreator,
  EventCreators,
  EventOf,
  EventOfType,
  EventsDefined,
  InputsDefined,
  PlainCreatorOptions,
  PlainEventCreator,
} from './events/catalogue-types.js'
export type { DataOf, EventDefinition, EventDefinitions, InputOf, StoredData, Upcast } from './events/definition.js'
export type { StandardIssue, StandardResult, StandardSchema } from './events/schema.js'
export { typed } from './events/typed.js'
export type { EventShape, JsonValue, NewEvent, RecordedEvent } from './events/event.js'
export type { FitsStore, Reads } from './events/fits.js'
export type { NotJson } from './events/json-type.js'
export type { Literal, Literals } from './events/literals.js'

// The log
export { deleteEventStore, openEventStore, type EventStoreOptions, type TidemarkStore } from './log/open.js'
export type {
  AppendOptions,
  AppendResult,
  Durability,
  EventFilter,
  PageRequest,
  EventReader,
  EventPage,
  EventStore,
  ExpectedVersion,
  FollowOptions,
  ReadAllOptions,
  ReadDirection,
  ReadOptions,
  ReadStreamOptions,
  StreamAppendOptions,
  StreamWrite,
} from './log/event-store.js'
export type { Codec, CodecEvent } from './log/encode.js'
export type { Measured, StoreOccurrence, StoreReport } from './reports.js'
export type { StoredEvent } from './log/record/record-text.js'

// Looking after a store
export type { LogDefect, LogDefectKind } from './maintenance/audit.js'
export { compactEvents, type CompactionResult, type CompactOptions } from './maintenance/compact.js'
export { exportEvents, type ExportedEvent, type ExportHeader, type ExportOptions } from './maintenance/export.js'
export { importEvents, type ImportOptions, type ImportProgress, type ImportResult } from './maintenance/import.js'
export { listEventStores, listReadModels, type StoredReadModel } from './maintenance/list.js'
export type { LineSource } from './maintenance/lines.js'
export type { StoreOperations } from './log/operations.js'
export { verifyEventStore, type VerificationResult } from './maintenance/verify-store.js'
export type { StorageOccurrence, StorageReport } from './platform/healing.js'
export type { PersistenceResult, StorageUsage } from './platform/storage-manager.js'

// Projections
export type { ProjectionOptions, ProjectorOptions } from './projection/config.js'
export type { ProjectionResult, Projector } from './projection/projector.js'
export type { ProjectionReport, ReportedEvent } from './reports.js'
export type { FailureContext, FailureStrategy, ReadModelFailureStrategy, StoredFault } from './projection/target.js'
export { runProjection } from './running/run-projection.js'
export { startProjection } from './running/start-projection.js'
export type { DeadLetter, ProjectionHandle } from './running/handle.js'
export type { RebuildOptions } from './running/rebuild.js'
export type { CaughtUpResult, CaughtUpOptions } from './running/caught-up.js'
export type { ProjectionStatus, StatusStore } from './running/status.js'

// Read models
export {
  defineProjection,
  table,
  type ChangesOf,
  type CheckedTables,
  type Handlers,
  type KeysOf,
  type NextRows,
  type Projection,
  type ProjectionSpec,
  type ReadsOf,
  type RowOf,
  type TableDefinition,
  type TableFold,
  type TableFolds,
  type Tables,
  type TableSpec,
  type TableWriter,
  type TableWriters,
  type TypedTable,
} from './read-model/define.js'
export type { CheckedIndexes, IndexDefinition, IndexPaths, KeyOf, TableKey } from './read-model/index-paths.js'
export type { ReservedTableName } from './read-model/reserved-names.js'
export type { IndexKey, KeyPart, KeyRange, RowKey } from './read-model/keys.js'
export type { LiveQuery } from './reading/live-query.js'
export type { LiveSnapshot } from './reading/live-snapshot.js'
export type { Live, QuerySource } from './bindings/shown.js'
export { toObservable, type LiveObservable, type LiveObserver } from './reading/to-observable.js'
export { liveProjection, type LiveProjectionSpec } from './reading/live-projection.js'
export type { CountOptions, InRange, QueryOptions } from './read-model/selection.js'
export type { KeysIn, RangeOf, TableKeys } from './read-model/table-keys.js'
export { deleteReadModel } from './maintenance/delete-read-model.js'
export { verifyReadModel, type ReadModelVerificationResult } from './maintenance/verify-read-model.js'
export type { ReadModelDefect, ReadModelDefectKind } from './maintenance/read-model-defects.js'
export type { LivePage, LivePages, PageOptions } from './reading/live-pages.js'
export type { LiveTable, LiveTables } from './reading/live-tables.js'
export { openReadModel, type ReadModel, type ReadModelOptions, type ReadModelView } from './reading/read-model-view.js'
export type { QueryTables, TableReader, TableReaders } from './reading/table-readers.js'

// The ports of a projection
export type { CheckpointStore, Coordinator, DeadLetterRecord, Guard, SaveOptions } from './ports.js'
export type { ProjectionBackend } from './projection/projector.js'

// An app
export { tidemark } from './app/tidemark.js'
export type { AppStatus } from './app/app-status.js'
export type {
  AppAppendResult,
  AppCommandResult,
  AppMembers,
  AppModel,
  AppModels,
  AppOptions,
  CatchUpOptions,
  CatchUpResult,
  FitAll,
  FitModel,
  Models,
  TablesOf,
  TidemarkApp,
  UntilOptions,
} from './app/app-types.js'
export type { ReservedModelName } from './app/model-names.js'

// Commands
export {
  ensure,
  refuse,
  type Command,
  type CommandEvent,
  type CommandResult,
  type Constant,
  type DecidedBy,
  type DecidedEvent,
  type Decision,
  type FitsCommand,
  type ReasonOf,
  type Refusal,
} from './commands/command.js'
export { defineCommand } from './commands/define-command.js'
export { execute, type CommandStore, type ExecuteOptions } from './commands/execute.js'
export type { CommandRetry } from './commands/pipeline.js'
export type { RetryOptions } from './platform/backoff.js'

export type { Clock } from './platform/clock.js'

// Errors
export {
  AlreadyRunningError,
  CaughtUpTimeoutError,
  ClosedError,
  CommandConflictError,
  CommandRefusedError,
  ConditionFailedError,
  CoordinationFailedError,
  DefinitionChangedError,
  EventUnreadableError,
  InvalidArgumentError,
  InvalidEventError,
  InvalidImportError,
  InvalidNameError,
  LeadershipLostError,
  LogInconsistentError,
  PoisonEventError,
  ProjectionFailedError,
  QueryTimeoutError,
  StorageBusyError,
  StorageDamagedError,
  StorageFailedError,
  StorageFullError,
  StorageLostError,
  StorageUnavailableError,
  StreamBlockedError,
  TidemarkError,
  TooManyStreamsError,
  UndeclaredStreamError,
  UniqueConflictError,
  UnsupportedFormatError,
  VersionConflictError,
  isOutdated,
  type TidemarkErrorCode,
  type TidemarkErrorOptions,
  type UnsupportedFormatReason,
  type WriteOutcome,
} from './errors.js'
