/** A model of an app, which is there before its store is open. */
import type { EventShape } from '../events/event.js'
import { projectionKey, type Projection, type Tables } from '../read-model/define.js'
import type { OpenView, ReadModelView } from '../reading/read-model-view.js'
import { viewCalls } from '../reading/view-calls.js'
import type { ProjectionHandle } from '../running/handle.js'
import { nothingKnown } from '../running/status-keeper.js'
import type { ProjectionStatus, StatusStore } from '../running/status.js'
import type { AppCore } from './app-core.js'
import type { AppModel } from './app-types.js'
import { lazyLive, type LazySource } from './lazy-live.js'
import { whileOpen, type Followable } from './while-open.js'
import type { OpenModel } from './open-app.js'

export function appModel<E extends EventShape>(core: AppCore<E>, name: string, definition: Projection): AppModel {
  const opened = (): OpenModel | undefined => core.opened?.models.get(name)
  const model = async (): Promise<OpenModel> => (await core.use()).models.get(name) as OpenModel
  const view = async (): Promise<OpenView<Tables>> => (await model()).view.use()
  const handle = async (): Promise<ProjectionHandle> => (await model()).handle
  const later =
    <N extends 'caughtUp' | 'pause' | 'resume' | 'skip' | 'rebuild'>(method: N) =>
    async (...given: Parameters<ProjectionHandle[N]>) =>
      ((await handle())[method] as (...given: unknown[]) => Promise<never>)(...given)
  const source: LazySource<OpenView<Tables>> = {
    get opened() {
      return opened()?.view.value()
    },
    use: view,
    of: () => core.of,
    follow: (listener) => core.follow(listener),
    failure: () => core.failure ?? opened()?.view.error(),
    failed: core.failed,
  }
  const { tables, live, close } = viewCalls(
    definition.tables,
    projectionKey(definition),
    {
      ask: async (...asked) => (await view()).ask(...asked),
      make: (query, rested) => lazyLive(source, (open) => open.make(query, rested)),
    },
    core.config.clock,
  )
  core.ended.add(close)
  return {
    ...tables,
    tables,
    live,
    position: async () => (await view()).position(),
    status: lazyStatus(core, opened),
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

/** The status of a model: that of its projection, once it is started. */
function lazyStatus<E extends EventShape>(
  core: AppCore<E>,
  opened: () => OpenModel | undefined,
): StatusStore<ProjectionStatus> {
  const stopped: ProjectionStatus = Object.freeze({ ...nothingKnown, phase: 'stopped' })
  return storeOf(
    core,
    nothingKnown,
    () => opened()?.handle.status.getSnapshot() ?? (core.phase === 'closed' ? stopped : nothingKnown),
    () => [opened()?.handle.status],
  )
}

/**
 * Follows the statuses of what is open, whatever is open, and calls back if the snapshot is another one. Not before
 * `subscribe` returns: the listener may want to unsubscribe.
 */
export function storeOf<O extends object, S>(
  core: Followable<O>,
  unknown: S,
  getSnapshot: () => S,
  statuses: (opened: O) => readonly (StatusStore<unknown> | undefined)[],
): StatusStore<S> {
  return {
    getSnapshot,
    getServerSnapshot: () => unknown,
    subscribe(listener) {
      let shown = getSnapshot()
      let mayTell = false
      let isOver = false
      const tell = () => {
        const next = getSnapshot()
        if (!mayTell || next === shown) return
        shown = next
        listener()
      }
      const unfollow = whileOpen(
        core,
        (follow) => core.follow(follow),
        (opened) => statuses(opened).map((status) => status?.subscribe(tell)),
        tell,
      )
      queueMicrotask(() => {
        mayTell = !isOver
        tell()
      })
      return () => {
        isOver = true
        mayTell = false
        unfollow()
      }
    },
  }
}
