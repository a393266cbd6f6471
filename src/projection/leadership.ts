/**
 * Who runs a projection: the context that has the lock, one that works without it because the leader makes no progress,
 * or one that a page handed over to.
 */
import { hasCode, AlreadyRunningError, LeadershipLostError, ProjectionFailedError } from '../errors.js'
import { say } from '../messages.js'
import type { EventShape } from '../events/event.js'
import { pauseBefore } from '../platform/backoff.js'
import { sleep, timeTold } from '../platform/clock.js'
import type { StorageOccurrence } from '../platform/healing.js'
import { tell } from '../platform/tasks.js'
import type { Coordinator } from '../ports.js'
import { newRun, resultOf } from './batching.js'
import { Claim } from './claim.js'
import { settle, type ProjectionOptions, type Settings } from './config.js'
import { doneElsewhere } from './done-elsewhere.js'
import type { Retries } from './failures.js'
import { followPage, HandedOver, whenHere, type LeadershipHints } from './hand-over.js'
import type { ProjectionResult } from './projector.js'
import type { ProjectionOccurrence, ProjectionReport } from './report.js'
import type { RunContext, RunnerPorts } from './run-context.js'
import { runMachine } from './runner.js'
import { patience, stalled } from './stall-watch.js'
import { workingPosition, type FaultOutcome, type ProjectionTarget } from './target.js'

/** How long after an abort a handler may keep the lock, ms. */
export const stopGrace = 2_000
/**
 * Leadership is handed over to a visible page at most once in this time, ms: a page that only says it would lead must
 * not stop the work.
 */
const handOverPause = 5_000
/** Losses in a row, without a commit between them, after which a run gives up. */
const maxLosses = 20
/** A loss that comes later than this after the last one, ms, is the first of a row. */
const lossesLast = 60_000
/** Pauses after a loss. */
const lossBackoff = { delay: 100, maxDelay: 5_000, jitter: 0.5 }

/** What a run under leadership needs. */
export interface Backend<E extends EventShape> extends RunnerPorts<E> {
  readonly coordinator: Coordinator
  /** Resolves once this context may lead; rejects when `signal` aborts. @default it may */
  readonly mayLead?: ((signal: AbortSignal) => Promise<void>) | undefined
  /** Without it leadership is never handed over. */
  readonly hints?: LeadershipHints | undefined
  /** What happens to the storage of this origin, for reports. */
  readonly onStorage?: ((listener: (occurrence: StorageOccurrence) => void) => () => void) | undefined
  /** Tells those who observe the store. */
  readonly told?: ((report: ProjectionReport) => void) | undefined
}

export interface DriveOptions {
  /** The mode if the configuration names none. */
  readonly mode: 'batch' | 'continuous'
  /** Names this run in the stored state. */
  readonly owner: string
  readonly report?: ((report: ProjectionReport) => void) | undefined
  /** See `RunProgress.retries`. */
  readonly retries?: Retries
}

/** Runs a target under leadership until it is done; see `runProjection`. */
export async function driveTarget<E extends EventShape>(
  target: ProjectionTarget<E>,
  backend: Backend<E>,
  config: ProjectionOptions,
  options: DriveOptions,
): Promise<ProjectionResult> {
  return new Drive(target, backend, config, options).run()
}

class Drive<E extends EventShape> {
  readonly #target: ProjectionTarget<E>
  readonly #backend: Backend<E>
  readonly #settings: Settings
  readonly #outer: AbortSignal | undefined
  readonly #context: RunContext<E>
  /** Hands over to a visible page. */
  readonly #lasting: boolean
  /** Since the projection last moved: takeovers without the lock, and losses. */
  #contests = 0
  #losses = 0
  #lostAt = 0
  #lastHandOver = -Infinity
  #claim: Claim | undefined

  constructor(
    target: ProjectionTarget<E>,
    backend: Backend<E>,
    config: ProjectionOptions,
    { mode, owner, report, retries }: DriveOptions,
  ) {
    const settings = settle(config, mode)
    this.#target = target
    this.#backend = backend
    this.#settings = settings
    this.#outer = config.signal
    this.#lasting = settings.mode === 'continuous' && settings.leadership === 'wait'
    this.#context = {
      target,
      ports: backend,
      settings,
      owner,
      run: newRun(retries),
      holdsLock: () => this.#claim?.held === true,
      report: (occurrence) => {
        if (occurrence.type === 'committed') this.#contests = this.#losses = 0
        const full: ProjectionReport = { ...occurrence, projection: target.name, time: timeTold(settings.clock) }
        report?.(full)
        backend.told?.(full)
        if (config.onReport !== undefined) tell(() => config.onReport?.(full))
      },
    }
  }

  async run(): Promise<ProjectionResult> {
    for (;;) {
      const result = this.#isAborted ? await this.#aborted() : await this.#attempt()
      if (result !== undefined) return result
    }
  }

  get #isAborted(): boolean {
    return this.#outer?.aborted === true
  }

  async #aborted(): Promise<ProjectionResult> {
    const { run } = this.#context
    if (run.position === 0) run.position = workingPosition(await this.#target.state())
    return resultOf(run, 'aborted')
  }

  #report(occurrence: ProjectionOccurrence): void {
    this.#context.report(occurrence)
  }

  /** Leads once. Returns nothing where another attempt follows. */
  async #attempt(): Promise<ProjectionResult | undefined> {
    const { lifecycle } = this.#backend
    const { clock } = this.#settings
    // One controller per attempt, ended with it: no listener stays on the signal of the caller, which may live long
    // (H75).
    const attempt = new AbortController()
    const { signal } = attempt
    const claim = (this.#claim = new Claim(this.#backend.coordinator, this.#target, attempt))
    const undo: ((() => void) | undefined)[] = [this.#backend.onStorage?.((occurrence) => this.#report(occurrence))]
    const stop = () => {
      attempt.abort(this.#outer?.reason)
      // A handler that never returns must not keep other contexts from leading.
      undo.push(clock.schedule(stopGrace, () => claim.release()))
    }
    this.#outer?.addEventListener('abort', stop, { once: true })
    try {
      await whenHere(lifecycle, signal)
      signal.throwIfAborted()
      await this.#backend.mayLead?.(signal)
      undo.push(
        followPage(this.#backend, attempt, {
          leads: () => claim.leads,
          // A frozen page must hold no lock; what it commits later is refused or fits (H54, H55).
          leave: () => claim.release(),
          mayHandOver: () => this.#lasting && clock.monotonic() - this.#lastHandOver >= handOverPause,
        }),
      )
      const ended = (await claim.tryNow()) ? undefined : await this.#wait(claim, signal)
      signal.throwIfAborted()
      if (ended !== undefined) return resultOf(this.#context.run, ended)
      claim.leads = true
      this.#report({ type: 'leading', withoutLock: !claim.held })
      if (lifecycle?.presence() === 'hidden') this.#backend.hints?.post('hidden-leader')
      const result = await this.#lead(signal)
      if (result?.reason === 'aborted') signal.throwIfAborted()
      return result
    } catch (error) {
      return await this.#ended(error, signal.reason, claim)
    } finally {
      for (const each of undo) each?.()
      this.#outer?.removeEventListener('abort', stop)
      if (claim.leads) this.#report({ type: 'resigned' })
      claim.release()
    }
  }

  /**
   * Waits for the lock, or until its holder makes no progress. A lock may be held by a page that is frozen. The fencing
   * check of the commit makes it safe to work without the lock, so no lock is ever stolen. Returns how a batch ended
   * that has nothing to wait for any more.
   */
  async #wait(claim: Claim, signal: AbortSignal): Promise<ProjectionResult['reason'] | undefined> {
    const { leadership, mode } = this.#settings
    if (leadership === 'try') throw new AlreadyRunningError(this.#target.name)
    this.#report({ type: 'waiting' })
    if (this.#backend.lifecycle?.presence() === 'visible') this.#backend.hints?.post('candidate')
    const watch = new AbortController()
    const endWatch = () => watch.abort()
    signal.addEventListener('abort', endWatch, { once: true })
    const won = await Promise.race([
      claim.wait().then(() => true),
      stalled(this.#context, patience(this.#contests), watch.signal).then(() => false),
      ...(mode === 'batch' ? [doneElsewhere(this.#context, watch.signal)] : []),
    ]).finally(endWatch)
    signal.throwIfAborted()
    if (won === false) this.#contests += 1
    return typeof won === 'string' ? won : undefined
  }

  /**
   * Runs the machine, and again with the lock kept where the state was changed by this context: by a replay, a skip or
   * a rebuild. Returns nothing where only a rebuild was given up.
   */
  async #lead(signal: AbortSignal): Promise<ProjectionResult | undefined> {
    const { target, owner, run } = this.#context
    for (;;) {
      try {
        return await runMachine(this.#context, signal)
      } catch (thrown) {
        let error = thrown
        if (thrown instanceof ProjectionFailedError) {
          const outcome = await this.#recordFault(thrown)
          if (outcome === 'rebuild-given-up') {
            this.#report({ type: 'rebuild-failed', error: thrown })
            if (this.#settings.mode === 'continuous') return undefined
          }
          if (outcome !== 'moved') throw thrown
          // What it failed at is not to be done any more.
          error = new LeadershipLostError(
            target.name,
            say`it was moved while an event failed: ${thrown.message}`,
            thrown,
          )
        }
        if (!hasCode(error, 'leadership-lost') || signal.aborted) throw error
        const state = await target.state().catch(() => undefined)
        if (state === undefined || state.owner !== owner || owner === '') throw error
        this.#report({ type: 'leadership-lost', error: error as LeadershipLostError })
        // Otherwise a state that is changed again and again would keep the work from being stored.
        run.commitSoon = true
      }
    }
  }

  /** What follows a failure of an attempt: nothing where another attempt does. */
  async #ended(error: unknown, reason: unknown, claim: Claim): Promise<ProjectionResult | undefined> {
    const { clock } = this.#settings
    if (error instanceof ProjectionFailedError) throw error
    if (this.#isAborted) return this.#aborted()
    if (reason instanceof HandedOver) {
      this.#lastHandOver = clock.monotonic()
      if (claim.leads) this.#report({ type: 'handed-over', reason: reason.to })
      return undefined
    }
    const lost = hasCode(reason, 'leadership-lost') ? reason : error
    if (!hasCode(lost, 'leadership-lost')) throw error
    this.#report({ type: 'leadership-lost', error: lost as LeadershipLostError })
    const now = clock.monotonic()
    // On a quiet log nothing is committed, and a connection with its locks is lost every few days.
    if (now - this.#lostAt > lossesLast) this.#losses = 0
    this.#lostAt = now
    this.#losses += 1
    this.#contests += 1
    if (this.#losses > maxLosses || this.#settings.leadership === 'try') throw lost
    claim.release()
    await sleep(clock, pauseBefore(this.#losses - 1, lossBackoff, clock.random()), this.#outer)
    return undefined
  }

  /** Keeps why a run stopped, so that other contexts can say so. */
  async #recordFault({ position = 0, message, eventId, eventType }: ProjectionFailedError): Promise<FaultOutcome> {
    const fault = {
      position,
      message,
      time: timeTold(this.#settings.clock),
      ...(eventId === undefined ? {} : { eventId }),
      ...(eventType === undefined ? {} : { eventType }),
    }
    try {
      return (await this.#target.recordFault?.(fault)) ?? 'stopped'
    } catch {
      // Best effort: the caller gets the error itself.
      return 'stopped'
    }
  }
}
