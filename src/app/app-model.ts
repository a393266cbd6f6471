/** A model of an app, which is there before its store is open. */
import type { EventShape } from '../events/event.js'
import { projectionKey, type Projection, type Tables } from '../read-model/define.js'
import type { OpenView } from '../reading/open-view.js'
import type { ReadModelView } from '../reading/read-model-view.js'
import { viewCalls, type ViewPorts } from '../reading/view-calls.js'
import type { ProjectionHandle } from '../running/handle.js'
import { nothingKnown } from '../running/status-keeper.js'
import type { ProjectionStatus } from '../running/status.js'
import type { AppCore } from './app-core.js'
import type { AppModel } from './app-types.js'
import { lazyLive } from './lazy-live.js'
import type { Opened, OpenModel } from './open-app.js'
import { storeOf } from './while-open.js'

const stopped: ProjectionStatus = Object.freeze({ ...nothingKnown, phase: 'stopped' })

/** @param at which of the models */
export function appModel<E extends EventShape>(core: AppCore<E>, at: number, definition: Projection): AppModel {
  const modelOf = ({ models }: Opened<E>) => models[at] as OpenModel
  const viewOf = (opened: Opened<E>) => modelOf(opened).view
  const view = async (): Promise<OpenView<Tables>> => viewOf(await core.use()).use()
  const handle = async (): Promise<ProjectionHandle> => modelOf(await core.use()).handle
  const status = () => core.opened && modelOf(core.opened).handle.status
  const later =
    <N extends 'caughtUp' | 'pause' | 'resume' | 'skip' | 'rebuild'>(method: N) =>
    async (...given: Parameters<ProjectionHandle[N]>) =>
      ((await handle())[method] as (...given: unknown[]) => Promise<never>)(...given)
  const ask: ViewPorts<Tables>['ask'] = async (...asked) => (await view()).ask(...asked)
  const { tables, live, close } = viewCalls(
    definition.tables,
    projectionKey(definition),
    {
      ask,
      make: (query, rested, identity) =>
        lazyLive(
          core,
          viewOf,
          (open) => open.make(query, rested),
          __DEV__ ? `${projectionKey(definition)} ${identity}` : undefined,
        ),
    },
    core.config.clock,
  )
  core.config.kind.tables?.(tables, { ask, live })
  core.watch(() => {
    if (core.phase === 'closed') close()
  })
  return {
    ...tables,
    tables,
    live,
    position: async () => (await view()).position(),
    status: storeOf(
      core.follow,
      status,
      nothingKnown,
      () => status()?.getSnapshot() ?? (core.phase === 'closed' ? stopped : nothingKnown),
    ),
    caughtUp: later('caughtUp'),
    pause: later('pause'),
    resume: later('resume'),
    skip: later('skip'),
    rebuild: later('rebuild'),
    async *deadLetters() {
      yield* (await handle()).deadLetters()
    },
  } satisfies Omit<
    ReadModelView<Tables> & ProjectionHandle,
    'close' | 'stop' | typeof Symbol.asyncDispose
  > as unknown as AppModel
}
