/** What an app has open: one store, its models and its projectors, until they are closed. */
import { ProjectionFailedError } from '../errors.js'
import type { EventCatalogue } from '../events/catalogue.js'
import type { EventShape } from '../events/event.js'
import type { Codec } from '../log/encode.js'
import type { Durability } from '../log/event-store.js'
import type { TidemarkStore } from '../log/open.js'
import type { Clock } from '../platform/clock.js'
import { shares } from '../platform/shares.js'
import type { Projector } from '../projection/projector.js'
import type { RunningCode } from '../read-model/code.js'
import type { Projection, Tables } from '../read-model/define.js'
import { openView, type OpenView } from '../reading/read-model-view.js'
import type { ProjectionHandle } from '../running/handle.js'
import { startModel, startProjection } from '../running/start-projection.js'
import { definitionText } from '../running/definitions.js'
import type { ProjectionStatus, StatusStore } from '../running/status.js'
import type { AppKind } from './app-kind.js'
import { attempts, onceEach, type AttemptHooks, type Attempts, type OnceEach } from './attempts.js'
import { newestCode, textHash } from './newest-code.js'
import { shareRun } from './shared-runs.js'

/** The options of an app, checked and complete. */
export interface AppConfig<E extends EventShape> {
  readonly name: string | (() => string)
  readonly events: EventCatalogue<E>
  readonly models: { readonly [name: string]: Projection }
  readonly projectors: readonly Projector<E>[]
  readonly durability: Durability | undefined
  readonly codec: Codec | undefined
  readonly clock: Clock
  readonly hot: boolean
  /** The store is opened by `openEventStore`. */
  readonly needsIndexedDb: boolean
  readonly kind: AppKind<E>
  /** Called at each opening. */
  readonly opener: ReturnType<AppKind<E>['opener']>
  /** Whether this context runs the models. */
  runs(): boolean
}

/** A model of an open app. */
export interface OpenModel {
  readonly definition: Projection
  readonly view: Attempts<OpenView<Tables>>
  /** Faulted, if the model is refused. */
  readonly handle: ProjectionHandle
  /** See `RunShare`. */
  claim(): unknown
}

/** An app that is open. */
export interface Opened<E extends EventShape> {
  readonly store: TidemarkStore<E>
  readonly runs: boolean
  readonly models: ReadonlyMap<string, OpenModel>
  readonly projectors: readonly (readonly [name: string, run: { readonly handle: ProjectionHandle }])[]
  close(): Promise<void>
}

/** When the code of an app ran that is being developed, and the code that it took over from. */
export type HotRun = Pick<RunningCode, 'ranAt' | 'replaced'>

/** Starts what belongs to a store that was opened. */
export function startApp<E extends EventShape>(
  store: TidemarkStore<E>,
  { clock, models, projectors, kind, runs: mayRun }: AppConfig<E>,
  hooks: AttemptHooks,
  hot: HotRun | undefined,
): Opened<E> {
  const hold = shares(() => store.close())
  const letGo = hold()
  const runs = mayRun()
  const ends: (() => unknown)[] = []
  const lasts: (() => void)[] = []
  if (kind.attach !== undefined) ends.push(kind.attach(store, runs))
  const openModel = (name: string, model: Projection): OpenModel => {
    const definition = model as unknown as Projection<E>
    const check =
      __DEV__ && hot && runs
        ? (outdated: () => void) => newestCode({ ...hot, text: textHash(definitionText(model)) }, outdated)
        : undefined
    const share = shareRun(store, hold, name, model, runs, (claim) =>
      startModel(store, definition, { clock }, { runs, claim, check }),
    )
    const { handle, claim } = share
    const problem = onceEach(hooks.failed)
    const view = attempts<OpenView<Tables>>({ ...hooks, failed: problem.tell }, async () => {
      const refusal = claim()
      if (refusal !== undefined) throw refusal
      const open = await openView(store, definition, clock)
      // What kept it from joining its store may be over as well.
      if (handle.status.getSnapshot().phase === 'faulted') handle.caughtUp(0).catch(() => {})
      return open
    })
    ends.push(share.release, async () => (await view.end())?.close())
    lasts.push(share.forget)
    view.want()
    ends.push(tellFaults(handle.status, problem))
    return { view, handle, claim, definition: model }
  }
  return {
    store,
    runs,
    models: new Map(Object.entries(models).map(([name, model]) => [name, openModel(name, model)])),
    projectors: (runs ? projectors : []).map((projector) => {
      const handle = startProjection(store, projector, { clock })
      ends.push(() => handle.stop(), tellFaults(handle.status, onceEach(hooks.failed)))
      return [projector.name, { handle }]
    }),
    async close() {
      await Promise.all(ends.splice(0).map((end) => end()))
      for (const last of lasts) last()
      await letGo()
    },
  }
}

/** Tells each fault of a projection, and each rebuild that was given up, once. Returns how to stop that. */
function tellFaults(status: StatusStore<ProjectionStatus>, problem: OnceEach): () => void {
  const look = () => {
    const { phase, lastError, rebuildFault } = status.getSnapshot()
    // While it starts, newer code may be about to fold again.
    const isGivenUp = rebuildFault !== undefined && phase !== 'starting' && lastError instanceof ProjectionFailedError
    if (isGivenUp || (phase === 'faulted' && lastError !== undefined)) problem.tell(lastError)
    else if (phase === 'live' || phase === 'catching-up') problem.over()
  }
  look()
  return status.subscribe(look)
}
