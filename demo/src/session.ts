/** The version of the board that is shown, the one that may be built beside it, and who runs them. */
import { openReadModel, startProjection } from 'tidemark'
import { messageOf, notify } from './dom.js'
import { defineBoard, type Board, type Store } from './flights.js'

/** What all tabs share beside the log. */
export const shared = {
  /** The version on show. */
  get version(): number {
    return Number(localStorage.getItem('flight-desk:version') ?? 1)
  },
  set version(version: number) {
    localStorage.setItem('flight-desk:version', String(version))
  },
  /** The version being built, or null. */
  get next(): number | null {
    const next = localStorage.getItem('flight-desk:next')
    return next === null ? null : Number(next)
  },
  set next(version: number | null) {
    if (version === null) localStorage.removeItem('flight-desk:next')
    else localStorage.setItem('flight-desk:next', String(version))
  },
  /** Whether the handler copes with a landing without a destination. */
  get fixed(): boolean {
    return localStorage.getItem('flight-desk:fixed') === 'yes'
  },
  set fixed(fixed: boolean) {
    localStorage.setItem('flight-desk:fixed', fixed ? 'yes' : 'no')
  },
}

export const boardAt = (version: number): Board => defineBoard(version, () => shared.fixed)

const openView = (store: Store, board: Board) => openReadModel(store, board)
const start = (store: Store, board: Board) => startProjection(board, store, { mode: 'continuous' })

export type View = Awaited<ReturnType<typeof openView>>
export type Running = ReturnType<typeof start>

export class Session {
  version = shared.version
  view: View | undefined
  /** Runs the version on show; undefined while stopped in this tab. */
  running: Running | undefined
  /** Builds the next version beside it. */
  building: { readonly version: number; readonly running: Running } | undefined

  readonly #store: Store
  readonly #listeners = new Set<() => void>()

  constructor(store: Store) {
    this.#store = store
  }

  /** Calls back when the view, a projection, or what is shared between tabs was exchanged. */
  subscribe(listener: () => void): void {
    this.#listeners.add(listener)
  }

  #changed(): void {
    for (const listener of this.#listeners) listener()
  }

  async open(): Promise<void> {
    this.view = await openView(this.#store, boardAt(this.version))
    this.start()
    this.#followNext()
    addEventListener('storage', (event) => {
      if (event.key === 'flight-desk:version' || event.key === 'flight-desk:next') {
        this.#followNext()
        void this.#show(shared.version)
      }
      if (event.key?.startsWith('flight-desk:')) this.#changed()
    })
  }

  /** Takes part in leading the projection from this tab. */
  start(): void {
    this.running ??= start(this.#store, boardAt(this.version))
    this.#changed()
  }

  async stop(): Promise<void> {
    const { running } = this
    this.running = undefined
    this.#changed()
    await running?.stop()
    this.#changed()
  }

  /** Asks for a new version; every tab offers to build it, one does. */
  rebuild(): void {
    shared.next = Math.max(this.version, shared.next ?? 0) + 1
    this.#followNext()
    this.#changed()
  }

  setFixed(fixed: boolean): void {
    shared.fixed = fixed
    this.#changed()
  }

  #followNext(): void {
    const { next } = shared
    if (next === null || next <= this.version || this.building?.version === next) return
    const before = this.building
    void before?.running.stop()
    const building = { version: next, running: start(this.#store, boardAt(next)) }
    this.building = building
    void (async () => {
      try {
        await building.running.caughtUp(await this.#store.head())
        if (this.building !== building) return
        shared.version = next
        if (shared.next === next) shared.next = null
        await this.#show(next)
      } catch (error) {
        if (this.building === building) notify(`Version ${next} could not be built: ${messageOf(error)}`, 'trouble')
      }
    })()
  }

  /** Changes over: first the new view, then away with the old, so that the board is never empty. */
  async #show(version: number): Promise<void> {
    if (version <= this.version) return
    const old = { view: this.view, running: this.running }
    const built = this.building?.version === version ? this.building.running : undefined
    this.version = version
    this.building = undefined
    this.view = await openView(this.#store, boardAt(version))
    // A tab that was stopped stays so.
    if (old.running === undefined) await built?.stop()
    else this.running = built ?? start(this.#store, boardAt(version))
    this.#changed()
    notify(`The board now shows version ${version}. The old one was readable until this moment.`)
    await old.running?.stop()
    await old.view?.close()
  }
}
