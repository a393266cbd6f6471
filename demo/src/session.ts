/** The version of the board that is shown, the one that may be built in parallel, and who runs them. */
import { openReadModel, startProjection, type ProjectionReport } from 'tidemark'
import { boardName, defineBoard, type Board, type Store } from './flights.js'
import { inBackground, messageOf, notify } from './notice.js'
import { count } from './numbers.js'
import { onSharedChange, shared } from './shared.js'

const boardAt = (version: number): Board => defineBoard(version, () => shared)

const openView = (store: Store, board: Board) => openReadModel(store, board)
const start = (store: Store, board: Board, onReport: (report: ProjectionReport) => void = () => {}) =>
  startProjection(store, board, { mode: 'continuous', onReport })

export type View = Awaited<ReturnType<typeof openView>>
export type Running = ReturnType<typeof start>
export type Status = ReturnType<Running['status']['getSnapshot']>

/** Resolves once a projection that stopped or was paused runs again, or never will; after a moment in any case. */
const goesOn = (running: Running) =>
  new Promise<void>((resolve) => {
    const look = () => {
      const { phase } = running.status.getSnapshot()
      if (phase === 'faulted' || phase === 'paused') return
      unsubscribe()
      setTimeout(resolve, 500)
    }
    const unsubscribe = running.status.subscribe(look)
    look()
  })

interface Building {
  readonly version: number
  readonly running: Running
  /** Where it left events out by itself, because they were skipped in an earlier version. */
  readonly skipped: number[]
}

export class Session {
  version = shared.version
  view: View | undefined
  /** Runs the version on show; undefined while stopped in this tab. */
  running: Running | undefined
  /** Builds the next version in parallel. */
  building: Building | undefined

  readonly #store: Store
  readonly #listeners = new Set<() => void>()
  /** How to stop listening to the status of what runs. */
  readonly #followed = new Map<Running, () => void>()

  constructor(store: Store) {
    this.#store = store
  }

  /** Ends the name of the lock that the leader of the version on show holds. */
  get lockName(): string {
    return `:${boardName}@${this.version}`
  }

  /** Calls back when the status of a projection changed, or the view, a projection or what tabs share was exchanged. */
  subscribe(listener: () => void): void {
    this.#listeners.add(listener)
  }

  readonly #tell = () => {
    for (const listener of this.#listeners) listener()
  }

  #changed(): void {
    const runs = new Set([this.running, this.building?.running].filter((running) => running !== undefined))
    for (const [running, unsubscribe] of this.#followed) {
      if (runs.has(running)) continue
      unsubscribe()
      this.#followed.delete(running)
    }
    for (const running of runs)
      if (!this.#followed.has(running)) this.#followed.set(running, running.status.subscribe(this.#tell))
    this.#tell()
  }

  async open(): Promise<void> {
    this.view = await openView(this.#store, boardAt(this.version))
    this.start()
    onSharedChange(() => {
      this.#followNext()
      inBackground(this.#show(shared.version))
      this.#changed()
    })
  }

  /** Takes part in leading the projection from this tab. */
  start(): void {
    this.running ??= start(this.#store, boardAt(this.version))
    this.#followNext()
    this.#changed()
  }

  /** Lets others lead, and builds nothing either. */
  async stop(): Promise<void> {
    const { running, building } = this
    this.running = this.building = undefined
    this.#changed()
    await Promise.all([running?.stop(), building?.running.stop()])
    this.#changed()
  }

  /** Asks for a new version; every tab that was not stopped offers to build it, one does. */
  buildNext(): void {
    shared.next = Math.max(this.version, shared.next ?? 0) + 1
    this.#followNext()
    this.#changed()
  }

  /** Builds no new version after all, in any tab. */
  giveUp(): void {
    shared.next = null
    this.#followNext()
    this.#changed()
  }

  /** Changes how failing events are dealt with, in every tab. */
  handle(change: Partial<Pick<typeof shared, 'fixed' | 'policy'>>): void {
    Object.assign(shared, change)
    this.#changed()
  }

  #followNext(): void {
    const { next } = shared
    if (next === null && this.building !== undefined && this.building.version > shared.version) {
      inBackground(this.building.running.stop())
      this.building = undefined
    }
    if (this.running === undefined || next === null || next <= this.version || this.building?.version === next) return
    const before = this.building
    if (before) inBackground(before.running.stop())
    const skipped: number[] = []
    const running = start(this.#store, boardAt(next), (report) => {
      if (report.type === 'skipped' && report.attempts > 0) skipped.push(report.position)
    })
    const building: Building = { version: next, running, skipped }
    this.building = building
    void (async () => {
      try {
        await this.#built(building)
        if (this.building !== building) return
        shared.version = next
        if (shared.next === next) shared.next = null
        await this.#show(next)
      } catch (error) {
        notify(`Version ${next} could not be shown: ${messageOf(error)}`, 'trouble')
      }
    })()
  }

  /** Resolves once a version is complete, or not wanted any more: an event that it stopped at may be skipped, or work when tried again. */
  async #built(building: Building): Promise<void> {
    while (this.building === building) {
      try {
        await building.running.caughtUp(await this.#store.head())
        return
      } catch (error) {
        if (this.building === building) {
          const stopped = building.running.status.getSnapshot().phase === 'faulted'
          notify(
            `Version ${building.version} ${stopped ? 'stopped at an event. Skip it, or fix the handler and try again, or give the version up.' : `is not complete: ${messageOf(error)}`}`,
            'trouble',
          )
        }
        await goesOn(building.running)
      }
    }
  }

  /** Changes over: first the new view, then away with the old, so that the board is never empty. */
  async #show(version: number): Promise<void> {
    if (version <= this.version) return
    const old = { view: this.view, running: this.running }
    const { running: built, skipped = [] } = this.building?.version === version ? this.building : {}
    this.version = version
    this.building = undefined
    this.view = await openView(this.#store, boardAt(version))
    // A tab that was stopped stays so.
    if (old.running === undefined) await built?.stop()
    else this.running = built ?? start(this.#store, boardAt(version))
    this.#changed()
    notify(
      `The board now shows version ${version}. The old one was readable until this moment.${
        skipped.length === 0
          ? ''
          : ` It leaves out the ${skipped.length === 1 ? `event at ${count(skipped[0] ?? 0)}` : `${count(skipped.length)} events`} that an earlier version skipped.`
      }`,
    )
    await old.running?.stop()
    await old.view?.close()
  }
}
