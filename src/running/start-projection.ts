/** A running projection, as an app holds it. */
import { ClosedError, hasCode, InvalidArgumentError, messageOf, ProjectionFailedError } from '../errors.js'
import { notice, say } from '../messages.js'
import type { EventShape } from '../events/event.js'
import type { FitsStore, Reads } from '../events/fits.js'
import { storeInternals, type TidemarkStore } from '../log/open.js'
import { assertSignal, onlyKnown, wholeNumber } from '../platform/arguments.js'
import { sleep, systemClock } from '../platform/clock.js'
import { listenerSet } from '../platform/listeners.js'
import { lookOut } from '../platform/lookout.js'
import { settle, type ProjectionOptions, type ProjectorOptions } from '../projection/config.js'
import { driveTarget, stopGrace } from '../projection/leadership.js'
import type { Projector } from '../projection/projector.js'
import type { ProjectionReport } from '../projection/report.js'
import type { DeadLetterRecord } from '../projection/target.js'
import { attach, type Attached } from './attach.js'
import {
  assertCaughtUpOptions,
  waitsForItself,
  waitUntilCaughtUp,
  type CaughtUpResult,
  type CaughtUpOptions,
} from './caught-up.js'
import { isDefinition, type Projection, type Tables } from '../read-model/define.js'
import { removeOldVersions } from '../read-model/indexeddb/old-versions.js'
import { newOwner } from './run-projection.js'
import { keepStatus, type StatusStore } from './status.js'

/** An event that was parked. */
export interface DeadLetter extends DeadLetterRecord {
  /** Applies the event again and removes the letter, in one transaction; the checkpoint stays. Rejects with what the handler throws. */
  replay(): Promise<void>
  /** Removes the letter: the event stays without effect. */
  discard(): Promise<void>
}

/** When `rebuild` resolves. */
export interface RebuildOptions {
  /**
   * `'complete'`: once readers see the new rows; of a plain projector, once it is where it was. Rejects with ProjectionFailedError if the rebuild was given up
   * (its rows stayed as they were), and as `caughtUp` does where nothing goes on. @default 'begun'
   */
  readonly until?: 'begun' | 'complete'
  /** Ends the wait with the signal's reason, not the rebuild. */
  readonly signal?: AbortSignal | undefined
}

/** A running projection. Every method may be called in any context, also in one that does not lead. */
export interface ProjectionHandle {
  readonly status: StatusStore
  /**
   * Waits until the rows that readers see cover a position: read your own writes.
   *
   * @throws ProjectionFailedError or the error itself, at once, if the projection stands still
   * @throws CaughtUpTimeoutError after `timeout` ms, unless `onTimeout` is 'stale'
   * @throws InvalidArgumentError when called by a handler of this projection, which would wait for itself: at once if it calls
   *   before its first `await`, otherwise after five seconds in which it did not end
   */
  caughtUp(position: number, options?: CaughtUpOptions): Promise<CaughtUpResult>
  /**
   * Stops the work in every context after the next commit. Stored: it stays paused when every tab was closed. A plain
   * projector has nowhere to store it: there it holds for this handle.
   */
  pause(): Promise<void>
  /** Goes on, after `pause` and after a fault. */
  resume(): Promise<void>
  /**
   * Leaves out the event that the projection stopped at, and continues. Rebuilds leave it out as well; a later `version` tries it, and leaves
   * it out where it fails.
   *
   * @throws InvalidArgumentError if it does not stand at that event (any more)
   */
  skip(position: number): Promise<void>
  /** Dead letters in the order of the log, read in bounded portions. */
  deadLetters(): AsyncIterable<DeadLetter>
  /** Folds everything again from the first event: `status.rebuilding` is there until it ends. Readers keep the rows that are there until the new ones are complete; if that fails, for good. */
  rebuild(options?: RebuildOptions): Promise<void>
  /** Ends the work in this context and frees everything. What was applied is stored first; a handler that hangs is waited for two seconds. */
  stop(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/** How often a handle looks at the stored state when no hint came, ms. */
const slowPoll = 2_000
/** How long a follower waits after an append before it looks where the head is, ms. */
const headDelay = 200
/** Failures of the storage after which the store is joined again by itself … */
const mayPass = (error: unknown): boolean =>
  hasCode(error, 'storage-failed', 'storage-busy', 'storage-full', 'storage-damaged')
/** … after a pause of at most this, ms. */
const longestPause = 30_000
/** Dead letters that are read at once. */
const letterPage = 256

/**
 * Starts a projection and returns a handle at once. If another definition of its name and version is in use in this context, or its read
 * model was made by one, it is faulted: `status.lastError` is a DefinitionChangedError.
 *
 * @param options as for `runProjection`, but `mode` is 'continuous' unless it says otherwise
 * @throws InvalidArgumentError for an unknown option, and for a configuration outside its range
 */
export function startProjection<E extends EventShape, C = unknown>(
  store: TidemarkStore<E>,
  projector: Projector<E, C>,
  options?: ProjectorOptions<C>,
): ProjectionHandle
export function startProjection<E extends EventShape, T extends Tables>(
  store: TidemarkStore<E>,
  projection: Projection<E, T>,
  options?: ProjectionOptions,
): ProjectionHandle
/** The same, for a plain projector that is typed by its own events: see `FitsStore`. */
export function startProjection<E extends EventShape, Own extends EventShape = E, C = unknown>(
  store: TidemarkStore<E>,
  projector: Projector<Own, C> & FitsStore<E, Own>,
  options?: ProjectorOptions<C>,
): ProjectionHandle
/** The same, for a read model that is typed by its own events: see `FitsStore`. */
export function startProjection<
  E extends EventShape,
  T extends Tables,
  Own extends EventShape = E,
  R extends Reads = 'own types',
>(
  store: TidemarkStore<E>,
  projection: Projection<Own, T, R> & FitsStore<E, Own, R>,
  options?: ProjectionOptions,
): ProjectionHandle
export function startProjection<E extends EventShape, C>(
  store: TidemarkStore<E>,
  projector: Projection<E> | Projector<E, C>,
  config: ProjectorOptions<C> = {},
): ProjectionHandle {
  storeInternals(store)
  const { mode, failureBackoff } = settle(config, 'continuous', !isDefinition(projector))
  const clock = config.clock ?? systemClock
  const stopping = new AbortController()
  const stop = () => stopping.abort(config.signal?.reason)
  config.signal?.addEventListener('abort', stop, { once: true })
  if (config.signal?.aborted === true) stop()
  const status = keepStatus(clock)
  const owner = newOwner()
  const { name } = projector
  let attached: Attached<E> | undefined
  /** Who waits for a position tells the run, which may wait for more events otherwise. */
  const wanted = listenerSet<[position: number]>()
  /** Ends the wait of a faulted run. */
  let restart: (() => void) | undefined
  /** The store could not be joined, or another definition of that name is in use: an explicit act tries again. */
  let apart = false
  const join = () => {
    apart = false
    const joining = attach(projector, store, config).then(
      (each) => {
        attached = each
        // A run that waits since joining failed continues.
        restart?.()
        return each
      },
      (error: unknown) => {
        apart = true
        throw error
      },
    )
    joining.catch(() => {})
    return joining
  }
  let ready = join()
  /** The app asks for something: what failed before is tried at once. */
  const joined = async (): Promise<Attached<E>> => {
    if (apart && !stopping.signal.aborted) ready = join()
    const each = await ready
    each.retryNow()
    return each
  }
  /** What the app asks for opens what does not open, whatever failed before. */
  const controls = async () => {
    const { target, backend } = await joined()
    await backend.reopen?.({ urgent: true })
    return target
  }
  /** The fault of this run was seen in the stored state, so that its absence says something. */
  let faultAt: number | undefined

  const readStatus = async () => {
    if (attached === undefined || stopping.signal.aborted) return
    try {
      const before = progressReports
      const [state, head] = await Promise.all([attached.target.state(), store.head()])
      status.stored(state, head, progressReports !== before)
      if (status.getSnapshot().phase !== 'faulted') return
      // Somebody skipped the event, rebuilt, deleted the rows, or another context came past it.
      const passed =
        faultAt !== undefined &&
        state.fault === undefined &&
        (state.position >= faultAt || state.rebuild !== undefined || state.owner === '')
      if (state.fault !== undefined) faultAt = state.fault.position
      if (passed) restart?.()
    } catch (error) {
      // Closing, or a storage failure that the run itself reports: once it runs.
      if (!stopping.signal.aborted && ['starting', 'standby'].includes(status.getSnapshot().phase))
        status.set({ message: messageOf(error), lastError: error })
    }
  }
  let reading: Promise<void> | undefined
  let readAgain: Promise<void> | undefined
  /** Resolves after a look that began after the call. One at a time, however many hints come. */
  const refresh = (): Promise<void> => {
    if (reading !== undefined) {
      return (readAgain ??= reading.then(() => {
        readAgain = undefined
        return refresh()
      }))
    }
    return (reading = readStatus().finally(() => {
      reading = undefined
    }))
  }
  let parked = false
  /** How often the run told where it stands: a look that began before that shows an older state. */
  let progressReports = 0
  const report = (each: ProjectionReport) => {
    status.report(each)
    if (each.type === 'loaded' || each.type === 'committed') progressReports += 1
    // A leader knows where it stands; who leads is stored, and how many letters of a plain projector wait.
    if (each.type === 'parked') parked = true
    if (
      each.type === 'waiting' ||
      each.type === 'loaded' ||
      (each.type === 'committed' && parked && each.deadLetterCount === undefined)
    ) {
      parked = false
      void refresh()
    }
    if (each.type === 'idle' && isDefinition(projector)) clean()
  }
  let cleaned = false
  const clean = () => {
    if (cleaned || !isDefinition(projector) || storeInternals(store).medium !== 'indexeddb') return
    cleaned = true
    removeOldVersions(store.name, projector).catch(() => {})
  }

  const supervise = async () => {
    const stopped = new Promise<void>((resolve) =>
      stopping.signal.addEventListener('abort', () => resolve(), { once: true }),
    )
    let watching = false
    /** How often in a row the store could not be joined. */
    let failures = 0
    try {
      for (;;) {
        let restarted: Promise<void>
        const retrying = new AbortController()
        let soon: Promise<void> | undefined
        try {
          const each = await ready
          const { target, backend } = each
          failures = 0
          if (!watching) unwatch = watch(each)
          watching = true
          const result = await driveTarget(
            target,
            { ...backend, onWanted: wanted.add },
            { ...config, signal: stopping.signal },
            { mode, owner, report },
          )
          await refresh()
          end = notice(
            result.reason,
            result.reason === 'caught-up' ? say`The batch is done.` : say`The batch ended: ${result.reason}.`,
          )
          return
        } catch (error) {
          if (stopping.signal.aborted) return
          faultAt = undefined
          // Before anybody hears of it: who does may resume at once.
          restarted = new Promise<void>((resolve) => {
            restart = resolve
          })
          const again = apart && mode === 'continuous' && mayPass(error)
          if (again) {
            soon = sleep(clock, Math.min(longestPause, failureBackoff * 2 ** failures), retrying.signal)
            failures += 1
          }
          status.set({
            phase: again ? 'retrying' : 'faulted',
            message: messageOf(error),
            lastError: error,
            leader: false,
            rate: 0,
          })
          await refresh()
        }
        await Promise.race([stopped, restarted, ...(soon === undefined ? [] : [soon])])
        retrying.abort()
        restart = undefined
        if (stopping.signal.aborted) return
        if (apart) ready = join()
        status.set({ phase: 'starting', message: undefined })
      }
    } finally {
      unwatch()
    }
  }
  let unwatch = () => {}
  /** Lets go of everything, whatever still hangs. */
  const free = () => {
    unwatch()
    config.signal?.removeEventListener('abort', stop)
    attached?.target.close()
  }
  /** Why nothing runs here any more. */
  let end: string | undefined
  /** Keeps the status true where other contexts do the work. */
  const watch = ({ target, backend }: Attached<E>) => {
    const { signals } = storeInternals(store)
    let headSoon: (() => void) | undefined
    const stopLooking = lookOut(clock, slowPoll, () => void refresh())
    const stopListening = signals.listen((hint) => {
      if ('projection' in hint) {
        if (hint.projection === target.key && !(hint.kind === 'committed' && status.getSnapshot().leader))
          void refresh()
      } else if (hint.kind === 'head' && !status.getSnapshot().leader) {
        // A leader reads the head with every page; others need it for show only, and appends may come by the thousand.
        headSoon ??= clock.schedule(headDelay, () => {
          headSoon = undefined
          void refresh()
        })
      }
    })
    // A run reports it as well, but a run may have ended.
    const stopHearing = backend.onStorage?.((occurrence) => status.storage(occurrence))
    return () => {
      stopListening()
      stopLooking()
      headSoon?.()
      stopHearing?.()
    }
  }
  const running = supervise()
    .catch((error: unknown) => {
      if (stopping.signal.aborted) return
      status.set({ phase: 'faulted', message: messageOf(error), lastError: error, leader: false })
      return new Promise<void>((resolve) => stopping.signal.addEventListener('abort', () => resolve(), { once: true }))
    })
    .then(() => {
      status.set({ phase: 'stopped', message: end, leader: false, rate: 0 })
      // A batch that is done can still be asked for its letters, and to pause.
      if (stopping.signal.aborted) free()
      else stopping.signal.addEventListener('abort', free, { once: true })
    })
  /** What the status says is of this very run, and true. */
  const runs = () => {
    const { leader, phase } = status.getSnapshot()
    return leader && (phase === 'live' || phase === 'catching-up')
  }
  const again = () => {
    restart?.()
    return refresh()
  }

  // `Symbol.asyncDispose` is added below, where the engine has it.
  const methods: Omit<ProjectionHandle, typeof Symbol.asyncDispose> = {
    status: {
      getSnapshot: status.getSnapshot,
      getServerSnapshot: status.getServerSnapshot,
      subscribe: status.subscribe,
    },
    async caughtUp(position, options = {}) {
      wholeNumber(position, 'position')
      assertCaughtUpOptions(options)
      const caller = attached?.target.caller()
      if (caller === true) throw waitsForItself(name)
      options.signal?.throwIfAborted()
      if (stopping.signal.aborted) throw new ClosedError(say`Projection '${name}'`)
      wanted.tell(position)
      return waitUntilCaughtUp(
        name,
        status,
        position,
        options,
        clock,
        caller,
        runs() ? Promise.resolve() : joined().then(refresh),
      )
    },
    async pause() {
      await (await controls()).setPaused(true)
      await refresh()
    },
    async resume() {
      await (await controls()).setPaused(false)
      await again()
    },
    async skip(position) {
      wholeNumber(position, 'position', 1)
      await (await controls()).skip(position)
      await again()
    },
    async *deadLetters() {
      const target = await controls()
      for (let after = 0; ;) {
        const page = await target.deadLetters(after, letterPage)
        for (const letter of page) {
          yield {
            ...letter,
            replay: () => target.replay(letter.position),
            discard: () => target.discard(letter.position),
          }
          after = letter.position
        }
        if (page.length < letterPage) return
      }
    },
    async rebuild(options = {}) {
      onlyKnown(options, ['until', 'signal'])
      const { until = 'begun', signal } = options
      assertSignal(signal)
      if (until !== 'begun' && until !== 'complete')
        throw new InvalidArgumentError('until', say`must be 'begun' or 'complete'.`)
      const caller = until === 'complete' ? attached?.target.caller() : undefined
      if (caller === true) throw waitsForItself(name)
      signal?.throwIfAborted()
      const target = await controls()
      const before = until === 'complete' ? await target.state() : undefined
      await target.rebuild()
      await again()
      if (before === undefined) return
      // Until then the status may still say where it was.
      const position = isDefinition(projector) ? 0 : before.position
      for (;;) {
        await waitUntilCaughtUp(name, status, position, { signal }, clock, caller, refresh(), true)
        const state = await target.state()
        if (state.rebuild !== undefined || state.position < position) continue
        const { rebuildFault } = state
        if (rebuildFault === undefined) return
        throw new ProjectionFailedError(
          rebuildFault.message,
          { projector: name, attempts: 1, position: rebuildFault.position },
          undefined,
        )
      }
    },
    async stop() {
      const caller = attached?.target.caller()
      stopping.abort(new DOMException(say`The projection was stopped`, 'AbortError'))
      // A handler that stops its own projection must not wait for itself.
      if (caller === true) return
      // One that never comes back must not keep the app from closing.
      const grace = new AbortController()
      await Promise.race([running, sleep(clock, stopGrace, grace.signal)])
      grace.abort()
      status.set({ phase: 'stopped', message: undefined, leader: false, rate: 0 })
      free()
    },
  }
  const handle = methods as ProjectionHandle
  if (typeof Symbol.asyncDispose === 'symbol')
    Object.defineProperty(handle, Symbol.asyncDispose, { value: () => handle.stop() })
  return handle
}
