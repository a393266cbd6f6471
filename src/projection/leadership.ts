/** Who runs a projection: by the lock, beside a holder that makes no progress, or handed over by a page that goes away. */
import { hasCode, AlreadyRunningError, LeadershipLostError, ProjectionError } from '../errors.js'
import type { EventShape } from '../events/event.js'
import type { ReadPage } from '../log/pages.js'
import { sleep, timeTold } from '../platform/clock.js'
import type { StorageOccurrence } from '../platform/healing.js'
import type { PageLifecycle } from '../platform/page-lifecycle.js'
import { tell } from '../platform/tasks.js'
import { settle, type ProjectionOptions } from './config.js'
import { newRun } from './machine.js'
import type { LeadershipGuard, ProjectorCoordinator } from './ports.js'
import type { ProjectionResult } from './projector.js'
import type { ProjectionOccurrence, ProjectionReport } from './report.js'
import { runMachine, type RunContext, type RunnerPorts } from './runner.js'
import { workingPosition, type FaultOutcome, type ProjectionTarget } from './target.js'

/** A follower that sees the head move and the checkpoint stand still for so long works without the lock, ms (N15). */
export const stallTimeout = 5_000
const longestStall = 300_000
/** How long after an abort a handler may keep the lock, ms. */
export const stopGrace = 2_000
/** Leadership is handed over to a visible page so often at most, ms: a page that only says it would lead must not stop the work. */
const handOverPause = 5_000
/** Restarts in a row, without a commit between, after somebody else moved the checkpoint. */
const maxLosses = 20

/** What pages tell each other about who should lead. Hints: their loss only keeps a hidden page leading. */
export interface LeadershipHints {
  post(kind: 'hidden-leader' | 'candidate'): void
  listen(listener: (kind: 'hidden-leader' | 'candidate') => void): () => void
}

/** What a run under leadership needs. */
export interface Backend<E extends EventShape> extends RunnerPorts<E> {
  readonly coordinator: ProjectorCoordinator
  /** Without it leadership is never handed over. */
  readonly lifecycle?: PageLifecycle | undefined
  readonly hints?: LeadershipHints | undefined
  /** What happens to the storage of this origin, for reports. */
  readonly onStorage?: ((listener: (occurrence: StorageOccurrence) => void) => () => void) | undefined
}

export interface DriveOptions {
  /** The mode if the configuration names none. */
  readonly mode: 'batch' | 'continuous'
  /** Names this run in the stored state. */
  readonly owner: string
  readonly report?: ((report: ProjectionReport) => void) | undefined
}

/** Why a leader stopped although nothing failed. */
class HandedOver {
  constructor(readonly to: 'hidden' | 'away') {}
}

/** Runs a target under leadership until it is done; see `runProjection`. */
export async function driveTarget<E extends EventShape>(
  target: ProjectionTarget<E>,
  backend: Backend<E>,
  config: ProjectionOptions<never>,
  options: DriveOptions,
): Promise<ProjectionResult> {
  const settings = settle(config, options.mode)
  const { clock } = settings
  /** Takeovers and losses since the projection last moved: each doubles the patience, or two slow runners would take turns for ever. */
  let contests = 0
  let losses = 0
  const report = (occurrence: ProjectionOccurrence) => {
    if (occurrence.type === 'committed') contests = losses = 0
    const full: ProjectionReport = { ...occurrence, projection: target.name, time: timeTold(clock) }
    options.report?.(full)
    if (config.onReport !== undefined) tell(() => config.onReport?.(full))
  }
  const run = newRun()
  let holdsLock = () => false
  const context: RunContext<E> = {
    target,
    ports: backend,
    settings,
    owner: options.owner,
    run,
    holdsLock: () => holdsLock(),
    report,
  }
  const outer = config.signal
  const isAborted = () => outer?.aborted === true
  const longRunning = settings.mode === 'continuous' && settings.leadership === 'wait'
  let lastHandOver = -Infinity
  const aborted = async (): Promise<ProjectionResult> => {
    if (run.startedAt === undefined) run.position = workingPosition(await target.state())
    return { position: run.position, applied: run.applied, skipped: run.skipped, parked: run.parked, reason: 'aborted' }
  }

  for (;;) {
    if (isAborted()) return aborted()
    // One controller per attempt, ended with it: nothing stays on the caller's long-lived signal (H75).
    const attempt = new AbortController()
    const stop = () => {
      attempt.abort(outer?.reason)
      // A handler that hangs must not keep others from leading.
      undo.push(clock.schedule(stopGrace, () => lock.release()))
    }
    const undo: (() => void)[] = []
    const stopHearing = backend.onStorage?.(report)
    if (stopHearing !== undefined) undo.push(stopHearing)
    outer?.addEventListener('abort', stop, { once: true })
    const lock = claim(backend.coordinator, target, attempt)
    let onlyRebuild = false
    holdsLock = () => lock.held
    try {
      await whenHere(backend.lifecycle, attempt.signal)
      attempt.signal.throwIfAborted()
      undo.push(
        followPage(backend, attempt, {
          leads: () => lock.leads,
          // A frozen page must hold nothing; what it commits later is refused or fits (H54, H55).
          leave: () => lock.release(),
          mayHandOver: () => longRunning && clock.monotonic() - lastHandOver >= handOverPause,
        }),
      )
      if (!(await lock.tryNow())) {
        if (settings.leadership === 'try')
          throw new AlreadyRunningError(
            target.name,
            "another tab or worker runs it. Use leadership: 'wait', or try again later.",
          )
        report({ type: 'waiting' })
        if (backend.lifecycle?.presence() === 'visible') backend.hints?.post('candidate')
        const watch = new AbortController()
        const endWatch = () => watch.abort()
        attempt.signal.addEventListener('abort', endWatch, { once: true })
        const patience = Math.min(longestStall, stallTimeout * 2 ** contests)
        // A lock may be held by a page that is frozen. The compare in the commit makes it safe to work beside it, so nothing is stolen (H54–H56).
        const won = await Promise.race([
          lock.wait().then(() => true),
          stalled(context, patience, watch.signal).then(() => false),
        ]).finally(endWatch)
        attempt.signal.throwIfAborted()
        if (!won) contests += 1
      }
      attempt.signal.throwIfAborted()
      lock.leads = true
      report({ type: 'leading', withoutLock: !lock.held })
      if (backend.lifecycle?.presence() === 'hidden') backend.hints?.post('hidden-leader')
      const result = await runOwn(context, attempt.signal, async (error) => {
        const outcome = await recordFault(target, error, timeTold(clock))
        onlyRebuild = outcome === 'rebuild-given-up'
        return outcome
      })
      if (result.reason === 'aborted') attempt.signal.throwIfAborted()
      return result
    } catch (error) {
      const reason: unknown = attempt.signal.reason
      if (isAborted() && !(error instanceof ProjectionError)) return await aborted()
      if (reason instanceof HandedOver && !(error instanceof ProjectionError)) {
        lastHandOver = clock.monotonic()
        if (lock.leads) report({ type: 'handed-over', reason: reason.to })
        continue
      }
      if (error instanceof ProjectionError) {
        if (!onlyRebuild) throw error
        report({ type: 'rebuild-failed', error })
        if (settings.mode === 'batch') throw error
        continue
      }
      const lost = hasCode(reason, 'leadership-lost') ? reason : error
      if (!hasCode(lost, 'leadership-lost')) throw error
      report({ type: 'leadership-lost', error: lost as LeadershipLostError })
      losses += 1
      contests += 1
      if (losses > maxLosses || !longRunning) throw lost
      lock.release()
      await sleep(clock, Math.min(5_000, 50 * 2 ** losses) * (0.5 + clock.random()), outer)
    } finally {
      for (const each of undo) each()
      outer?.removeEventListener('abort', stop)
      if (lock.leads) report({ type: 'resigned' })
      lock.release()
    }
  }
}

/**
 * Runs the machine, and again when its state was changed on its own behalf, by a replay, a skip or a rebuild: nobody else leads
 * then, so the lock is kept.
 */
async function runOwn<E extends EventShape>(
  context: RunContext<E>,
  signal: AbortSignal,
  failed: (error: ProjectionError) => Promise<FaultOutcome>,
): Promise<ProjectionResult> {
  const { target, owner, run, report } = context
  for (;;) {
    try {
      return await runMachine(context, signal)
    } catch (thrown) {
      let error = thrown
      if (thrown instanceof ProjectionError) {
        if ((await failed(thrown)) !== 'moved') throw thrown
        // It failed at what nobody asks for any more.
        error = new LeadershipLostError(target.name, `it was moved while an event failed: ${thrown.message}`, thrown)
      }
      if (!hasCode(error, 'leadership-lost') || signal.aborted) throw error
      const state = await target.state().catch(() => undefined)
      if (state === undefined || state.owner !== owner || owner === '') throw error
      report({ type: 'leadership-lost', error: error as LeadershipLostError })
      // Whoever changes the state again and again must not keep the work from being stored.
      run.commitSoon = true
    }
  }
}

/** One attempt at the lock: granted, waited for, or given up. */
function claim<E extends EventShape>(
  coordinator: ProjectorCoordinator,
  target: ProjectionTarget<E>,
  attempt: AbortController,
) {
  let guard: LeadershipGuard | undefined
  let released = false
  const queue = new AbortController()
  const take = (granted: LeadershipGuard | undefined | null): boolean => {
    if (granted === undefined || granted === null) return false
    if (released) freeGuard(granted)
    else {
      guard = granted
      const lost = () => attempt.abort(new LeadershipLostError(target.name, 'its lock was taken away.'))
      if (granted.lost?.aborted === true) lost()
      granted.lost?.addEventListener('abort', lost, { once: true })
    }
    return true
  }
  return {
    /** This context runs the projection, with the lock or beside it. */
    leads: false,
    get held() {
      return guard !== undefined
    },
    async tryNow(): Promise<boolean> {
      try {
        return take(await coordinator.tryAcquire(target.key))
      } catch (error) {
        throw new AlreadyRunningError(target.name, 'the coordinator failed. See the cause.', error)
      }
    },
    /** Stays in the queue also while this context works without the lock, so that it holds it when it comes free. */
    async wait(): Promise<void> {
      const leave = () => queue.abort(attempt.signal.reason)
      attempt.signal.addEventListener('abort', leave, { once: true })
      try {
        attempt.signal.throwIfAborted()
        take(await coordinator.acquire(target.key, { signal: queue.signal }))
      } catch (error) {
        attempt.signal.throwIfAborted()
        if (released) return
        throw new AlreadyRunningError(target.name, 'waiting for leadership failed. See the cause.', error)
      } finally {
        attempt.signal.removeEventListener('abort', leave)
      }
    },
    release() {
      if (released) return
      released = true
      queue.abort()
      freeGuard(guard)
    },
  }
}

/** A coordinator that fails to let go must not change how the run ended. */
function freeGuard(guard: LeadershipGuard | undefined): void {
  try {
    Promise.resolve(guard?.release() as unknown).catch(() => {})
  } catch {
    // Its lock is its own to lose.
  }
}

/** Resolves when the page can lead: not while it is frozen or in the back/forward cache. */
function whenHere(lifecycle: PageLifecycle | undefined, signal: AbortSignal): Promise<void> {
  if (lifecycle === undefined || lifecycle.presence() !== 'away') return Promise.resolve()
  return new Promise((resolve) => {
    const check = () => {
      if (!signal.aborted && lifecycle.presence() === 'away') return
      unsubscribe()
      signal.removeEventListener('abort', check)
      resolve()
    }
    const unsubscribe = lifecycle.subscribe(check)
    signal.addEventListener('abort', check, { once: true })
  })
}

/** Ends the attempt when the page goes away, or when it is hidden and a visible page would lead. */
function followPage<E extends EventShape>(
  { lifecycle, hints }: Backend<E>,
  attempt: AbortController,
  leader: { leads(): boolean; leave(): void; mayHandOver(): boolean },
): () => void {
  if (lifecycle === undefined) return () => {}
  const unsubscribe = lifecycle.subscribe((presence) => {
    if (presence === 'away') {
      attempt.abort(new HandedOver('away'))
      leader.leave()
    } else if (leader.leads() && presence === 'hidden') hints?.post('hidden-leader')
    else if (!leader.leads() && presence === 'visible') hints?.post('candidate')
  })
  const stopListening = hints?.listen((kind) => {
    const presence = lifecycle.presence()
    if (kind === 'hidden-leader' && !leader.leads() && presence === 'visible') hints.post('candidate')
    if (kind === 'candidate' && leader.leads() && presence === 'hidden' && leader.mayHandOver())
      attempt.abort(new HandedOver('hidden'))
  })
  return () => {
    unsubscribe()
    stopListening?.()
  }
}

/** Resolves once the head moved on while the stored checkpoint did not, for that long; also when aborted. */
async function stalled<E extends EventShape>(
  { target, ports, settings: { clock } }: RunContext<E>,
  patience: number,
  signal: AbortSignal,
): Promise<void> {
  let late = 0
  for (;;) {
    // A read that fails says nothing about the leader: look again later.
    const found = await target.state().catch(() => undefined)
    const before = clock.monotonic()
    await sleep(clock, patience * (1 + 0.2 * clock.random()), signal)
    if (signal.aborted) return
    const [state, page] = await Promise.all([
      target.state(),
      (ports.reader as { readPage: ReadPage<E> }).readPage(
        { after: found?.position ?? 0, limit: 1 },
        { unreadable: 'collect' },
      ),
    ]).catch(() => [])
    if (found === undefined || state === undefined || page === undefined) continue
    // A span far over the timer's says that this context slept, and may not judge others (H56); twice in a row, that its timers are slow (H58).
    late = clock.monotonic() - before > 4 * patience ? late + 1 : 0
    const slept = late === 1
    const moved = workingPosition(state) !== workingPosition(found) || state.epoch !== found.epoch
    const behind = page.head > state.position || state.rebuild !== undefined
    if (!slept && !moved && behind && !state.paused) return
  }
}

/** Keeps why a run stopped, so that other contexts can say so. */
async function recordFault<E extends EventShape>(
  target: ProjectionTarget<E>,
  error: ProjectionError,
  time: number,
): Promise<FaultOutcome> {
  try {
    return (
      (await target.recordFault?.({
        position: error.position ?? 0,
        message: error.message,
        time,
        ...(error.eventId === undefined ? {} : { eventId: error.eventId }),
        ...(error.eventType === undefined ? {} : { eventType: error.eventType }),
      })) ?? 'stopped'
    )
  } catch {
    // The error itself is on its way to the caller; this copy for others is best effort.
    return 'stopped'
  }
}
