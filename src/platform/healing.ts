/**
 * Chromium on LevelDB loses an origin after a write that failed, unless its log file is begun again in time: see
 * docs/engines.md.
 *
 * The failed write leaves half a record at the end of the log file, and LevelDB writes on behind it. When it reads the
 * file at the next start of the browser, that is damage in the middle of a file, and Chromium deletes all databases of
 * the origin. Deleting a database makes Chromium compact, for which LevelDB stores what it has in memory elsewhere and
 * begins a new log file. So that is done here, as soon as writes work again.
 */
import { deleteDB, openDB } from 'idb'
import { notice, say } from '../messages.js'
import { pauseBefore } from './backoff.js'
import { sleep, systemClock, type Clock } from './clock.js'
import { withDeadline } from './deadline.js'
import { inChromium } from './engine-quirks.js'
import { feature } from './features.js'
import { listenerSet } from './listeners.js'
import type { Signals } from './signals.js'
import { tell } from './tasks.js'

/** What a store reports of the storage that it is in. */
export type StorageOccurrence =
  /**
   * A write failed in a way after which the browser may lose everything of this origin when it is closed; see
   * `message`. Repairing that is tried until it succeeds.
   */
  | { readonly type: 'storage-healing'; readonly message: string; readonly error?: unknown }
  /** That danger is over: what was acknowledged is safe again. */
  | { readonly type: 'storage-healed' }

/** An occurrence, with its time. */
export type StorageReport = StorageOccurrence & {
  /** The wall clock, ms since the epoch. */
  readonly time: number
}

/** What is at risk, and what to do. */
export const danger = say`Chromium may lose all data of this site when the browser is closed: keep it open until storage-healed is reported, free space on the device, or export the events now.`

/**
 * The database that is made and deleted, the lock of those who do, and the key that a reloaded page finds. No store has
 * an empty name.
 */
const scratch = 'tidemark::healing'
/**
 * The compaction is not waited for by the deletion. It has ended when the later ones succeed: a failed one fails every
 * write after it.
 */
const rounds = 3
/** After each round, ms. */
const settling = 400
/** How long the lock is kept so that the hint reaches the other pages first, ms. */
const hearing = 100
/** Before a try, ms; twice as long after each that fails. */
const pauses = { delay: 1_000, maxDelay: 30_000 }
/** Between two tries that follow writes that work, ms. */
const spacing = 250
/**
 * A page says that a write failed, and the connections of this one closed so little before that it was the same
 * failure, ms.
 */
const related = 10_000
/** One request of the storage may take so long, ms. */
const deadline = 30_000

export class Healing {
  readonly #clock: Clock
  /** The channels of the stores that are open here. */
  readonly #stores = new Set<Signals>()
  readonly #listeners = listenerSet<[StorageOccurrence]>()
  /** What is reported while there is danger. */
  #reported: StorageOccurrence | undefined
  #failures = 0
  #failedAt = 0
  #triedAt = -Infinity
  #closedAt = -Infinity
  /** Tries in a row that failed. */
  #retries = 0
  #cancel = () => {}
  #attempt: AbortController | undefined

  constructor(clock: Clock = systemClock) {
    this.#clock = clock
  }

  /** A write failed in a way that leaves half a record; or another page, or an earlier one, says so. */
  failed(error?: unknown): void {
    this.#failures += 1
    this.#failedAt = this.#clock.now()
    if (this.#reported === undefined) {
      this.#reported = {
        type: 'storage-healing',
        message: notice('storage-healing', danger),
        ...(error === undefined ? {} : { error }),
      }
      // Workers have no such storage.
      feature((here) => here.localStorage.setItem(scratch, ''))
      this.#post({ kind: 'healing' })
      this.#listeners.tell(this.#reported)
    }
    this.#plan(pauseBefore(this.#retries, pauses))
  }

  /** A write succeeded: there may be space again. */
  worked(): void {
    if (this.#reported !== undefined) this.#plan(this.#triedAt + spacing - this.#clock.monotonic())
  }

  /** The browser closed a connection, as it does with all of an origin after such a failure. */
  closed(): void {
    this.#closedAt = this.#clock.monotonic()
  }

  /** Calls back with what happens, and immediately if there is danger. Returns how to stop that. */
  subscribe(listener: (occurrence: StorageOccurrence) => void): () => void {
    const reported = this.#reported
    if (reported !== undefined) tell(() => listener(reported))
    return this.#listeners.add(listener)
  }

  /** A store is open here: while one is, what is damaged is repaired. Returns how to end that. */
  join(signals: Signals): () => void {
    if (!inChromium()) return () => {}
    this.#stores.add(signals)
    const stopListening = signals.listen((hint) => {
      if (hint.kind === 'healing' && this.#reported === undefined && this.#clock.monotonic() - this.#closedAt < related)
        this.failed()
      // What failed after that began is not repaired.
      if (hint.kind === 'healed' && this.#reported !== undefined && this.#failedAt <= hint.at) this.#sound()
    })
    this.#plan(pauses.delay)
    // Nothing that keeps the app from starting.
    const cancel = this.#clock.schedule(pauses.delay, () => void this.#checkForDanger())
    return () => {
      stopListening()
      cancel()
      this.#stores.delete(signals)
      if (this.#stores.size > 0) return
      this.#cancel()
      this.#attempt?.abort()
    }
  }

  /** Whether a page that is gone knew of danger, or was about to end it. */
  async #checkForDanger(): Promise<void> {
    const known =
      feature((here) => here.localStorage.getItem(scratch)) ??
      (await indexedDB.databases().catch(() => [])).find(({ name }) => name === scratch)
    if (known === undefined || this.#reported !== undefined || this.#stores.size === 0) return
    this.failed()
    this.#plan(0)
  }

  #plan(ms: number): void {
    this.#cancel()
    if (this.#reported !== undefined && this.#stores.size > 0 && this.#attempt === undefined)
      this.#cancel = this.#clock.schedule(ms, () => void this.#try())
  }

  async #try(): Promise<void> {
    const attempt = (this.#attempt = new AbortController())
    const { signal } = attempt
    this.#triedAt = this.#clock.monotonic()
    try {
      const work = () => this.#heal(signal)
      // One of several pages does it; the others are notified.
      await (feature((here) => here.navigator.locks)?.request(scratch, { signal }, work) ?? work())
    } catch (error) {
      // The disk is still full, and this was a write that failed. Pages that missed the first hint are notified now.
      if (!signal.aborted) {
        this.#retries += 1
        this.failed(error)
        this.#post({ kind: 'healing' })
      }
    }
    this.#attempt = undefined
    this.#plan(pauseBefore(this.#retries, pauses))
  }

  async #heal(signal: AbortSignal): Promise<void> {
    const at = this.#clock.now()
    const failures = this.#failures
    for (let round = 0; round < rounds; round += 1) {
      if (signal.aborted || this.#reported === undefined || failures !== this.#failures) return
      await this.#limited(openDB(scratch).then((database) => database.close()))
      await this.#limited(deleteDB(scratch))
      await sleep(this.#clock, settling, signal)
    }
    if (signal.aborted || this.#reported === undefined || failures !== this.#failures) return
    this.#post({ kind: 'healed', at })
    this.#sound()
    // Pages that wait for the lock are to receive the hint first.
    await sleep(this.#clock, hearing, signal)
  }

  #limited(work: Promise<unknown>): Promise<unknown> {
    return withDeadline(this.#clock, deadline, work, () => new Error(scratch))
  }

  #sound(): void {
    this.#reported = undefined
    this.#retries = 0
    this.#cancel()
    feature((here) => here.localStorage.removeItem(scratch))
    this.#listeners.tell({ type: 'storage-healed' })
  }

  #post(hint: Parameters<Signals['post']>[0]): void {
    for (const store of this.#stores) store.post(hint)
  }
}

/** Of this context: an origin has one LevelDB for all its databases. */
export const healing = new Healing()
