/** What runs in this context for apps: two apps of one name share the run of a model that is the same. */
import { AlreadyRunningError } from '../errors.js'
import type { EventShape } from '../events/event.js'
import { databaseName } from '../events/names.js'
import { storeInternals, type TidemarkStore } from '../log/open.js'
import { say } from '../messages.js'
import { projectionKey, type Projection } from '../read-model/define.js'
import { isSameDefinition } from '../running/definitions.js'
import type { ProjectionHandle } from '../running/handle.js'

/** A store that is closed when the last one that holds it lets go. */
export interface HeldStore<E extends EventShape> {
  readonly store: TidemarkStore<E>
  hold(): () => Promise<void>
}

export function heldStore<E extends EventShape>(store: TidemarkStore<E>): HeldStore<E> {
  let holders = 0
  return {
    store,
    hold() {
      holders += 1
      let isHeld = true
      return async () => {
        if (!isHeld) return
        isHeld = false
        holders -= 1
        if (holders === 0) await store.close()
      }
    },
  }
}

/** A share in a run. */
export interface RunShare {
  readonly handle: ProjectionHandle
  /** The last one that lets go stops the run. */
  release(): Promise<void>
}

interface SharedRun {
  readonly definition: Projection
  readonly handle: ProjectionHandle
  /** The model's name in the app that started it. */
  readonly model: string
  readonly letGo: () => Promise<void>
  users: number
}

const runs = new Map<string, SharedRun>()

/**
 * The run of a model in this context.
 *
 * @throws AlreadyRunningError if another app of that name runs another definition under that name and version
 */
export function shareRun<E extends EventShape>(
  held: HeldStore<E>,
  model: string,
  definition: Projection,
  start: () => ProjectionHandle,
): RunShare {
  const { store } = held
  // Each store in memory is a log of its own.
  const isShared = storeInternals(store).medium === 'indexeddb'
  const key = databaseName(store.name, projectionKey(definition))
  const found = isShared ? runs.get(key) : undefined
  if (found !== undefined && !isSameDefinition(found.definition, definition))
    throw new AlreadyRunningError(
      definition.name,
      say`Two apps called '${store.name}' in this context define '${projectionKey(definition)}' differently: as '${found.model}', which runs, and as '${model}'. Make one app and import it, or rename one of the two.`,
    )
  const run = found ?? { definition, handle: start(), model, letGo: held.hold(), users: 0 }
  run.users += 1
  if (isShared) runs.set(key, run)
  let isReleased = false
  return {
    handle: run.handle,
    async release() {
      if (isReleased) return
      isReleased = true
      run.users -= 1
      if (run.users > 0) return
      if (isShared) runs.delete(key)
      await run.handle.stop()
      await run.letGo()
    },
  }
}
