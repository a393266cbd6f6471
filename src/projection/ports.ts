/** What a projection needs of the world. Any object with these methods is a backend. */
import type { EventShape } from '../events/event.js'
import type { EventReader } from '../log/event-store.js'
import type { DeadLetterRecord } from './target.js'

/** Besides the position. */
export interface SaveOptions {
  /** Save only if the stored position (0 for none) is still this one. */
  readonly expected?: number
  /** Dead letters to keep, together with the position. A store that cannot keep them ignores them. */
  readonly deadLetters?: readonly DeadLetterRecord[]
  /** Take away the letters that were kept before, together with the position: their events come again. */
  readonly dropDeadLetters?: boolean
}

/** Where the checkpoints of plain projectors live. */
export interface CheckpointStore {
  /** The saved position, or nothing if there never was one: from the beginning. */
  load(name: string): Promise<number | undefined | null>
  /**
   * Saves a position. With `expected` it is saved only if the stored position (0 for none) is still that one.
   *
   * @throws LeadershipLostError if it is not
   */
  save(name: string, position: number, options?: SaveOptions): Promise<void>
  /** Dead letters after a position, in order. A store without it keeps none: parking is then reported and forgotten. */
  deadLetters?(name: string, after: number, limit: number): Promise<readonly DeadLetterRecord[]>
  /** How many wait. */
  countDeadLetters?(name: string): Promise<number>
  /** Takes a dead letter away. Answers false if it is not there. */
  removeDeadLetter?(name: string, position: number): Promise<boolean>
}

/** Leadership over one name. */
export interface LeadershipGuard {
  /** Aborts when leadership was taken away. Never aborts on `release`. */
  readonly lost?: AbortSignal
  /** Gives leadership up; the next in the queue gets it. May be called twice. */
  release(): void
}

/** Who may run a projector. Leadership saves work; correctness comes from the commit. */
export interface ProjectorCoordinator {
  /** A guard, or nothing at once if another holds the name. */
  tryAcquire(name: string): Promise<LeadershipGuard | undefined | null>
  /** Waits in line. Rejects with the signal's reason when aborted. */
  acquire(name: string, options?: { readonly signal?: AbortSignal }): Promise<LeadershipGuard>
}

/** The three ports together: what `runProjection` accepts. */
export interface ProjectionBackend<E extends EventShape = EventShape>
  extends EventReader<E>, CheckpointStore, ProjectorCoordinator {}
