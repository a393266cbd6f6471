/** Running a projection until it is done. */
import { InvalidArgumentError } from '../errors.js'
import { say } from '../messages.js'
import type { EventShape } from '../events/event.js'
import type { FitsStore, Reads } from '../events/fits.js'
import { randomId } from '../events/identifier.js'
import type { EventReader } from '../log/event-store.js'
import { isTidemarkStore, storeInternals, type TidemarkStore } from '../log/open.js'
import { getOrMake } from '../platform/get-or-make.js'
import { pageLifecycle } from '../platform/page-lifecycle.js'
import { settle, type ProjectionOptions, type ProjectorOptions } from '../projection/config.js'
import { Retries } from '../projection/failures.js'
import { driveTarget, type DriveOptions } from '../projection/leadership.js'
import { plainTarget } from '../projection/plain.js'
import type { ProjectionBackend, ProjectionResult, Projector } from '../projection/projector.js'
import { isDefinition, type Projection, type Tables } from '../read-model/define.js'
import { attach } from './attach.js'
import { inTurns, type Outcome, type Turn } from './in-turns.js'

/** What this context knows of events that wait for another try, by store and projection. */
const waiting = new WeakMap<object, Map<string, Retries>>()

let contextId: string | undefined
let runs = 0

/** Names a run in the stored state, so that others can tell who leads: this tab or worker, and which of its runs. */
export function newOwner(): string {
  contextId ??= randomId()
  runs += 1
  return `${contextId}:${runs}`
}

/**
 * Runs a projection: in batch mode up to the head seen at the start, in continuous mode until `signal` aborts.
 *
 * @param store what `openEventStore` resolved with; for a plain projector also any `{ reader, checkpoints, coordinator
 * }`
 * @param projector what `defineProjection` returned, or any object with `name` and `apply`
 * @param options of a plain projector also `context` and `checkpoint`
 * @throws InvalidArgumentError for an unknown option or a value outside its range, before anything is done
 * @throws DefinitionChangedError if another definition of its name and version is in use in this context, or made the
 * read model
 * @throws AlreadyRunningError if another context runs it and `leadership` is 'try'
 * @throws ProjectionFailedError if an event failed for good or the storage failed too often; `cause` is the reason
 * @throws LeadershipLostError if another runner moved the checkpoint; nothing of the last commit is stored then
 */
export async function runProjection<E extends EventShape, C = unknown>(
  store: TidemarkStore<E> | ProjectionBackend<E>,
  projector: Projector<E, C>,
  options?: ProjectorOptions<C>,
): Promise<ProjectionResult>
export async function runProjection<E extends EventShape, T extends Tables = Tables>(
  store: TidemarkStore<E>,
  projection: Projection<E, T>,
  options?: ProjectionOptions,
): Promise<ProjectionResult>
/** The same, for a plain projector that is typed by its own events: see `FitsStore`. */
export async function runProjection<E extends EventShape, Own extends EventShape = E, C = unknown>(
  store: TidemarkStore<E> | ProjectionBackend<E>,
  projector: Projector<Own, C> & FitsStore<E, Own>,
  options?: ProjectorOptions<C>,
): Promise<ProjectionResult>
/** The same, for a read model that is typed by its own events: see `FitsStore`. */
export async function runProjection<
  E extends EventShape,
  Own extends EventShape = E,
  T extends Tables = Tables,
  R extends Reads = 'own types',
>(
  store: TidemarkStore<E>,
  projection: Projection<Own, T, R> & FitsStore<E, Own, R>,
  options?: ProjectionOptions,
): Promise<ProjectionResult>
export async function runProjection<E extends EventShape, C>(
  store: TidemarkStore<E> | ProjectionBackend<E>,
  projector: Projector<E, C> | Projection<E>,
  options: ProjectorOptions<C> = {},
): Promise<ProjectionResult> {
  const settings = settle(options, 'batch', !isDefinition(projector))
  const run: Turn = (how) => runOnce(store, projector, { ...options, ...how })
  const [outcome] = (await inTurns([run], settings, options.signal)) as [Outcome]
  if ('error' in outcome) throw outcome.error
  return outcome
}

async function runOnce<E extends EventShape, C>(
  store: TidemarkStore<E> | ProjectionBackend<E>,
  projector: Projector<E, C> | Projection<E>,
  options: ProjectorOptions<C>,
): Promise<ProjectionResult> {
  const how: DriveOptions = { mode: 'batch', owner: newOwner() }
  if (isDefinition(projector) || isTidemarkStore(store)) {
    const { target, backend } = await attach(projector, store as TidemarkStore<E>, options)
    const settings = settle(options, 'batch')
    const { clock } = settings
    try {
      const waits = getOrMake(waiting, storeInternals(store as TidemarkStore<E>), () => new Map<string, Retries>())
      const retries = waits.get(target.key) ?? new Retries(settings)
      waits.delete(target.key)
      const result = await driveTarget(target, backend, options, { ...how, retries })
      if (result.reason !== 'retrying') return result
      waits.set(target.key, retries)
      return { ...result, nextTry: Math.ceil(clock.now() + retries.pauseAt(clock.monotonic())) }
    } finally {
      target.close()
    }
  }
  const backend = portsOf(store)
  const target = plainTarget(projector as Projector<E, C>, backend.checkpoints, options)
  return driveTarget(target, { ...backend, lifecycle: pageLifecycle() }, options, how)
}

/** The ports that were given, or those of a store of another copy of this package, which is its own reader. */
function portsOf<E extends EventShape>(given: TidemarkStore<E> | ProjectionBackend<E>): ProjectionBackend<E> {
  const { checkpoints, coordinator } = given ?? {}
  const reader = (given as Partial<ProjectionBackend<E>>)?.reader ?? (given as EventReader<E>)
  if (
    typeof reader?.readPage !== 'function' ||
    typeof checkpoints?.save !== 'function' ||
    typeof coordinator?.acquire !== 'function'
  )
    throw new InvalidArgumentError(
      'store',
      say`must come from openEventStore, or be { reader, checkpoints, coordinator } for a plain projector.`,
    )
  return { reader, checkpoints, coordinator }
}
