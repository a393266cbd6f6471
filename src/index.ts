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

// The ports of a projection
export type { CheckpointStore, LeadershipGuard, ProjectionBackend, ProjectorCoordinator } from './projection/ports.js'

// Errors
export {
  CaughtUpTimeoutError, ClosedError, CommandRefusedError, ConditionFailedError, EventUnreadableError, IntegrityError, InvalidArgumentError, InvalidEventError,
  InvalidNameError, LeadershipError, LeadershipLostError, ProjectionError, StorageBusyError, StorageFailedError, StorageFullError, StorageLostError,
  TidemarkError, UndeclaredStreamError, UnsupportedFormatError, VersionConflictError,
  type TidemarkErrorCode, type TidemarkErrorOptions, type WriteOutcome,
} from './errors.js'
