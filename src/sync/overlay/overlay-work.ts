/** Applying own events to the rows of a read model in memory: by the handlers and folds that fold the log. */
import { InvalidArgumentError } from '../../errors.js'
import type { RecordedEvent } from '../../events/event.js'
import { say } from '../../messages.js'
import type { Clock } from '../../platform/clock.js'
import { Slices } from '../../platform/slices.js'
import type { Applying } from '../../projection/target.js'
import type { Projection } from '../../read-model/define.js'
import { rowSource, type ReadModelStorage } from '../../read-model/storage.js'
import type { StateRow } from '../../read-model/state.js'
import { UnitOfWork } from '../../read-model/unit-of-work/unit-of-work.js'
import { FoldReads, type AskedAgain } from './fold-reads.js'
import type { LaidRows } from './merged.js'

/** An own event, ready to be applied. */
export interface OwnApplied {
  readonly event: RecordedEvent
  /** The name of its commit, if that is pending. */
  readonly commit: string | undefined
  /** Why it cannot be read. */
  readonly error?: unknown
}

/** How long the handler of one event may take, ms. A run waits for it without end, but here a query waits. */
const longest = 5_000

/** Rows are asked for one by one: `FoldReads` remembers them, and reads others with them. */
const onlyAsked = { push: () => 0 }

/** A unit of work for own events, over the stored rows of one state. Its rows are kept in memory and stored nowhere. */
export class OverlayWork {
  readonly #work: UnitOfWork<never>
  readonly #clock: Clock
  readonly #isNow: (state: StateRow) => Promise<boolean>
  /** What it read of the stored rows. */
  readonly reads: FoldReads
  /** Of these rows. */
  #state: StateRow
  /** How many of the events are of the log. */
  #ofLog = 0
  /** A handler was given up, which may go well another time. */
  #isUnsure = false
  /** How many of its reads are known to be of the state that it began with. */
  #checkedReads = 0
  /** How many handlers returned a promise, and how to give up the one that is waited for. */
  #waits = 0
  #giveUp = () => {}
  /** By the name of the commit: why views do not show an event of it. */
  readonly unshown = new Map<string, unknown>()

  /**
   * @param isNow whether the rows are still in a state
   * @param again what is known of the rows in this state
   */
  constructor(
    definition: Projection,
    storage: ReadModelStorage,
    state: StateRow,
    clock: Clock,
    isNow: (state: StateRow) => Promise<boolean>,
    again?: AskedAgain,
  ) {
    this.#clock = clock
    this.#isNow = isNow
    this.#state = state
    const isEmpty = state.position === 0
    this.reads = new FoldReads(definition.tables, rowSource(storage, state.shown), isEmpty, again)
    const { source } = this.reads
    this.#work = new UnitOfWork(definition as unknown as Projection<never>, source, onlyAsked)
    this.#work.reset(source, isEmpty)
  }

  /** The rows that were changed so far. The map changes with the next event. */
  get rows(): LaidRows {
    return this.#work.pending as LaidRows
  }

  /**
   * Whether its rows are those that it would make of rows in another state, if what it read is the same there.
   *
   * @param ofLog how many of its events are of the log now
   */
  isOf({ shown, log }: StateRow, ofLog: number): boolean {
    const of = this.#state
    // Of no rows at all nothing was read.
    return of.position > 0 && of.shown === shown && of.log === log && ofLog === this.#ofLog && !this.#isUnsure
  }

  /** All that it read is what it would read in this state. */
  moveTo(state: StateRow): void {
    this.#state = state
  }

  /**
   * Applies events, in slices of time. One that fails is left out, and nothing else.
   *
   * @returns false if it has read rows of a later state
   * @throws what the storage throws
   */
  async apply(pages: AsyncIterable<readonly OwnApplied[]>): Promise<boolean> {
    const slices = new Slices(() => this.#clock.monotonic())
    const stopWatching = this.#watch()
    let isWhole = true
    try {
      for await (const page of pages) {
        await this.#work.prepare(page.flatMap(({ event, error }) => (error === undefined ? [event as never] : [])))
        // It continues all the same: what it reads is read together the next time.
        isWhole &&= await this.#isWhole()
        for (const [at, one] of page.entries()) {
          const waiting = this.#applyOne(one)
          if (waiting !== undefined) await waiting
          if (at % 8 === 7 && slices.isOver) await slices.turn()
        }
      }
    } finally {
      stopWatching()
    }
    return isWhole && this.#isWhole()
  }

  /** Whether all rows so far are of one state. Asked soon after rows were read, since later changes do not matter. */
  async #isWhole(): Promise<boolean> {
    const { reads } = this.reads
    if (reads !== this.#checkedReads && !(await this.#isNow(this.#state))) return false
    this.#checkedReads = reads
    return true
  }

  /** Gives up a handler that takes too long. Returns how to stop that. */
  #watch(): () => void {
    let cancel = () => {}
    const arm = () => {
      const at = this.#waits
      cancel = this.#clock.schedule(longest, () => {
        if (at === this.#waits) this.#giveUp()
        arm()
      })
    }
    arm()
    return () => cancel()
  }

  #applyOne(one: OwnApplied): Promise<void> | undefined {
    if (one.commit === undefined) this.#ofLog += 1
    try {
      if (one.error !== undefined) throw one.error
      const applying = this.#work.apply(one.event as never)
      if (applying !== undefined) return this.#applied(applying, one)
    } catch (error) {
      this.#failed(one, error)
    }
    return undefined
  }

  async #applied(applying: Applying, one: OwnApplied): Promise<void> {
    this.#waits += 1
    try {
      try {
        await new Promise<void>((resolve, reject) => {
          const { type } = one.event
          this.#giveUp = () => {
            this.#isUnsure = true
            reject(new InvalidArgumentError(say`The handler of '${type}'`, say`did not settle within ${longest} ms.`))
          }
          applying.done.then(resolve, reject)
        })
      } catch (error) {
        applying.failed(error)
      }
      applying.ended()
    } catch (error) {
      this.#failed(one, error)
    }
  }

  #failed({ commit }: OwnApplied, error: unknown): void {
    if (this.#work.isStorageFailure(error)) throw error
    if (commit !== undefined && !this.unshown.has(commit)) this.unshown.set(commit, error)
  }
}
