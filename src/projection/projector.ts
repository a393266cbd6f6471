/** What an app writes as a plain projector, where it can run, and what a run resolves with. */
import type { EventShape, RecordedEvent } from '../events/event.js'
import type { EventFilter, EventReader } from '../log/event-store.js'
import type { CheckpointStore, Coordinator } from '../ports.js'
import type { FailureContext, FailureStrategy } from './target.js'

/**
 * Any object that folds events somewhere. Its checkpoint is saved after its events, so an event may be applied again
 * after a crash.
 */
export interface Projector<E extends EventShape = EventShape, C = unknown> {
  /** The name of its checkpoint and of its lock. */
  readonly name: string
  /** Which events. @default all */
  readonly filter?: EventFilter<E>
  /** May be asynchronous; events come one after the other, in the order of the log. */
  apply(event: RecordedEvent<E>, context: C): void | Promise<void>
  /**
   * Decides at every failure of an event, except for one that a newer build wrote (`EventUnreadableError.newer`): that
   * is fatal.
   * @default 'fatal'
   */
  onFailure?(failure: FailureContext<E>): FailureStrategy | Promise<FailureStrategy>
}

/** What `runProjection` takes instead of a store, to run a plain projector elsewhere. */
export interface ProjectionBackend<E extends EventShape = EventShape> {
  readonly reader: EventReader<E>
  readonly checkpoints: CheckpointStore
  readonly coordinator: Coordinator
}

/** How a run ended. The counts are of what is stored. */
export interface ProjectionResult {
  /** Everything up to here is done. */
  readonly position: number
  readonly applied: number
  readonly skipped: number
  readonly parked: number
  /**
   * - `'paused'`: only in batch mode: the projection is paused, see `ProjectionHandle.resume`
   * - `'retrying'`: an event failed, `onFailure` wants another try, and its pause is longer than what is left of the budget.
   *   Until `nextTry` further runs of this context end with the same, and do not call the handler
   */
  readonly reason: 'caught-up' | 'budget' | 'aborted' | 'paused' | 'retrying'
  /** Of `'retrying'`: when the event may be tried again, in ms since 1970. */
  readonly nextTry?: number
}
