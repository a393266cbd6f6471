/**
 * What the runner drives: a projector together with the place of its checkpoint (and read model); what an app answers
 * to a failure.
 */
import { hasCode, type EventUnreadableError } from '../errors.js'
import type { EventShape, RecordedEvent } from '../events/event.js'
import type { EventFilter } from '../log/event-store.js'
import type { DeadLetterRecord } from '../ports.js'
import type { Invocation } from './stack-guard.js'

export type { DeadLetterRecord }

/** What to do with an event that failed. `'park'` keeps a dead letter and continues. */
export type FailureStrategy = 'fatal' | 'skip' | 'retry' | 'park'

/**
 * The same for a read model. `'park-stream'` parks the event and blocks its stream: later events of that stream are
 * parked too, without being tried, until all of its dead letters were replayed, in their order, or discarded. Other
 * streams continue.
 */
export type ReadModelFailureStrategy = FailureStrategy | 'park-stream'

/** A tab of the newer build can apply it, so no policy of this build may take it away from every tab. */
export const isForNewerBuilds = (error: unknown): boolean =>
  hasCode(error, 'event-unreadable') && (error as EventUnreadableError).newer === true

/** What is known when an event fails. */
export interface FailureContext<E extends EventShape = EventShape> {
  readonly error: unknown
  readonly event: RecordedEvent<E>
  readonly position: number
  /** 0 at the first failure of this event. */
  readonly retryCount: number
}

/** Why a projection stopped, stored so that every tab can say so. */
export interface StoredFault {
  /** The event that failed, or how far the projection had come. */
  readonly position: number
  readonly eventId?: string
  readonly eventType?: string
  readonly message: string
  /** ms since the epoch. */
  readonly time: number
}

/** What is stored about a projection in addition to its rows. */
export interface ProjectionState {
  /** Every event up to here is in the rows that readers see. 0 before the first commit. */
  readonly position: number
  /** Raised by each new leader; the fencing check refuses a commit with an older one. */
  readonly epoch: number
  /** The run that raised it last, for status. */
  readonly owner: string
  readonly paused: boolean
  readonly fault?: StoredFault
  /** How many dead letters are kept. */
  readonly letters: number
  /** Some of them may block their streams. */
  readonly holds?: true
  /** A rebuild under way, and how far it is; readers still see the finished rows. */
  readonly rebuild?: {
    readonly position: number
    readonly letters: number
    readonly holds?: true
    /** The id of the log that it folds, if readers see rows of an earlier one. */
    readonly log?: string
  }
  /** Why the last rebuild was given up; the rows that were there before it stayed. */
  readonly rebuildFault?: StoredFault
  /**
   * How often in a row, at least, a run from this position ended silently and without a commit; gone once the
   * projection has caught up.
   */
  readonly unclean?: { readonly position: number; readonly ends: number }
  /** The event that was applied alone because of that, and in how many runs; gone once it is passed. */
  readonly trying?: { readonly position: number; readonly runs: number }
  /** Events that were left out by hand: a rebuild leaves them out as well. */
  readonly skipped?: readonly number[]
  /**
   * Events that were left out by hand in earlier versions: tried here, and left out if they fail. Absent until a run
   * has looked for them.
   */
  readonly carried?: readonly number[]
}

/** How far the runner has come: during a rebuild, not the position of the rows that readers see. */
export const workingPosition = (state: ProjectionState): number => state.rebuild?.position ?? state.position

/**
 * An event whose handler waits. The caller awaits `done`, and calls `ended` or `failed`: each further promise would
 * cost a turn of the microtask queue.
 */
export interface Applying {
  readonly done: Promise<void>
  /** `done` was fulfilled. Throws if the event failed nevertheless. */
  ended(): void
  /** `done` was rejected. Throws the error, once what the event wrote is taken back. */
  failed(error: unknown): never
}

/** Where nothing has to be taken back. */
export function applying(done: void | Promise<void>): void | Applying {
  if (done !== undefined)
    return {
      done,
      ended() {},
      failed(error) {
        throw error
      },
    }
}

/** Waits for an event to be applied, and throws what its handler threw. */
export async function applied(applying: void | Applying): Promise<void> {
  if (applying === undefined) return
  try {
    await applying.done
  } catch (error) {
    applying.failed(error)
  }
  applying.ended()
}

/**
 * What a fatal stop means.
 * - `'stopped'`: the projection stops
 * - `'rebuild-given-up'`: only the rebuild stops; the projection continues with the rows that it had
 * - `'moved'`: nothing, because a rebuild, a replay or a takeover changed the state meanwhile
 */
export type FaultOutcome = 'stopped' | 'rebuild-given-up' | 'moved'

/** A commit's outcome. */
export interface CommitResult {
  /** The projection was paused, perhaps in another tab; takes effect after this commit. */
  readonly paused: boolean
  /** How many dead letters are kept, if they are stored with the rows. */
  readonly deadLetterCount?: number
}

/**
 * The runner's side of a projection. One runner at a time uses one target; targets of other contexts compete by commit.
 */
export interface ProjectionTarget<E extends EventShape = EventShape> {
  readonly name: string
  /** Checkpoint key and lock name: `name` for plain projectors, `name@version` for read models. */
  readonly key: string
  readonly filter: EventFilter<E>
  onFailure(failure: FailureContext<E>): ReadModelFailureStrategy | Promise<ReadModelFailureStrategy>
  /**
   * Takes over, unless `signal` aborts first: raises the epoch, drops every cached row, and resolves with the state;
   * see {@link workingPosition}.
   */
  begin(owner: string, signal?: AbortSignal): Promise<ProjectionState>
  /** Streams that are blocked by dead letters, as `begin` found them. */
  readonly blockedStreams?: ReadonlySet<string> | undefined
  /** Called with each page before its events are applied, so that rows can be loaded together. */
  prepare?(events: readonly RecordedEvent<E>[]): void | Promise<void>
  /** Preparing has to read so much that it should get more events at a time. */
  readonly preparesMuch?: boolean
  /** How many rows the next commit stores. */
  readonly pendingRows?: number
  /** A commit made what was prepared incomplete for the rest of the page. */
  readonly wantsPreparing?: boolean
  /**
   * Applies one event on top of what is pending. Throws what the handler threw, synchronously or later; the event's own
   * writes are then gone.
   */
  apply(event: RecordedEvent<E>): void | Applying
  /**
   * Applies several events together, from index `from` on and none from `to` on, and returns how many it applied: all of
   * them and their writes, or 0 if nothing is left of them and the next one is to be applied alone. Throws only what
   * {@link isStorageFailure} says is the storage's.
   */
  applyAll?(events: readonly RecordedEvent<E>[], from: number, to: number): number | Promise<number>
  /** Whether an error that `apply` threw is the storage's and not the handler's: then the event is not to blame. */
  isStorageFailure?(error: unknown): boolean
  /**
   * Stores, for the run that follows if this one ends silently, that the event at a position is applied next, alone.
   * Without a position: removes that note.
   *
   * @throws LeadershipLostError as `commit`
   */
  tries?(position?: number): Promise<void>
  /** Adds a dead letter to what is pending. */
  park(letter: DeadLetterRecord): void
  /**
   * Stores everything pending, with the new checkpoint, if the stored checkpoint and epoch are still those of this
   * target. `caughtUp` says that `position` is the head: a rebuild is then complete and takes the place of the old
   * rows. `ends` is kept as {@link ProjectionState.unclean}.
   *
   * @throws LeadershipLostError if they are not; nothing is stored then
   */
  commit(
    position: number,
    options: { readonly caughtUp: boolean; readonly ends?: number | undefined },
  ): Promise<CommitResult>
  /** The run waited for a while, and nothing came: a time to read what the next event may need. */
  rest?(): void
  /** Drops everything pending and cached. Call `begin` before anything else. */
  reset(): void
  /** Reads the stored state without taking over. */
  state(): Promise<ProjectionState>
  /** Keeps the reason of a fatal stop for other contexts, best effort. */
  recordFault?(fault: StoredFault): Promise<FaultOutcome>
}

/** What may be asked of a projection from outside its run, by any tab. */
export interface ProjectionControls {
  state(): Promise<ProjectionState>
  setPaused(paused: boolean): Promise<void>
  /** Begins again from the first event; rows that readers see stay until the new ones are complete. */
  rebuild(): Promise<void>
  /**
   * Leaves out the event that the projection stopped at.
   *
   * @throws InvalidArgumentError if it is not, or no longer, stopped at that event
   */
  skip(position: number): Promise<void>
  /** Dead letters after a position, in order. */
  deadLetters(after: number, limit: number): Promise<readonly DeadLetterRecord[]>
  /**
   * Applies a parked event again and removes its dead letter: a read model in one transaction, a plain projector one
   * after the other.
   */
  replay(position: number): Promise<void>
  discard(position: number): Promise<void>
  /** Whether a handler of this projection asks, which must not wait for it; see `StackGuard`. */
  caller(): true | Invocation | undefined
  close(): void
}
