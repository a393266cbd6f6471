/**
 * Where a run is: loads the checkpoint, commits, and recovers after a failure of the storage. Pure: effects are
 * yielded.
 */
import { hasCode, LogInconsistentError, ProjectionFailedError } from '../errors.js'
import { say } from '../messages.js'
import { Batch, type RunProgress } from './batching.js'
import type { Settings } from './config.js'
import { perform, report, sleep, type Steps } from './effects.js'
import { isFinal, Retries, StorageFailures, type RetryMoment, type StorageWork } from './failures.js'
import { PoisonEvents } from './poison-events.js'
import { SetAside } from './set-aside.js'

/** How the work on a page ended. `'again'`: read again from where the checkpoint is. */
export type Turn = 'done' | 'again' | 'aborted' | 'budget' | 'retrying'

/** What the parts of the machine share about one run. */
export class RunState {
  readonly name: string
  readonly run: RunProgress
  readonly random: () => number
  readonly batch: Batch
  readonly failures: StorageFailures
  readonly retries: Retries
  readonly poison = new PoisonEvents()
  readonly aside = new SetAside()
  /** Everything up to here is applied, committed or not. */
  cursor = 0
  paused = false
  rebuilding = false
  now = 0
  /** When the stored state was last read. */
  checkedAt = 0
  /** The last read ended before the checkpoint. */
  #beyond = false

  constructor(name: string, settings: Settings, random: () => number, run: RunProgress) {
    this.name = name
    this.run = run
    this.random = random
    this.batch = new Batch(settings, run)
    this.failures = new StorageFailures(name, settings)
    this.retries = run.retries ?? new Retries(settings)
  }

  /** Loads the checkpoint, until it can be loaded. Returns true if the run was aborted. */
  *load(): Steps<boolean> {
    for (;;) {
      const loaded = yield* perform({ kind: 'load-checkpoint' })
      if ('error' in loaded) {
        const { error } = loaded
        // Newer code of the app is open, so this context may not load it.
        if (error instanceof ProjectionFailedError || hasCode(error, 'leadership-lost')) throw error
        // Another look does not repair a damaged state.
        if (yield* this.failed('loading', error, isFinal(error) || error instanceof LogInconsistentError)) return true
        continue
      }
      const { position, paused, rebuilding, now, blocked } = loaded.value
      this.failures.worked('loading')
      this.retries.begin(position)
      this.run.position = this.cursor = position
      this.paused = paused
      this.rebuilding = rebuilding
      this.now = this.checkedAt = now
      this.aside.begin(loaded.value, blocked)
      this.poison.begin(loaded.value)
      this.batch.begin(now)
      return false
    }
  }

  moment(): RetryMoment {
    return { random: this.random(), now: this.now, from: this.run.position }
  }

  /** Waits after a failure of the storage. Returns true if the run was aborted. */
  *failed(what: StorageWork, error: unknown, final = isFinal(error)): Steps<boolean> {
    const next = this.failures.failed(what, error, final, this.run.position, this.random())
    yield* report({ type: 'storage-failed', what, error, ...next })
    const slept = yield* sleep(next.delay, 'failed')
    if (slept === 'retry-now') this.failures.forgetLast(what)
    // After a failure of loading or storing the checkpoint is loaded in any case.
    return slept === 'control' && what === 'reading' ? yield* this.load() : slept === 'aborted'
  }

  /**
   * Whether the checkpoint is to be loaded again, because it is beyond the head: a log that was restored under this run
   * has an older one.
   *
   * @throws ProjectionFailedError if that one is beyond it as well
   */
  isBeyond(head: number): boolean {
    const { position } = this.run
    const before = this.#beyond
    this.#beyond = position > head
    if (!before || !this.#beyond) return this.#beyond
    const cause = new LogInconsistentError(
      position,
      say`The checkpoint of '${this.name}' is ${position}, beyond the head of the log, ${head}: the log lost its tail or was replaced. Rebuild the projection.`,
    )
    throw new ProjectionFailedError(cause.message, { projector: this.name, attempts: 1, position }, cause)
  }

  get mostPerCommit(): number {
    return this.batch.most(this.poison.mostPerCommit)
  }

  isFull(): boolean {
    return this.batch.isFull(this.now, this.poison.mostPerCommit)
  }

  *commit(position: number, caughtUp: boolean): Steps<Turn> {
    const events = this.batch.size
    const ends = this.poison.committing(events)
    const outcome = yield* perform({
      kind: 'commit',
      position,
      caughtUp,
      events,
      ...(ends !== undefined && { ends }),
    })
    if ('error' in outcome) return yield* this.lost('storing', outcome.error, position)
    const { paused, now, took, burst } = outcome.value
    this.failures.worked('storing', 'reading')
    this.cursor = position
    this.paused = paused
    this.now = this.checkedAt = now
    this.batch.committed(position, took, burst, now)
    if (caughtUp) {
      this.rebuilding = false
      this.poison.caughtUp()
    }
    return 'done'
  }

  /** Stores what was done before the abort. */
  *abort(): Steps<'aborted'> {
    if (this.cursor > this.run.position) yield* this.commit(this.cursor, false)
    return 'aborted'
  }

  /**
   * The storage failed while something was pending. It is gone, unless the failed commit was stored after all, up to
   * `position` or up to `next`: only the stored state tells, not the error.
   */
  *lost(what: StorageWork, error: unknown, position: number, next?: number): Steps<'again' | 'aborted'> {
    if (hasCode(error, 'leadership-lost')) throw error
    yield { kind: 'reset' }
    yield* this.takeNoteBack()
    const { counts } = this.batch
    if ((yield* this.failed(what, error)) || (yield* this.load())) return 'aborted'
    const stored = this.run.position
    if (stored === position || stored === next)
      this.batch.stored(stored, { ...counts, applied: counts.applied + (stored === next ? 1 : 0) })
    return 'again'
  }

  /** Before a wait: the run may be stopped or killed meanwhile, and not by the event that it noted. */
  *takeNoteBack(): Steps<void> {
    if (this.poison.takeNoteBack()) yield { kind: 'survived' }
  }
}
