/** Running a projection until it is done. */
import type { EventShape } from '../events/event.js'
import type { FitsStore, Reads } from '../events/fits.js'
import { randomId } from '../events/identifier.js'
import { isTidemarkStore, type TidemarkStore } from '../log/open.js'
import { pageLifecycle } from '../platform/page-lifecycle.js'
import { settle, type ProjectionOptions } from '../projection/config.js'
import { driveTarget, type DriveOptions } from '../projection/leadership.js'
import { plainTarget } from '../projection/plain.js'
import type { ProjectionBackend } from '../projection/ports.js'
import type { ProjectionResult, Projector } from '../projection/projector.js'
import { attach } from './attach.js'
import { isDefinition, type Projection, type Tables } from '../read-model/define.js'

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
 * @param backend a store of `openEventStore`; for a plain projector any object with the three ports
 * @param projector what `defineProjection` answered, or any object with `name` and `apply`
 * @throws InvalidArgumentError for an unknown option, and for a configuration outside its range, before anything is done
 * @throws DefinitionChangedError if another definition of its name and version is in use in this context, or made the
 *   read model
 * @throws AlreadyRunningError if another context runs it and `leadership` is 'try'
 * @throws ProjectionFailedError if an event failed for good or the storage failed too often; `cause` is the reason
 * @throws LeadershipLostError if another runner moved the checkpoint; nothing of the last commit is stored then
 */
export async function runProjection<E extends EventShape, T extends Tables = Tables, C = unknown>(
  backend: ProjectionBackend<E>,
  projector: Projector<E, C> | Projection<E, T>,
  config?: ProjectionOptions<C>,
): Promise<ProjectionResult>
/** The same, for a definition that is typed by its own events: see `FitsStore`. */
export async function runProjection<
  E extends EventShape,
  Own extends EventShape = E,
  T extends Tables = Tables,
  C = unknown,
  R extends Reads = 'own types',
>(
  backend: ProjectionBackend<E>,
  projector: (Projector<Own, C> | Projection<Own, T, R>) & FitsStore<E, Own, R>,
  config?: ProjectionOptions<C>,
): Promise<ProjectionResult>
export async function runProjection<E extends EventShape, C>(
  backend: ProjectionBackend<E>,
  projector: Projector<E, C> | Projection<E>,
  config: ProjectionOptions<C> = {},
): Promise<ProjectionResult> {
  const settings = config as ProjectionOptions<never>
  const options: DriveOptions = { mode: 'batch', owner: newOwner() }
  settle(settings, options.mode)
  if (!isDefinition(projector) && !isTidemarkStore(backend)) {
    const target = plainTarget(projector as Projector<E, C>, backend, config)
    return driveTarget(target, { reader: backend, coordinator: backend, lifecycle: pageLifecycle() }, settings, options)
  }
  const attached = await attach(projector as Projection<E> | Projector<E, C>, backend as TidemarkStore<E>, config)
  try {
    return await driveTarget(attached.target, attached.backend, settings, options)
  } finally {
    attached.target.close()
  }
}
