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
  /** Takes the name and version for this app. Returns an AlreadyRunningError if an app defines them differently. */
  claim(): unknown
  /** The last one that lets go stops the run. */
  release(): Promise<void> | undefined
  /** Gives the name and version back. */
  forget(): void
}

/** What an app of this context uses. */
interface Claim {
  /** Its database. */
  readonly place: unknown
  readonly definition: Projection
  /** What the app calls it. */
  readonly model: string
  /** Its store is gone: an app that is opened now has another one. */
  isOver(): boolean
  run?: SharedRun
}

interface SharedRun {
  readonly handle: ProjectionHandle
  /** Otherwise it only follows. */
  readonly runs: boolean
  readonly share: () => RunShare['release']
  isEnding: boolean
}

const claims = new Set<Claim>()

/**
 * The run of a model in this context, which apps of one name share if they define it in the same way.
 *
 * @param hold keeps the store open until what it returns is called
 * @param start gets `claim`, which comes before each try to join the run to its store
 */
export function shareRun<E extends EventShape>(
  store: TidemarkStore<E>,
  hold: () => () => Promise<void> | undefined,
  model: string,
  definition: Projection,
  runs: boolean,
  start: (claim: () => unknown) => ProjectionHandle,
): RunShare {
  const key = projectionKey(definition)
  const parts = storeInternals(store)
  const isOver = () => parts.medium === 'indexeddb' && parts.connection.isOver
  // Each store in memory is a log of its own.
  const place = parts.medium === 'indexeddb' ? databaseName(store.name, key) : {}
  const find = (isWanted: (claim: Claim, isSame: boolean) => boolean) =>
    [...claims].find(
      (each) => each.place === place && !each.isOver() && isWanted(each, isSameDefinition(each.definition, definition)),
    )
  let isForgotten = false
  const claim = () => {
    const other = find((_, isSame) => !isSame)
    if (other !== undefined)
      return new AlreadyRunningError(
        definition.name,
        say`Two apps called '${store.name}' in this context define '${key}' differently: as '${other.model}', which came first, and as '${model}'. Make one app and import it, or rename one of the two.`,
      )
    if (!isForgotten) claims.add(mine)
    return undefined
  }
  const newRun = (): SharedRun => {
    const letGo = hold()
    const run: SharedRun = {
      handle: start(claim),
      runs,
      share: shares(async () => {
        run.isEnding = true
        await run.handle.stop()
        await letGo()
      }),
      isEnding: false,
    }
    return run
  }
  const mine: Claim = { place, definition, model, isOver }
  const shared = find(({ run }, isSame) => isSame && run?.runs === runs && !run.isEnding)
  const run = (mine.run = shared?.run ?? newRun())
  claim()
  return {
    handle: run.handle,
    claim,
    release: run.share(),
    forget() {
      isForgotten = true
      claims.delete(mine)
    },
  }
}
