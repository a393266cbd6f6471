/** What a projection needs in addition to a log to read. Any object with these methods will do. */

/** An event that was parked: what it was, and why. Stored in the same transaction as the checkpoint. */
export interface DeadLetterRecord {
  readonly position: number
  readonly eventId: string
  readonly eventType: string
  readonly stream: string
  readonly errorName: string
  readonly message: string
  /** How often it was tried, the first time included; 0 for one that waits because its stream is blocked. */
  readonly attempts: number
  /** When it was parked, in ms since the epoch. */
  readonly time: number
  /** Later events of its stream are parked without being tried. */
  readonly holdsStream?: true
}

/** How a checkpoint is saved, and what is saved with it. */
export interface SaveOptions {
  /** Save only if the stored position (0 where nothing is stored) is still this one. @default save in any case */
  readonly expected?: number
  /** Dead letters to keep, together with the position. A store that cannot keep them ignores them. @default none */
  readonly deadLetters?: readonly DeadLetterRecord[]
  /**
   * Remove the dead letters that were kept before, together with the position: their events come again.
   * @default false
   */
  readonly dropDeadLetters?: boolean
}

/** Where the checkpoints of plain projectors are kept. */
export interface CheckpointStore {
  /** Resolves with the saved position, or with nothing if none was saved: the projector begins with the first event. */
  load(name: string): Promise<number | undefined | null>
  /**
   * Saves a position.
   *
   * @throws LeadershipLostError if the stored position is not the `expected` one
   */
  save(name: string, position: number, options?: SaveOptions): Promise<void>
  /**
   * Dead letters after a position, in order, at most `limit` of them. A store without this method keeps none: parking
   * is then reported and forgotten.
   */
  deadLetters?(name: string, after: number, limit: number): Promise<readonly DeadLetterRecord[]>
  /** How many dead letters are kept. */
  countDeadLetters?(name: string): Promise<number>
  /**
   * Removes a dead letter. Resolves with false if no dead letter is at that position. Without it, dead letters can be
   * read, and neither replayed nor discarded.
   */
  removeDeadLetter?(name: string, position: number): Promise<boolean>
}

/** Leadership over one name. */
export interface Guard {
  /** Aborts when leadership was taken away. Never aborts on `release`. */
  readonly lost?: AbortSignal
  /** Gives leadership up, so that the next context in the queue gets it. May be called twice. */
  release(): void
}

/**
 * Which context may run a projection. Leadership saves work; what makes a read model correct is the fencing check of
 * each commit.
 */
export interface Coordinator {
  /** Resolves with a guard, or immediately with nothing if another context holds the name. */
  tryAcquire(name: string): Promise<Guard | undefined | null>
  /** Waits in line. Rejects with the signal's reason when that aborts. */
  acquire(name: string, options?: { readonly signal?: AbortSignal }): Promise<Guard>
  /**
   * Whether any context holds the name. Without it, a status cannot tell a projection that no context runs from one
   * that makes no progress.
   */
  isHeld?(name: string): Promise<boolean>
}
