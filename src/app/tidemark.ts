/** `tidemark()`: an app as one object. */
import { execute, type ExecuteOptions } from '../commands/execute.js'
import type { Command, Decision } from '../commands/command.js'
import { InvalidArgumentError } from '../errors.js'
import { catalogueCore } from '../events/catalogue.js'
import type { EventShape } from '../events/event.js'
import type { AppendOptions, StreamWrite } from '../log/event-store.js'
import { openEventStore, type TidemarkStore } from '../log/open.js'
import { assertDurability } from '../log/store.js'
import { say } from '../messages.js'
import { assertSignal, onlyKnown } from '../platform/arguments.js'
import { systemClock } from '../platform/clock.js'
import { disposable } from '../platform/disposable.js'
import { feature } from '../platform/features.js'
import { tell } from '../platform/tasks.js'
import { isDefinition, type Projection } from '../read-model/define.js'
import { equal } from '../read-model/equal.js'
import { nothingKnown } from '../running/status-keeper.js'
import type { ProjectionStatus, StatusStore } from '../running/status.js'
import { AppCore } from './app-core.js'
import { appModel, followStatuses } from './app-model.js'
import { appStatus, notOpen, type AppStatus } from './app-status.js'
import type {
  AppMembers,
  AppModel,
  AppOptions,
  CatchUpOptions,
  Models,
  TidemarkApp,
  UntilOptions,
} from './app-types.js'
import { catchUp } from './catch-up.js'
import { assertModelName } from './model-names.js'
import type { AppConfig, Opened } from './open-app.js'
import { becomesVisible } from './visible.js'

/**
 * Makes an app: one object for the event store, its read models and what runs them. Nothing happens before its first
 * use, a call or a subscription to a live query or a status: so it may be made where a module is loaded, also on a
 * server. The first use opens the store and starts the projections in this context, until `close()` or the end of the
 * page.
 *
 * If opening fails, the call that asked rejects, and the next call tries again; so does a subscription, after 1, 2, …
 * 30 s. Where there is no IndexedDB, as on a server, nothing starts: live queries stay `'loading'`, and promises reject
 * with a StorageUnavailableError.
 *
 * @throws InvalidArgumentError, InvalidNameError for an option that is not allowed
 *
 * @example
 * export const shop = tidemark({ name: 'shop', events, models: { baskets } })
 * await shop.append('basket-1', events.ItemAdded({ sku: 'A1', quantity: 2 }), { until: 'visible' })
 * const lines = await shop.baskets.lines.getAll()
 */
export function tidemark<E extends EventShape, const M extends Models = {}>(
  options: AppOptions<E, M>,
): TidemarkApp<E, M> {
  const config = checked(options as unknown as AppOptions<E>)
  const { onError = (error: unknown) => console.error(error) } = options
  const core = new AppCore<E>(config, (error) => tell(() => onError(error)))
  const models: Record<string, AppModel> = {}
  for (const [name, definition] of Object.entries(config.models)) models[name] = appModel(core, name, definition)
  return disposable<TidemarkApp<E, M>>(
    { ...models, ...members(core, Object.freeze(models)) } as unknown as Omit<
      TidemarkApp<E, M>,
      typeof Symbol.asyncDispose
    >,
    () => core.close(),
  )
}

const names = ['name', 'events', 'models', 'open', 'durability', 'projectors', 'run', 'onError', 'hot', 'clock']

function checked<E extends EventShape>(options: AppOptions<E>): AppConfig<E> {
  onlyKnown(options ?? null, names)
  const {
    name,
    events,
    models = {},
    open,
    durability,
    projectors = [],
    run,
    onError,
    hot,
    clock = systemClock,
  } = options
  const check = (right: boolean, what: string, problem: string) => {
    if (!right) throw new InvalidArgumentError(what, problem)
  }
  check(
    typeof name === 'string' || typeof name === 'function',
    'name',
    say`must be a string, or a function that returns one.`,
  )
  catalogueCore(events)
  check(typeof models === 'object' && models !== null, 'models', say`must be { name: projection }.`)
  for (const [each, definition] of Object.entries(models)) {
    assertModelName(each)
    check(isDefinition(definition), `models.${each}`, say`must come from defineProjection.`)
  }
  check(open === undefined || typeof open === 'function', 'open', say`must be a function such as openEventStore.`)
  check(onError === undefined || typeof onError === 'function', 'onError', say`must be a function.`)
  check(run === undefined || typeof run === 'boolean', 'run', say`must be true or false.`)
  check(Array.isArray(projectors), 'projectors', say`must be a list of plain projectors.`)
  if (durability !== undefined) assertDurability(durability)
  return {
    name,
    events,
    models: models as { readonly [name: string]: Projection },
    projectors,
    durability,
    clock,
    hot: Boolean(hot),
    needsIndexedDb: open === undefined,
    open: open ?? openEventStore,
    runs: () => run ?? !isServiceWorker(),
  }
}

/** Nothing continuous belongs there: it is ended when the browser likes. */
const isServiceWorker = (): boolean =>
  feature((here) => (here as { ServiceWorkerGlobalScope?: unknown }).ServiceWorkerGlobalScope) !== undefined

type Members<E extends EventShape> = Omit<
  AppMembers<E, {}>,
  typeof Symbol.asyncDispose | 'append' | 'execute' | 'models' | 'status'
>

function members<E extends EventShape>(core: AppCore<E>, models: Readonly<Record<string, AppModel>>) {
  const store = async (): Promise<TidemarkStore<E>> => (await core.use()).store
  const given: Members<E> = {
    ready: () => core.ready(),
    reopen: () => core.reopen(),
    close: () => core.close(),
    async catchUp(options: CatchUpOptions = {}) {
      onlyKnown(options, ['budget', 'signal'])
      assertSignal(options.signal)
      await catchUp(await core.use(), core.config, options)
    },
    head: async () => (await store()).head(),
    read: (options) => core.opened?.store.read(options) ?? later(async () => (await store()).read(options)),
    readStream: (stream, options) =>
      core.opened?.store.readStream(stream, options) ?? later(async () => (await store()).readStream(stream, options)),
  }
  return {
    ...given,
    models,
    status: statusOf(core),
    async append(...args: readonly unknown[]) {
      const at = typeof args[0] === 'string' ? 2 : 1
      const { until, timeout, options } = untilOf(args[at] as (AppendOptions & UntilOptions) | undefined)
      const opened = core.opened ?? (await core.use())
      const rest = [...args.slice(0, at), options] as unknown as Parameters<TidemarkStore<E>['append']>
      const result = await opened.store.append(...rest)
      return until === undefined
        ? result
        : { ...result, ...(await seen(opened, typesOf(args), result.position, timeout)) }
    },
    async execute(command: Command<E, unknown, Decision<E>>, given: ExecuteOptions & UntilOptions = {}) {
      const { until, timeout, options } = untilOf(given)
      const opened = core.opened ?? (await core.use())
      const result = await execute(opened.store, command, options)
      if (until === undefined || result.type === 'refused') return result
      return {
        ...result,
        ...(await seen(opened, new Set(result.events.map(({ type }) => type)), result.position, timeout)),
      }
    },
  }

  async function seen(opened: Opened<E>, types: ReadonlySet<string>, position: number, timeout: number) {
    return { visible: await becomesVisible(opened, types, position, timeout) }
  }
}

/** Parts the options of a write from those of the wait. */
function untilOf<O extends UntilOptions>(given: O | undefined) {
  const { until, timeout = 5_000, ...options } = given ?? ({} as O)
  if (until !== undefined && until !== 'stored' && until !== 'visible')
    throw new InvalidArgumentError('until', say`must be 'stored' or 'visible'.`)
  if (!(typeof timeout === 'number' && timeout >= 0))
    throw new InvalidArgumentError('timeout', say`must be a number of ms of at least 0.`)
  return { until: until === 'visible' ? until : undefined, timeout, options }
}

/** The types of the events of an append. */
function typesOf([first, second]: readonly unknown[]): ReadonlySet<string> {
  const writes = typeof first === 'string' ? [{ events: [second].flat() }] : ([first].flat() as StreamWrite[])
  return new Set(
    (writes as readonly Pick<StreamWrite, 'events'>[]).flatMap(({ events }) => events.map(({ type }) => type)),
  )
}

/** What is iterated once the store is open. */
async function* later<T>(begin: () => Promise<AsyncIterable<T>>): AsyncGenerator<T, void, undefined> {
  yield* await begin()
}

function statusOf<E extends EventShape>(core: AppCore<E>): StatusStore<AppStatus> {
  const unknown = Object.fromEntries(Object.keys(core.config.models).map((name) => [name, nothingKnown]))
  const idle = Object.freeze(notOpen('idle', unknown))
  let last = idle
  const now = (): AppStatus => {
    const { phase, opened, failure } = core
    if (opened === undefined) return notOpen(phase === 'open' ? 'opening' : phase, unknown, failure)
    const models: Record<string, ProjectionStatus> = {}
    for (const [name, { status }] of opened.models) models[name] = status.getSnapshot()
    return appStatus(
      models,
      Object.fromEntries(opened.projectors.map(({ name, handle }) => [name, handle.status.getSnapshot()])),
    )
  }
  const getSnapshot = () => {
    const next = now()
    return equal(next, last) ? last : (last = next)
  }
  return {
    getSnapshot,
    getServerSnapshot: () => idle,
    subscribe: (listener) =>
      followStatuses(
        core,
        () => [
          ...[...(core.opened?.models.values() ?? [])].map(({ status }) => status),
          ...(core.opened?.projectors ?? []).map(({ handle }) => handle.status),
        ],
        getSnapshot,
        listener,
      ),
  }
}
