/** What runs in this context for apps: two apps of one name share the run of a model that is the same. */
import { AlreadyRunningError } from '../errors.js'
import type { EventShape } from '../events/event.js'
import { databaseName } from '../events/names.js'
import { storeInternals, type TidemarkStore } from '../log/open.js'
import { say } from '../messages.js'
import { shares } from '../platform/shares.js'
import { projectionKey, type Projection } from '../read-model/define.js'
import { isSameDefinition } from '../running/definitions.js'
import type { ProjectionHandle } from '../running/handle.js'

/** A share in a run. */
export interface RunShare {
  readonly handle: ProjectionHandle
  /** The last one that lets go stops the run. */
  release(): Promise<void> | undefined
}

interface SharedRun {
  readonly definition: Projection
  readonly handle: ProjectionHandle
  /** The model's name in the app that started it. */
  readonly model: string
  readonly share: () => RunShare['release']
  /** Its store is gone: an app that is opened now has another one. */
  readonly isOver: () => boolean
}

const runs = new Map<string, SharedRun>()

/**
 * The run of a model in this context.
 *
 * @param hold keeps the store open until what it returns is called
 * @throws AlreadyRunningError if another app of that name runs another definition under that name and version
 */
export function shareRun<E extends EventShape>(
  store: TidemarkStore<E>,
  hold: () => () => Promise<void> | undefined,
  model: string,
  definition: Projection,
  start: () => ProjectionHandle,
): RunShare {
  // Each store in memory is a log of its own.
  const parts = storeInternals(store)
  const isShared = parts.medium === 'indexeddb'
  const key = databaseName(store.name, projectionKey(definition))
  const last = isShared ? runs.get(key) : undefined
  const found = last?.isOver() === true ? undefined : last
  if (found !== undefined && !isSameDefinition(found.definition, definition))
    throw new AlreadyRunningError(
      definition.name,
      say`Two apps called '${store.name}' in this context define '${projectionKey(definition)}' differently: as '${found.model}', which runs, and as '${model}'. Make one app and import it, or rename one of the two.`,
    )
  const newRun = (): SharedRun => {
    const handle = start()
    const letGo = hold()
    const share = shares(async () => {
      if (runs.get(key) === run) runs.delete(key)
      await handle.stop()
      await letGo()
    })
    return { definition, handle, model, share, isOver: () => isShared && parts.connection.isOver }
  }
  const run = found ?? newRun()
  if (isShared) runs.set(key, run)
  return { handle: run.handle, release: run.share() }
}
