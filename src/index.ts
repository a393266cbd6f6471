/** tidemark: event sourcing and projections in the browser. The public surface. */

// Events
export {
  defineEvents, type CreatorOptions, type DataOf, type DefinedCreators, type EventCatalogue, type EventCreator, type EventCreators, type EventDefinition,
  type EventDefinitions, type EventOf, type EventOfType, type EventsDefined, type InputOf, type StandardIssue, type StandardResult, type StandardSchema,
  type StoredData, type Upcast,
} from './events/catalogue.js'
export type { EventShape, JsonValue, NewEvent, RecordedEvent } from './events/event.js'

// The log
export { destroyEventStore, openEventStore, type EventStoreOptions, type TidemarkStore } from './log/open.js'
export type {
  AppendOptions, AppendResult, Durability, EventFilter, EventPage, EventReader, EventsRead, EventStore, ExpectedVersion, ReadAllOptions, ReadOptions,
  ReadStreamOptions, StreamWrite,
} from './log/event-store.js'
export type { CollectedRead, PageReadOptions } from './log/pages.js'
export type { Codec } from './log/prepare.js'

// Projections and read models
export type { ProjectionConfig, ProjectionResult, Projector } from './projection/projector.js'
export type { DeadLetterRecord, FailureContext, FailureStrategy } from './projection/target.js'
export {
  defineProjection, table, type Handlers, type ProjectionDefinition, type ProjectionSpecification, type RowKey, type RowOf, type TableDefinition, type Tables,
  type TableWriter, type TableWriters,
} from './read-model/define.js'
export type { QueryOptions } from './read-model/database.js'
export { runProjection, startProjection, type DeadLetter, type ProjectionHandle, type ProjectionStatus } from './read-model/run.js'
export { openReadModel, type LiveQuery, type LiveSnapshot, type ReadModel, type TableReader, type TableReaders } from './read-model/view.js'

// The ports of a projection
export type { CheckpointStore, LeadershipGuard, ProjectionBackend, ProjectorCoordinator } from './projection/ports.js'

// Commands
export { ensure, refuse, type Command, type CommandEvent, type CommandResult, type Decision, type ReasonOf, type Refusal } from './commands/command.js'
export { CommandConflictError } from './commands/conflict.js'
export { defineCommand } from './commands/define-command.js'
export { execute } from './commands/execute.js'
export type { RetryOptions } from './commands/retry.js'

// Errors
export {
  CaughtUpTimeoutError, ClosedError, CommandRefusedError, ConditionFailedError, EventUnreadableError, IntegrityError, InvalidArgumentError, InvalidEventError,
  InvalidNameError, LeadershipError, LeadershipLostError, ProjectionError, StorageBusyError, StorageFailedError, StorageFullError, StorageLostError,
  TidemarkError, UndeclaredStreamError, UnsupportedFormatError, VersionConflictError,
  type TidemarkErrorCode, type TidemarkErrorOptions, type WriteOutcome,
} from './errors.js'
