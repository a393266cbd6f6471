/** What a user of projections writes, and what a run answers. */
import type { EventShape, RecordedEvent } from '../events/event.js'
import type { EventFilter } from '../log/event-store.js'
import type { FailureContext, FailureStrategy } from './target.js'

/** Any object that folds events somewhere. Its checkpoint is saved after its events: at least once. */
export interface Projector<E extends EventShape = EventShape, C = unknown> {
  /** Checkpoint key and lock name. */
  readonly name: string
  /** Which events. @default all */
  readonly filter?: EventFilter<E>
  /** May be asynchronous; events come one after the other, in the order of the log. */
  apply(event: RecordedEvent<E>, context: C): void | Promise<void>
  /** Asked at every failure of an event, but not about one that a newer build wrote (`EventUnreadableError.newer`): that is fatal. @default 'fatal' */
  onFailure?(failure: FailureContext<E>): FailureStrategy | Promise<FailureStrategy>
}

/** How a run ended. The counts are of what is stored. */
export interface ProjectionResult {
  /** Everything up to here is done. */
  readonly position: number
  readonly applied: number
  readonly skipped: number
  readonly parked: number
  /** `'paused'` only in batch mode: somebody paused the projection, see `ProjectionHandle.resume`. */
  readonly reason: 'caught-up' | 'budget' | 'aborted' | 'paused'
}
