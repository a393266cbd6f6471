/** What the runner drives: a projector together with the place its checkpoint (and read model) lives in. */
import type { EventShape, RecordedEvent } from '../events/event.js'
import type { EventFilter } from '../log/event-store.js'

/** What a handler answers to a failing event. `'park'` keeps a dead letter and goes on. */
export type FailureStrategy = 'fatal' | 'skip' | 'retry' | 'park'

/** What is known when an event fails. */
export interface FailureContext<E extends EventShape = EventShape> {
  readonly error: unknown
  readonly event: RecordedEvent<E>
  readonly position: number
  /** 0 at the first failure of this event. */
  readonly retryCount: number
}

/** An event that was parked: what it was, and why. Stored with the rows, in the same transaction (N23). */
export interface DeadLetterRecord {
  readonly position: number
  readonly eventId: string
  readonly eventType: string
  readonly stream: string
  readonly errorName: string
  readonly message: string
  readonly attempts: number
  /** ms since the epoch. */
  readonly time: number
}

/** Why a projection stands still, kept so that every tab can say so. */
export interface StoredFault {
  readonly position: number
  readonly eventId?: string
  readonly eventType?: string
  readonly message: string
  readonly time: number
}

/** What is stored about a projection besides its rows. */
export interface ProjectionState {
  /** Every event up to here is in the rows. 0 before the first commit. */
  readonly position: number
  /** Raised by each new leader; a commit with an older one is refused. */
  readonly epoch: number
  /** The context that raised it, for status. */
  readonly owner: string
  readonly paused: boolean
  readonly fault?: StoredFault
  /** Dead letters that wait. */
  readonly letters: number
  /** A rebuild under way, and how far it is; readers still see the finished rows. */
  readonly rebuilding?: { readonly position: number }
}

/** A commit's outcome. */
export interface CommitResult {
  /** Somebody asked to pause, perhaps in another tab; take effect after this commit. */
  readonly paused: boolean
}

/** The runner's side of a projection. One runner at a time uses one target; targets of other contexts compete by commit. */
export interface ProjectionTarget<E extends EventShape = EventShape> {
  readonly name: string
  /** Checkpoint key and lock name: `name` for plain projectors, `name@version` for read models. */
  readonly key: string
  readonly filter: EventFilter
  /** True: rows and checkpoint commit together. */
  readonly transactional: boolean
  onError(failure: FailureContext<E>): FailureStrategy | Promise<FailureStrategy>
  /** Takes over: raises the epoch, drops every cached row, and answers where to start. */
  begin(owner: string): Promise<ProjectionState>
  /** Applies one event on top of what is pending. Throws (or rejects) what the handler threw; its own writes are then gone. */
  apply(event: RecordedEvent<E>): void | Promise<void>
  /** Called with each page before its events are applied, so that rows can be loaded together. */
  prepare?(events: readonly RecordedEvent<E>[]): void | Promise<void>
  /** Adds a dead letter to what is pending. */
  park(letter: DeadLetterRecord): void
  /**
   * Stores everything pending, with the new checkpoint, if the stored checkpoint and epoch are still those of this target.
   * `caughtUp` says that `position` is the head: a rebuild then swaps.
   *
   * @throws LeadershipLostError if they are not; nothing is stored then
   */
  commit(position: number, options: { readonly caughtUp: boolean }): Promise<CommitResult>
  /** Drops everything pending and cached. Call `begin` before going on. */
  reset(): void
  /** Reads the stored state without taking over. */
  state(): Promise<ProjectionState>
  /** Keeps the reason of a fatal stop for other contexts; best effort. */
  recordFault?(fault: StoredFault): Promise<void>
  setPaused(paused: boolean): Promise<void>
  close(): void
}
