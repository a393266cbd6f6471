/** Computes the status of a projection from the reports of its run and from the stored state. */
import { messageOf, ProjectionFailedError } from '../errors.js'
import { notice, say } from '../messages.js'
import type { Clock } from '../platform/clock.js'
import { prerendered } from '../platform/deadline.js'
import type { StorageOccurrence } from '../platform/healing.js'
import { listenerSet } from '../platform/listeners.js'
import type { ProjectionReport } from '../projection/report.js'
import { stallTimeout } from '../projection/stall-watch.js'
import { workingPosition, type ProjectionState, type StoredFault } from '../projection/target.js'
import { equal } from '../read-model/equal.js'
import { Progress } from './progress.js'
import type { ProjectionStatus, StatusStore } from './status.js'

/** What becomes different. `undefined` removes an entry. */
export type StatusChange = { readonly [K in keyof ProjectionStatus]?: ProjectionStatus[K] | undefined }

/** Before the first look. */
export const nothingKnown: ProjectionStatus = Object.freeze({
  phase: 'starting',
  position: 0,
  head: 0,
  behind: 0,
  rate: 0,
  leader: false,
  owner: '',
  deadLetterCount: 0,
})
const paused = (): StatusChange => ({
  phase: 'paused',
  rate: 0,
  message: notice('paused', say`The projection is paused. Call resume().`),
})

/** A rebuild that was given up, as it is reported. */
interface GivenUp {
  readonly fault: StoredFault
  readonly error: ProjectionFailedError
  readonly message: string
}

/** The status of one projection in this context. */
export class StatusKeeper implements StatusStore<ProjectionStatus> {
  readonly #progress: Progress
  readonly #listeners = listenerSet()
  readonly #name: string
  #status = nothingKnown
  /** Why this context does not take over, if it does not. */
  #standbyMessage: string | undefined
  /** Why the run in this context gave up a rebuild. */
  #rebuildError: ProjectionFailedError | undefined
  /** What is said about the rebuild that was given up last. */
  #givenUp: GivenUp | undefined
  /** This context runs it, or would: otherwise it only follows what others do. */
  readonly #runs: boolean
  /** The stored state was read. */
  #isKnown = false
  /** Another context runs it, as far as this one knows. */
  #follows = false
  /** What is said about the fault that stopped the run of another context. */
  #stoppedBy: { readonly fault: StoredFault; readonly error: ProjectionFailedError } | undefined

  constructor(clock: Clock, name: string, runs = true) {
    this.#name = name
    this.#runs = runs
    this.#progress = new Progress(clock)
    prerendered()?.addEventListener('prerenderingchange', () => this.#progress.excuse(), { once: true })
  }

  readonly getSnapshot = (): ProjectionStatus => this.#status
  readonly getServerSnapshot = (): ProjectionStatus => nothingKnown
  readonly subscribe: StatusStore<ProjectionStatus>['subscribe'] = this.#listeners.add

  /** The part that an app gets. */
  get readable(): StatusStore<ProjectionStatus> {
    const { getSnapshot, getServerSnapshot, subscribe } = this
    return { getSnapshot, getServerSnapshot, subscribe }
  }

  set(given: StatusChange): void {
    const status = this.#status
    const { position = status.position } = given
    const head = Math.max(given.head ?? status.head, position)
    const change: StatusChange = { ...given, head, behind: head - position }
    const { rebuilding } = 'rebuilding' in given ? given : status
    this.#progress.isBehind(head > position || rebuilding !== undefined)
    const next: Record<string, unknown> = { ...status, ...change }
    for (const [key, value] of Object.entries(change)) if (value === undefined) delete next[key]
    this.#explain(next)
    // A status that says the same stays the same object.
    if (equal(next, status)) return
    this.#status = next as unknown as ProjectionStatus
    this.#listeners.tell()
  }

  /** Says that a rebuild was given up, as long as nothing newer is to be said. */
  #explain(next: { message?: unknown; lastError?: unknown; rebuildFault?: StoredFault }): void {
    const { rebuildFault: fault } = next
    const last = this.#givenUp
    if (last !== undefined && next.message === last.message) delete next.message
    if (last !== undefined && next.lastError === last.error) delete next.lastError
    this.#givenUp = fault && (equal(last?.fault, fault) ? last : this.#givenUpBy(fault))
    if (this.#givenUp === undefined) return
    next.message ??= this.#givenUp.message
    next.lastError ??= this.#givenUp.error
  }

  #givenUpBy(fault: StoredFault): GivenUp {
    const { message, position } = fault
    const own = this.#rebuildError?.position === position ? this.#rebuildError : undefined
    return {
      fault,
      error: own ?? this.#errorOf(fault),
      message: notice(
        'rebuild-given-up',
        say`The last rebuild was given up, and the rows from before it stay: ${message}`,
      ),
    }
  }

  #errorOf({ message, position }: StoredFault): ProjectionFailedError {
    return new ProjectionFailedError(message, { projector: this.#name, attempts: 1, position }, undefined)
  }

  /** The run of this context begins again: while it was stopped, nothing could move. */
  restarted(): void {
    this.#progress.excuse()
    this.set({ phase: 'starting', message: undefined })
  }

  /** Newer code of the app is open, so this context does not lead. */
  outdated(): void {
    this.#standbyMessage = notice('outdated', say`Reload: newer code is open.`)
    this.set({ phase: 'standby', leader: false, rate: 0, message: this.#standbyMessage })
  }

  /** Takes in what happened to the storage of this origin. */
  storage(occurrence: StorageOccurrence): void {
    this.set({ atRisk: occurrence.type === 'storage-healing' ? occurrence.message : undefined })
  }

  /** Takes in a report of the run in this context. */
  report(report: ProjectionReport): void {
    const change = this.#changeBy(report)
    if (change !== undefined) this.set(change)
  }

  /**
   * Takes in the stored state, which other contexts change as well. `late`: the run in this context reported meanwhile
   * what it has stored. `isRun`: some context holds its lock.
   */
  stored(state: ProjectionState, head: number, late = false, isRun = true): void {
    const { owner, rebuildFault, rebuild } = state
    this.#isKnown = true
    if (late) return this.set({ head, owner, rebuildFault })
    const working = workingPosition(state)
    const rate = this.#rateAt(working)
    this.set({
      position: state.position,
      head,
      owner,
      deadLetterCount: state.letters,
      rebuilding: rebuild === undefined ? undefined : { position: rebuild.position },
      rebuildFault,
      ...(this.#status.leader ? {} : { rate: working >= head ? 0 : rate }),
    })
    if (!this.#runs && this.#status.phase !== 'stopped') this.#stopped(state)
    if (this.#status.phase === 'stopped' || this.#status.phase === 'faulted') return
    if (state.paused) return this.set(paused())
    if (this.#status.phase === 'paused')
      this.set({ phase: this.#status.leader ? 'live' : 'standby', message: this.#standbyMessage })
    this.#judge(state, head, isRun)
  }

  /** Where only others run it: what the last run stopped at is stored until another one begins, or it was dealt with. */
  #stopped({ fault }: ProjectionState): void {
    const last = this.#stoppedBy
    this.#stoppedBy = fault && (equal(last?.fault, fault) ? last : { fault, error: this.#errorOf(fault) })
    if (this.#stoppedBy !== undefined) {
      const { error } = this.#stoppedBy
      this.set({ phase: 'faulted', message: notice('faulted', error.message), lastError: error, rate: 0 })
    } else if (last !== undefined) this.set({ phase: 'standby', message: undefined, lastError: undefined })
  }

  /**
   * Whether a follower should ask if any context runs the projection, which is behind and does not move. Not while the
   * page is being prerendered: it would get the answer of that moment when it is activated.
   */
  mayLackRunner(state: ProjectionState, head: number): boolean {
    const working = workingPosition(state)
    this.#progress.movedTo(working)
    return !this.#status.leader && this.#isStill(state, head)
  }

  #isStill(state: ProjectionState, head: number): boolean {
    const behind = head > state.position || state.rebuild !== undefined
    return behind && prerendered() === undefined && this.#progress.stillFor >= stallTimeout
  }

  /** Whether a projection that is not paused stalls, or is not run at all. */
  #judge(state: ProjectionState, head: number, isRun: boolean): void {
    const { leader, phase } = this.#status
    // An error of a follower was that of a look, and this one succeeded.
    const passed: StatusChange = leader ? {} : { lastError: undefined }
    if (this.#isStill(state, head) && phase !== 'retrying') {
      const still = isRun ? 'stalled' : 'not-running'
      this.set({ ...passed, phase: still, rate: 0, message: notice(still, this.#whyStill(state, isRun)) })
    } else if (['stalled', 'not-running', 'standby'].includes(phase) || (phase === 'starting' && this.#follows))
      this.set(leader ? this.#running() : { ...passed, phase: 'standby', message: this.#standbyMessage })
  }

  #whyStill(state: ProjectionState, isRun: boolean): string {
    const working = workingPosition(state)
    if (!isRun)
      return state.fault === undefined
        ? say`No context runs the projection, which is at position ${working}. Call startProjection() in one of them, or catchUp() of an app.`
        : say`No context runs the projection, which stopped: ${state.fault.message}`
    const what = this.#status.leader
      ? say`The handler for the event after position ${working} has been running`
      : say`The leader (${state.owner || 'unknown'}) has stayed at position ${working}`
    return say`${what} for ${Math.round(this.#progress.stillFor / 1000)} s.`
  }

  #rateAt(position: number): number {
    return this.#progress.movedTo(position) ?? this.#status.rate
  }

  /** A run that continues, after such a change. */
  #running({ position = this.#status.position, head = this.#status.head }: StatusChange = {}): StatusChange {
    const behind = head > position || this.#status.rebuilding !== undefined
    return { phase: behind ? 'catching-up' : 'live', message: undefined }
  }

  #changeBy(report: ProjectionReport): StatusChange | undefined {
    const { phase, message } = this.#status
    switch (report.type) {
      case 'waiting':
        this.#follows = true
        // Before the first look it is not known whether the one that leads is behind.
        return { leader: false, message: this.#standbyMessage, ...(this.#isKnown && { phase: 'standby' as const }) }
      // Its position is known when it is `loaded`. It is not live before that, and what keeps it from loading stays the
      // message.
      case 'leading':
        this.#follows = false
        return { leader: true, phase: 'starting', message: phase === 'starting' ? message : undefined }
      case 'loaded':
        return this.#loaded(report)
      case 'read': {
        const { head } = report
        return { head, ...(phase === 'retrying' || phase === 'stalled' ? {} : this.#running({ head })) }
      }
      case 'committed':
        return this.#committed(report)
      case 'idle': {
        const { position } = report
        return { phase: 'live', rate: 0, message: undefined, lastError: undefined, position, rebuilding: undefined }
      }
      case 'paused':
        return paused()
      case 'event-failed':
        return { lastError: report.error }
      case 'retrying':
        return retrying(say`The event at position ${report.position} failed and is tried again.`, report.error)
      case 'storage-failed': {
        const { what, failures, error } = report
        return retrying(say`${what} failed ${failures} times in a row and is tried again: ${messageOf(error)}`, error)
      }
      case 'leadership-lost':
        return { rate: 0 }
      case 'rebuild-failed':
        if (report.error instanceof ProjectionFailedError) this.#rebuildError = report.error
        return { rebuilding: undefined, lastError: report.error }
      case 'resigned':
        return { leader: false, rate: 0 }
      default:
        return undefined
    }
  }

  #loaded({ position, paused, rebuilding }: Extract<ProjectionReport, { type: 'loaded' }>): StatusChange {
    const { phase, head } = this.#status
    this.#progress.movedTo(position)
    // The head is not known before the first read.
    const isUnknown = phase === 'starting' && head <= position && !rebuilding
    return {
      // What it gave up before is outdated by now.
      ...(rebuilding ? { rebuilding: { position }, rebuildFault: undefined } : { position }),
      ...(paused || isUnknown ? {} : this.#running()),
    }
  }

  #committed(report: Extract<ProjectionReport, { type: 'committed' }>): StatusChange {
    const { position, deadLetterCount = this.#status.deadLetterCount } = report
    const rate = this.#rateAt(position)
    const change = this.#status.rebuilding === undefined ? { position } : { rebuilding: { position } }
    return { ...change, ...this.#running(change), rate, lastError: undefined, deadLetterCount }
  }
}

const retrying = (message: string, lastError: unknown): StatusChange => ({
  phase: 'retrying',
  message: notice('retrying', message),
  lastError,
})
