/** What the runner drives: a projector together with the place its checkpoint (and read model) lives in. */
import { hasCode, type EventUnreadableError } from '../errors.js'
import type { EventShape, RecordedEvent } from '../events/event.js'
import type { EventFilter } from '../log/event-store.js'
import type { Invocation } from './stack-guard.js'

/** What a handler answers to a failing event. `'park'` keeps a dead letter and goes on. */
export type FailureStrategy = 'fatal' | 'skip' | 'retry' | 'park'

/**
 * What a read model answers. `'park-stream'` parks the event and holds its stream: later events of that are parked behind it without being
 * tried, in order, until all of its letters were replayed, which has to be in that order, or discarded. Other streams go on.
 */
export type ReadModelFailureStrategy = FailureStrategy | 'park-stream'

/** A tab of the newer build can apply it, so no policy of this one may take it away from everybody. */
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

/** An event that was parked: what it was, and why. Stored with the rows, in the same transaction. */
export interface DeadLetterRecord {
  readonly position: number
  readonly eventId: string
  readonly eventType: string
  readonly stream: string
  readonly errorName: string
  readonly message: string
  /** How often it was tried, the first time included; 0 for one that waits behind another. */
  readonly attempts: number
  /** When it was parked, in ms since the epoch. */
  readonly time: number
  /** Later events of its stream wait behind it. */
  readonly holdsStream?: true
}

/** Why a projection stands still, kept so that every tab can say so. */
export interface StoredFault {
  /** The event that failed, or how far the projection had come. */
  readonly position: number
  readonly eventId?: string
  readonly eventType?: string
  readonly message: string
  /** ms since the epoch. */
  readonly time: number
}

/** What is stored about a projection besides its rows. */
export interface ProjectionState {
  /** Every event up to here is in the rows that readers see. 0 before the first commit. */
  readonly position: number
  /** Raised by each new leader; a commit with an older one is refused. */
  readonly epoch: number
  /** The run that raised it last, for status. */
  readonly owner: string
  readonly paused: boolean
  readonly fault?: StoredFault
  /** Dead letters that wait. */
  readonly letters: number
  /** Some of them may hold their streams. */
  readonly holds?: true
  /** A rebuild under way, and how far it is; readers still see the finished rows. */
  readonly rebuild?: { readonly position: number; readonly letters: number; readonly holds?: true }
  /** Why the last rebuild was given up; the rows that were there before it stayed. */
  readonly rebuildFault?: StoredFault
  /** How often in a row a run from this position ended without a word and without a commit, at least; gone once the projection has caught up. */
  readonly unclean?: { readonly position: number; readonly ends: number }
  /** The event that was applied alone because of that, and in how many runs; gone once it is passed. */
  readonly trying?: { readonly position: number; readonly runs: number }
  /** Events that were left out by hand: a rebuild leaves them out as well. */
  readonly skipped?: readonly number[]
  /** Events that were left out by hand in earlier versions: tried here, and left out if they fail. Absent until a run has looked for them. */
  readonly carried?: readonly number[]
}

/** Where the runner is at work: behind the rows that readers see while it rebuilds them. */
export const workingPosition = (state: ProjectionState): number => state.rebuild?.position ?? state.position

/** An event whose handler waits. Whoever applies it awaits `done`, and says how that ended: each further promise would cost a turn of the queue. */
export interface Applying {
  readonly done: Promise<void>
  /** `done` was fulfilled. Throws if the event failed all the same. */
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
 * - `'stopped'`: the projection stands still
 * - `'rebuild-given-up'`: only that; it can go on with the rows that it had
 * - `'moved'`: nothing, as somebody began a rebuild, replayed or took over meanwhile, so that things stand elsewhere now
 */
export type FaultOutcome = 'stopped' | 'rebuild-given-up' | 'moved'

/** A commit's outcome. */
export interface CommitResult {
  /** Somebody asked to pause, perhaps in another tab; takes effect after this commit. */
  readonly paused: boolean
  /** Dead letters that wait, where they are kept beside the rows. */
  readonly deadLetterCount?: number
}

/** The runner's side of a projection. One runner at a time uses one target; targets of other contexts compete by commit. */
export interface ProjectionTarget<E extends EventShape = EventShape> {
  readonly name: string
  /** Checkpoint key and lock name: `name` for plain projectors, `name@version` for read models. */
  readonly key: string
  readonly filter: EventFilter<E>
  onFailure(failure: FailureContext<E>): ReadModelFailureStrategy | Promise<ReadModelFailureStrategy>
  /** Takes over, unless `signal` aborts first: raises the epoch, drops every cached row, and answers where things stand; see {@link workingPosition}. */
  begin(owner: string, signal?: AbortSignal): Promise<ProjectionState>
  /** Streams whose events are parked behind letters, as `begin` found them. */
  readonly blockedStreams?: ReadonlySet<string> | undefined
  /** Called with each page before its events are applied, so that rows can be loaded together. */
  prepare?(events: readonly RecordedEvent<E>[]): void | Promise<void>
  /** Preparing has to read so much that it should be told of more events at a time. */
  readonly preparesMuch?: boolean
  /** A commit made what was prepared incomplete for the rest of the page. */
  readonly wantsPreparing?: boolean
  /** Applies one event on top of what is pending. Throws what the handler threw, at once or later; its own writes are then gone. */
  apply(event: RecordedEvent<E>): void | Applying
  /** Whether an error that `apply` threw is the storage's and not the handler's: then the event is not to blame. */
  isStorageFailure?(error: unknown): boolean
  /**
   * Remembers, for the run that follows if this one dies, that the event at a position is applied next, alone. Without one: that
   * none is any more.
   *
   * @throws LeadershipLostError as `commit`
   */
  tries?(position?: number): Promise<void>
  /** Adds a dead letter to what is pending. */
  park(letter: DeadLetterRecord): void
  /**
   * Stores everything pending, with the new checkpoint, if the stored checkpoint and epoch are still those of this target.
   * `caughtUp` says that `position` is the head: a rebuild is then complete and takes the place of the old rows. `ends` is kept as
   * {@link ProjectionState.unclean}.
   *
   * @throws LeadershipLostError if they are not; nothing is stored then
   */
  commit(
    position: number,
    options: { readonly caughtUp: boolean; readonly ends?: number | undefined },
  ): Promise<CommitResult>
  /** Drops everything pending and cached. Call `begin` before going on. */
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
   * Leaves out the event that the projection stands at.
   *
   * @throws InvalidArgumentError if it does not stand at that event (any more)
   */
  skip(position: number): Promise<void>
  /** Dead letters after a position, in order. */
  deadLetters(after: number, limit: number): Promise<readonly DeadLetterRecord[]>
  /** Applies a parked event again and takes its letter away, in one transaction. */
  replay(position: number): Promise<void>
  discard(position: number): Promise<void>
  /** Whether a handler of this projection asks, which must not wait for it; see `StackGuard`. */
  caller(): true | Invocation | undefined
  close(): void
}
