/** What runs in this context for apps: two apps of one name share the run of a model that is the same. */
import type { EventShape } from '../events/event.js'
import { databaseName } from '../events/names.js'
import { storeInternals, type TidemarkStore } from '../log/open.js'
import type { Connection } from '../platform/connection.js'
import { shares } from '../platform/shares.js'
import { projectionKey, type Projection } from '../read-model/define.js'
import { isSameDefinition } from '../running/definitions.js'
import type { ProjectionHandle } from '../running/handle.js'

interface SharedRun {
  readonly handle: ProjectionHandle
  readonly definition: Projection
  /** Absent in memory. */
  readonly connection: Connection | undefined
  /** The last one that lets go stops the run. */
  readonly share: () => () => Promise<void> | undefined
}

/** By the database of the model, and whether it is run or only followed. */
const sharedRuns = new Map<string, SharedRun>()

/**
 * The run of a model in this context, which apps of one name share if they define it in the same way. Returns how to let
 * go of it, too.
 *
 * @param hold keeps the store open until what it returns is called
 */
export function shareRun<E extends EventShape>(
  store: TidemarkStore<E>,
  hold: () => () => Promise<void> | undefined,
  definition: Projection,
  runs: boolean,
  start: () => ProjectionHandle,
): readonly [handle: ProjectionHandle, release: () => Promise<void> | undefined] {
  const parts = storeInternals(store)
  // Each store in memory is a log of its own.
  const connection = parts.medium === 'indexeddb' ? parts.connection : undefined
  const place = `${databaseName(store.name, projectionKey(definition))} ${runs}`
  const known = sharedRuns.get(place)
  const begin = () => {
    const letGo = hold()
    const handle = start()
    const run: SharedRun = {
      handle,
      definition,
      connection,
      share: shares(async () => {
        if (sharedRuns.get(place) === run) sharedRuns.delete(place)
        await handle.stop()
        await letGo()
      }),
    }
    sharedRuns.set(place, run)
    return run
  }
  // A database that was deleted is over: there is another one of its name.
  const isShared = connection && known?.connection?.isOver === false && isSameDefinition(known.definition, definition)
  const { handle, share } = isShared ? known : begin()
  return [handle, share()]
}
