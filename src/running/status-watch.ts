/** Keeps the status of a projection true, also where another context runs it. */
import { messageOf } from '../errors.js'
import type { EventShape } from '../events/event.js'
import { storeInternals, type TidemarkStore } from '../log/open.js'
import type { Clock } from '../platform/clock.js'
import { singleFlight } from '../platform/single-flight.js'
import type { ProjectionReport } from '../projection/report.js'
import type { ProjectionState } from '../projection/target.js'
import type { Attached } from './attach.js'
import type { StatusKeeper } from './status-keeper.js'

/** How long a follower waits after an append before it reads where the head is, ms. */
const headDelay = 200
/** For how long a look counts that found the projection at the end of the log, ms. */
const restKnown = 8_000

/** Reads the stored state after hints and after reports that call for it, and takes in the looks by the clock. */
export class StatusWatch<E extends EventShape> {
  readonly #store: TidemarkStore<E>
  readonly #status: StatusKeeper
  readonly #clock: Clock
  readonly #stopping: AbortSignal
  readonly #attached: () => Attached<E> | undefined
  readonly #recovered: () => void
  readonly #undo: (() => unknown)[] = []
  #cancelHead: (() => void) | undefined
  /** How often the run reported what it has stored: a look that began before that finds an older state. */
  #progressReports = 0
  /** A look by the clock, until it is taken in. */
  #looked: Promise<ProjectionState> | undefined
  #isLooking = false
  /** What the last look found, if nothing was to be done then, and when. */
  #rest: { readonly state: ProjectionState; readonly at: number } | undefined
  #behind: ((head: number) => void) | undefined
  /** An event was parked since the last look. */
  #parked = false
  /** The fault of the run here was found in the stored state at this position, so that its absence means something. */
  #faultAt: number | undefined

  /**
   * @param attached returns nothing until the projection is joined to its store
   * @param recovered called when the fault that stopped the run here is gone: the event was skipped, a rebuild began,
   * the rows were deleted, or another context passed it
   */
  constructor(
    store: TidemarkStore<E>,
    status: StatusKeeper,
    clock: Clock,
    stopping: AbortSignal,
    attached: () => Attached<E> | undefined,
    recovered: () => void,
  ) {
    this.#store = store
    this.#status = status
    this.#clock = clock
    this.#stopping = stopping
    this.#attached = attached
    this.#recovered = recovered
  }

  /**
   * Looks at the stored state. Resolves after a look that began after the call; one at a time, however many hints come.
   */
  readonly look = singleFlight(() => this.#look())

  /** See `RunnerPorts`. The looks are five seconds apart; where they do not come, nothing is known. */
  readonly resting = (): ProjectionState | undefined =>
    this.#rest !== undefined && this.#clock.monotonic() - this.#rest.at < restKnown ? this.#rest.state : undefined

  /** See `RunnerPorts`. */
  readonly onBehind = (listener: (head: number) => void): (() => void) => {
    this.#behind = listener
    return () => {
      this.#behind = undefined
    }
  }

  /** A run of this context stopped with a fault. */
  faulted(): void {
    this.#faultAt = undefined
  }

  report(report: ProjectionReport): void {
    this.#status.report(report)
    const { type } = report
    if (type === 'parked') this.#parked = true
    if (type === 'loaded' || type === 'committed') this.#progressReports += 1
    // A leader knows its position; the owner is stored, and so is the number of dead letters of a plain projector.
    const uncounted = type === 'committed' && this.#parked && report.deadLetterCount === undefined
    if (type !== 'waiting' && type !== 'loaded' && !uncounted) return
    this.#parked = false
    void this.look()
  }

  /** Listens for what other contexts do, from now on. */
  start({ target, backend, watch }: Attached<E>): void {
    if (this.#undo.length > 0) return
    const status = this.#status
    this.#undo.push(
      watch(this.#clock)((state) => {
        // One that is under way is about as new.
        if (this.#isLooking) return
        this.#looked = state
        void this.look()
      }),
      storeInternals(this.#store).signals.listen((hint) => {
        if (hint.kind === 'head') this.#rest = undefined
        const { leader } = status.getSnapshot()
        if ('projection' in hint) {
          if (hint.projection === target.key && !(hint.kind === 'committed' && leader)) void this.look()
        } else if (hint.kind === 'head' && !leader) this.#lookSoon()
      }),
      () => this.#cancelHead?.(),
    )
    // A run reports it as well, but a run may have ended.
    const stopHearing = backend.onStorage?.((occurrence) => status.storage(occurrence))
    if (stopHearing !== undefined) this.#undo.push(stopHearing)
  }

  stop(): void {
    for (const undo of this.#undo.splice(0)) undo()
  }

  /** A leader reads the head with every page; others need it for show only, and appends may come by the thousand. */
  #lookSoon(): void {
    this.#cancelHead ??= this.#clock.schedule(headDelay, () => {
      this.#cancelHead = undefined
      void this.look()
    })
  }

  async #look(): Promise<void> {
    const status = this.#status
    const target = this.#attached()?.target
    const looked = this.#looked
    this.#looked = this.#rest = undefined
    if (target === undefined || this.#stopping.aborted) return
    this.#isLooking = true
    try {
      const before = this.#progressReports
      const { leader, phase, head } = status.getSnapshot()
      // A leader at rest reads the head itself as often.
      const isKnown = looked !== undefined && leader && phase === 'live'
      const [state, end] = await Promise.all([looked ?? target.state(), isKnown ? head : this.#store.head()])
      const isRun = !status.mayLackRunner(state, end) || (await this.#isHeld(target.key))
      status.stored(state, end, this.#progressReports !== before, isRun)
      if (state.position < end) this.#behind?.(end)
      else if (state.rebuild === undefined) this.#rest = { state, at: this.#clock.monotonic() }
      if (status.getSnapshot().phase === 'faulted') this.#compareFault(state)
    } catch (error) {
      // Closing, or a failure of the storage that the run itself reports once it runs.
      if (!this.#stopping.aborted && ['starting', 'standby'].includes(status.getSnapshot().phase))
        status.set({ message: messageOf(error), lastError: error })
    } finally {
      this.#isLooking = false
    }
  }

  /** Without an answer of the coordinator, the lock counts as held. */
  async #isHeld(key: string): Promise<boolean> {
    return (await this.#store.coordinator.isHeld?.(key)) ?? true
  }

  #compareFault({ fault, position, rebuild, owner }: ProjectionState): void {
    if (fault !== undefined) this.#faultAt = fault.position
    else if (this.#faultAt !== undefined && (position >= this.#faultAt || rebuild !== undefined || owner === ''))
      this.#recovered()
  }
}
