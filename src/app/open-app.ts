/** What an app has open: one store, its models and its projectors, until they are closed. */
import { ProjectionFailedError } from '../errors.js'
import type { EventCatalogue } from '../events/catalogue-types.js'
import type { EventShape } from '../events/event.js'
import type { Codec } from '../log/encode.js'
import type { Durability } from '../log/event-store.js'
import type { TidemarkStore } from '../log/open.js'
import type { Clock } from '../platform/clock.js'
import { shares } from '../platform/shares.js'
import type { Projector } from '../projection/projector.js'
import type { RunningCode } from '../read-model/code.js'
import type { Projection, Tables } from '../read-model/define.js'
import { openView, type OpenView } from '../reading/open-view.js'
import type { ProjectionHandle } from '../running/handle.js'
import { startModel, startProjection } from '../running/start-projection.js'
import { definitionText, modelNames } from '../running/definitions.js'
import type { ProjectionStatus, StatusStore } from '../running/status.js'
import type { AppKind, OpenStore } from './app-kind.js'
import { attempts, onceEach, type AttemptHooks, type Attempts } from './attempts.js'
import { newestCode, textHash } from './newest-code.js'
import { shareRun } from './shared-runs.js'
import type { Subscribe } from './while-open.js'

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
  /** In the app. */
  readonly name: string
  readonly definition: Projection
  readonly view: Attempts<OpenView<Tables>>
  /** Faulted, if the model is refused. */
  readonly handle: ProjectionHandle
}

/** An app that is open. */
export interface Opened<E extends EventShape> {
  readonly store: TidemarkStore<E>
  /** In the order of the options. */
  readonly models: readonly OpenModel[]
  readonly projectors: readonly (readonly [name: string, handle: ProjectionHandle])[]
  /** Calls back whenever the status of a model or of a projector is another one. */
  readonly subscribe: Subscribe
  close(): Promise<void>
}

/** When the code of an app ran that is being developed, and the code that it took over from. */
export type HotRun = Pick<RunningCode, 'ranAt' | 'replaced'>

/** Opens a store, and starts what belongs to it. */
export async function openApp<E extends EventShape>(
  name: string,
  open: OpenStore<E>,
  { events, durability, codec, clock, models, projectors, kind, runs: mayRun }: AppConfig<E>,
  hooks: AttemptHooks,
  hot: HotRun | undefined,
): Promise<Opened<E>> {
  const store = await open({
    name,
    events,
    ...(durability !== undefined && { durability }),
    ...(codec !== undefined && { codec }),
  })
  const hold = shares(() => store.close())
  const letGo = hold()
  const runs = mayRun()
  const ends = [kind.attach?.(store, runs)]
  const statuses: StatusStore<ProjectionStatus>[] = []
  const follow = ({ status }: ProjectionHandle, problem: (error?: unknown) => void) => {
    statuses.push(status)
    ends.push(tellFaults(status, problem))
  }
  const openModel = (name: string, model: Projection): OpenModel => {
    const definition = model as unknown as Projection<E>
    const check =
      __DEV__ && hot && runs
        ? (outdated: () => void) => newestCode({ ...hot, text: textHash(definitionText(model)) }, outdated)
        : undefined
    modelNames.set(model, name)
    const [handle, release] = shareRun(store, hold, model, runs, () =>
      startModel(store, definition, { clock }, { runs, check }),
    )
    const problem = onceEach(hooks.failed)
    const open = async () => {
      const view = await openView(store, definition, clock)
      // What kept it from joining its store may be over as well.
      if (handle.status.getSnapshot().phase === 'faulted') handle.caughtUp(0).catch(() => {})
      return view
    }
    const view = attempts<OpenView<Tables>>(hooks, open, problem)
    ends.push(release, view.end)
    view.want()
    follow(handle, problem)
    return { name, view, handle, definition: model }
  }
  return {
    store,
    models: Object.entries(models).map(([name, model]) => openModel(name, model)),
    projectors: (runs ? projectors : []).map((projector) => {
      const handle = startProjection(store, projector, { clock })
      ends.push(handle.stop)
      follow(handle, onceEach(hooks.failed))
      return [projector.name, handle]
    }),
    subscribe(listener) {
      const stops = statuses.map((status) => status.subscribe(listener))
      return () => stops.forEach((stop) => stop())
    },
    async close() {
      await Promise.all(ends.map((end) => end?.()))
      await letGo()
    },
  }
}

/** Tells each fault of a projection, and each rebuild that was given up, once. Returns how to stop that. */
function tellFaults(status: StatusStore<ProjectionStatus>, problem: (error?: unknown) => void): () => void {
  const look = () => {
    const { phase, lastError, rebuildFault } = status.getSnapshot()
    // While it starts, newer code may be about to fold again.
    const isGivenUp = rebuildFault !== undefined && phase !== 'starting' && lastError instanceof ProjectionFailedError
    if (isGivenUp || (phase === 'faulted' && lastError !== undefined)) problem(lastError)
    else if (phase === 'live' || phase === 'catching-up') problem()
  }
  look()
  return status.subscribe(look)
}
