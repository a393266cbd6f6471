/** Starting a projection, which then runs until it is stopped. */
import type { EventShape } from '../events/event.js'
import type { FitsStore, Reads } from '../events/fits.js'
import { say } from '../messages.js'
import { storeInternals, type TidemarkStore } from '../log/open.js'
import { sleep, timeTold, type Clock } from '../platform/clock.js'
import { listenerSet } from '../platform/listeners.js'
import { abortable } from '../platform/promises.js'
import { tell } from '../platform/tasks.js'
import { settle, type ProjectionOptions, type ProjectorOptions, type Settings } from '../projection/config.js'
import { driveTarget, stopGrace } from '../projection/leadership.js'
import type { Projector } from '../projection/projector.js'
import type { ProjectionReport } from '../projection/report.js'
import { isDefinition, type Projection, type Tables } from '../read-model/define.js'
import { removeFormer } from './remove-former.js'
import { attach, type LeadCheck } from './attach.js'
import { handleOf, type ProjectionHandle } from './handle.js'
import { Joining } from './joining.js'
import { newOwner } from './run-projection.js'
import { StatusKeeper } from './status-keeper.js'
import { StatusWatch } from './status-watch.js'
import { supervise } from './supervise.js'

/**
 * Starts a projection and returns its handle synchronously. If another definition of its name and version is in use in
 * this context, or its read model was made by one, it is faulted: `status.lastError` is a DefinitionChangedError.
 *
 * @param options as for `runProjection`, but `mode` is 'continuous' unless it says otherwise
 * @throws InvalidArgumentError for an unknown option, and for a value outside its range
 *
 * @example
 * const projection = startProjection(store, basket)
 * projection.status.subscribe(() => console.log(projection.status.getSnapshot().phase))
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
  options: ProjectorOptions<C> = {},
): ProjectionHandle {
  storeInternals(store)
  return started(store, projector, options, settle(options, 'continuous', !isDefinition(projector)))
}

/** As `startProjection`, for the models of an app. */
export const startModel = <E extends EventShape>(
  store: TidemarkStore<E>,
  projection: Projection<E>,
  options: Pick<ProjectionOptions, 'clock'>,
  how: ModelRun,
): ProjectionHandle => started(store, projection, options, settle(options, 'continuous', false), how)

/** How a model of an app is run. */
export interface ModelRun {
  /** Otherwise the handle only follows what other contexts do. */
  readonly runs: boolean
  /** Comes before each try to lead. `outdated` says that newer code is open. */
  readonly check?: ((outdated: () => void) => LeadCheck) | undefined
}

/** Puts the parts of a running projection together. */
function started<E extends EventShape, C>(
  store: TidemarkStore<E>,
  projector: Projection<E> | Projector<E, C>,
  options: ProjectorOptions<C>,
  { mode, clock, failureBackoff }: Settings,
  { runs, check }: ModelRun = { runs: true },
): ProjectionHandle {
  const controller = new AbortController()
  const { signal: stopping } = controller
  const unfollow = follow(options.signal, controller)
  const status = new StatusKeeper(clock, projector.name, runs)
  const restarts = listenerSet()
  const restart = () => restarts.tell()
  const wanted = listenerSet<[position: number]>()
  const mayLead = check?.(() => status.outdated())
  const joining = new Joining<E>(() => attach(projector, store, options, mayLead), stopping, restart)
  const watch = new StatusWatch<E>(store, status, clock, stopping, () => joining.attached, restart)
  const { look } = watch
  const owner = newOwner()
  const clean = cleaner(store, projector, clock)
  const report = (each: ProjectionReport) => {
    watch.report(each)
    if (each.type === 'idle') clean()
  }
  const own = { ...options, signal: stopping }
  const running = supervise<E>({
    status,
    clock,
    stopping,
    joining,
    watch,
    restarts,
    failureBackoff,
    isContinuous: mode === 'continuous',
    drive: ({ target, backend }) =>
      runs
        ? driveTarget(
            target,
            { ...backend, onWanted: wanted.add, resting: watch.resting, onBehind: watch.onBehind },
            own,
            { mode, owner, report },
          )
        : followed(() => report({ type: 'waiting', projection: projector.name, time: timeTold(clock) }), stopping),
    faulted(error) {
      const full: ProjectionReport = { type: 'faulted', error, projection: projector.name, time: timeTold(clock) }
      joining.attached?.backend.told?.(full)
      tell(() => options.onReport?.(full))
    },
  })
  /** Releases everything, even if a handler hangs. */
  const free = () => {
    watch.stop()
    unfollow()
    joining.attached?.target.close()
  }
  const ended = running.then((message) => {
    watch.stop()
    status.set({ phase: 'stopped', message, leader: false, rate: 0 })
    // A batch that is done can still be asked for its dead letters, and to pause.
    if (stopping.aborted) free()
    else stopping.addEventListener('abort', free, { once: true })
  })
  return handleOf({
    name: projector.name,
    clock,
    status,
    stopping,
    joining,
    wanted,
    look,
    head: () => store.head(),
    again() {
      restart()
      return look()
    },
    async stop() {
      const caller = joining.attached?.target.caller()
      controller.abort(new DOMException(say`The projection was stopped`, 'AbortError'))
      // A handler that stops its own projection must not wait for itself.
      if (caller === true) return
      await withinGrace(ended, clock)
      status.set({ phase: 'stopped', message: undefined, leader: false, rate: 0 })
      free()
    },
  })
}

/** Another context may run it, which a first look shows. Ends when this one stops following. */
function followed(waiting: () => void, stopping: AbortSignal): Promise<never> {
  waiting()
  return abortable(new Promise<never>(() => {}), stopping)
}

/** Aborts with the signal of the app. Returns how to stop that. */
function follow(signal: AbortSignal | undefined, controller: AbortController): () => void {
  const abort = () => controller.abort(signal?.reason)
  signal?.addEventListener('abort', abort, { once: true })
  if (signal?.aborted === true) abort()
  return () => signal?.removeEventListener('abort', abort)
}

/** Waits for the end of a run, but not long: a handler that hangs must not keep the app from closing. */
async function withinGrace(ended: Promise<void>, clock: Clock): Promise<void> {
  const grace = new AbortController()
  await Promise.race([ended, sleep(clock, stopGrace, grace.signal)])
  grace.abort()
}

/** How long an older version that is in use is left, until it is looked for again, in ms. */
const cleaningPause = 60_000

/** Removes older versions of a read model when this one is complete: again each minute, while one was in use. */
function cleaner<E extends EventShape>(store: TidemarkStore<E>, projector: object, clock: Clock): () => void {
  let next = -Infinity
  return () => {
    if (clock.monotonic() < next) return
    next = Infinity
    void removeFormer(store, projector).then((isLeft) => {
      if (isLeft) next = clock.monotonic() + cleaningPause
    })
  }
}
