/**
 * Which event ends the runs that apply it, before any error can be caught: an endless loop, or more memory than there
 * is. A run learns from what the runs before it left in the state. Pure.
 */
import type { ProjectionState } from './target.js'

/** After this many runs in a row that ended without a report and without a commit, commits hold few events … */
const endsBeforeSmall = 2
const smallBatch = 64
/** … and after one more, that many events are applied alone, each in a commit of its own and with a note before it … */
const endsBeforeAlone = 3
/** … and the event that ended this many runs is not applied again. */
const runsBeforeBlame = 2

export class PoisonEvents {
  /** How many runs in a row ended that way, before this one. */
  #ends = 0
  /** How many events are still to be applied alone. */
  #alone = 0
  #blamed: ProjectionState['trying']
  /** The position that this run noted, 0 if none. */
  #noted = 0

  /** The state was loaded. */
  begin({ unclean, trying }: Pick<ProjectionState, 'unclean' | 'trying'>): void {
    this.#ends = unclean?.ends ?? 0
    this.#noted = 0
    this.#alone = trying !== undefined || this.#ends >= endsBeforeAlone ? smallBatch : 0
    this.#blamed = trying !== undefined && trying.runs >= runsBeforeBlame ? trying : undefined
  }

  /** Each event is applied alone. */
  get alone(): boolean {
    return this.#alone > 0
  }

  /** How many events a commit may hold. */
  get mostPerCommit(): number {
    return this.alone ? 1 : this.#ends >= endsBeforeSmall ? smallBatch : Infinity
  }

  /** How many runs the event at a position ended, if it is not to be applied again. */
  runsEndedBy(position: number): number | undefined {
    return this.#blamed?.position === position ? this.#blamed.runs : undefined
  }

  /** The event must be noted in the state before it is applied. */
  needsNote(position: number): boolean {
    return this.alone && this.#noted !== position
  }

  noted(position: number): void {
    this.#noted = position
  }

  /**
   * The run is about to wait, and may be stopped or killed meanwhile, which is not the fault of the event. Returns
   * whether its note has to be removed.
   */
  takeNoteBack(): boolean {
    const had = this.#noted !== 0
    this.#noted = 0
    return had
  }

  /** A commit of this many events begins. Returns what it stores as `ends`. */
  committing(events: number): number | undefined {
    if (this.alone) {
      this.#alone = Math.max(0, this.#alone - events)
      if (!this.alone) this.#ends = endsBeforeSmall
    }
    return this.#ends >= endsBeforeSmall ? this.#ends : undefined
  }

  /** Everything is applied: no event of those was to blame. */
  caughtUp(): void {
    this.#ends = this.#alone = 0
  }
}
