/** How an app is made of its options: what every entry with a `tidemark()` shares. */
import { execute, type ExecuteOptions } from '../commands/execute.js'
import type { Command, Decision } from '../commands/command.js'
import { hasCode, InvalidArgumentError } from '../errors.js'
import { catalogueCore } from '../events/catalogue.js'
import type { EventShape, RecordedEvent } from '../events/event.js'
import { freshCopy } from '../events/fresh-copy.js'
import { projectionName } from '../events/names.js'
import type { TidemarkStore } from '../log/open.js'
import { assertCodec, assertDurability } from '../log/store.js'
import { say } from '../messages.js'
import { onlyKnown } from '../platform/arguments.js'
import { systemClock } from '../platform/clock.js'
import { disposable } from '../platform/disposable.js'
import { feature } from '../platform/features.js'
import { optional } from '../platform/promises.js'
import { tell } from '../platform/tasks.js'
import { settle } from '../projection/config.js'
import { isDefinition, type Projection } from '../read-model/define.js'
import { equal } from '../read-model/equal.js'
import { assertCaughtUpOptions } from '../running/caught-up.js'
import type { ProjectionStatus, StatusStore } from '../running/status.js'
import { appCore, type AppCore } from './app-core.js'
import type { StoreReport } from '../reports.js'
import { appModel } from './app-model.js'
import { appStatus, notOpen, type AppStatus } from './app-status.js'
import type { AppKind, AppPorts } from './app-kind.js'
import type { AppModel, AppOptions, CatchUpOptions, TidemarkApp, UntilOptions } from './app-types.js'
import { catchUp } from './catch-up.js'
import { assertModelName } from './model-names.js'
import type { AppConfig, Opened } from './open-app.js'
import { becomesVisible } from './visible.js'
import { storeOf, whileOpen } from './while-open.js'
import { isObject } from '../platform/objects.js'

/**
 * Makes an app, for options that came from outside.
 *
 * @param kind what the entry adds
 */
export function makeApp<E extends EventShape>(options: AppOptions<E>, kind: AppKind<E>): TidemarkApp<E> {
  const config = checked(options, kind)
  const { onError = (error: unknown) => console.error(error) } = options
  const core = appCore(config, (error) => tell(() => onError(error)))
  const models: Readonly<Record<string, AppModel>> = Object.freeze(
    Object.fromEntries(
      Object.entries(config.models).map(([name, definition], at) => [name, appModel(core, at, definition)]),
    ),
  )
  const base = membersOf(core, models)
  const own = { ...base, ...kind.members?.(core, base) }
  own.ready = quiet(own.ready)
  own.reopen = quiet(own.reopen)
  for (const name of Object.keys(models)) assertModelName(name, own)
  const members = { ...models, ...own } as unknown as Omit<TidemarkApp<E>, typeof Symbol.asyncDispose>
  return disposable<TidemarkApp<E>>(members, core.close)
}

/** What only asks for an opening: if the app is closed meanwhile, that is no rejection to be handled. */
const quiet =
  <T>(ask: () => Promise<T>) =>
  (): Promise<T> => {
    const asked = ask().catch((error: unknown) => {
      if (hasCode(error, 'closed')) void optional(asked)
      throw error
    })
    return asked
  }

const names = [
  'name',
  'events',
  'models',
  'open',
  'durability',
  'codec',
  'projectors',
  'run',
  'onError',
  'hot',
  'clock',
]

function checked<E extends EventShape>(options: AppOptions<E>, kind: AppKind<E>): AppConfig<E> {
  onlyKnown(options ?? null, [...names, ...(kind.options ?? [])])
  const {
    name,
    events,
    models = {},
    open,
    durability,
    codec,
    projectors = [],
    run,
    onError,
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
  check(isObject(models) && !Array.isArray(models), 'models', say`must be an object by name: { name: projection }.`)
  for (const [each, definition] of Object.entries(models))
    check(isDefinition(definition), `models.${each}`, say`must come from defineProjection.`)
  for (const [what, value] of Object.entries({ open, onError }))
    check(value === undefined || typeof value === 'function', what, say`must be a function.`)
  check(run === undefined || typeof run === 'boolean', 'run', say`must be true or false.`)
  const isProjector = (each: unknown) => isObject(each) && typeof (each as { apply?: unknown }).apply === 'function'
  check(
    Array.isArray(projectors) && projectors.every(isProjector),
    'projectors',
    say`must be a list of plain projectors.`,
  )
  for (const { name: each } of projectors) projectionName(each)
  if (durability !== undefined) assertDurability(durability)
  assertCodec(codec)
  return {
    name,
    events,
    models: models as { readonly [name: string]: Projection },
    projectors,
    durability,
    codec,
    clock,
    hot: __DEV__ && Boolean(options.hot),
    needsIndexedDb: open === undefined,
    kind,
    opener: kind.opener(open),
    runs: () => run ?? !isServiceWorker(),
  }
}

/** Nothing continuous belongs there: it is ended when the browser likes. */
export const isServiceWorker = (): boolean =>
  feature((here) => (here as { ServiceWorkerGlobalScope?: unknown }).ServiceWorkerGlobalScope) !== undefined

function membersOf<E extends EventShape>(core: AppCore<E>, models: Readonly<Record<string, AppModel>>) {
  const iterates =
    (method: 'read' | 'readStream' | 'follow') =>
    (first: never, second: never): AsyncIterable<RecordedEvent<E>> => {
      const from = ({ store }: Opened<E>) => store[method](first, second)
      return core.opened === undefined ? later(core, from) : from(core.opened)
    }
  return {
    models,
    status: statusOf(core, models),
    ready: core.ready,
    reopen: core.reopen,
    close: core.close,
    async catchUp(options: CatchUpOptions = {}) {
      onlyKnown(options, ['budget', 'signal'])
      // As each run refuses it, but before the store is opened.
      const settings = settle(options, 'batch', false)
      return catchUp(await core.use(), core.config, settings, options.signal)
    },
    head: async () => (await core.use()).store.head(),
    read: iterates('read'),
    readStream: iterates('readStream'),
    follow: iterates('follow'),
    observe: (listener: (report: StoreReport) => void) =>
      whileOpen(
        () => core.opened,
        core.watch,
        ({ store }) => store.observe(listener),
      ),
    append(...asked: readonly unknown[]) {
      const at = typeof asked[0] === 'string' ? 2 : 1
      const until = asked[at] as UntilOptions | undefined
      // Now: the caller may use its objects for something else.
      const given = core.opened === undefined || until?.until === 'visible' ? copied(asked) : asked
      return write(
        core,
        until,
        (store, options) =>
          store.append(...([...given.slice(0, at), options] as unknown as Parameters<TidemarkStore<E>['append']>)),
        () => typesOf(at === 2 ? { events: given[1] } : given[0]),
      )
    },
    execute: (command: Command<E, unknown, Decision<E>>, given?: ExecuteOptions & UntilOptions) =>
      write(core, given, (store, options) => execute(store, command, options), typesOf),
  }
}

/** Writes, and waits as the options say. */
async function write<E extends EventShape, O extends UntilOptions, R extends object>(
  core: AppCore<E>,
  given: O | undefined,
  act: (store: TidemarkStore<E>, options: Omit<O, keyof UntilOptions>) => Promise<R>,
  typesOf: (result: R) => readonly string[],
): Promise<R & { readonly visible?: boolean }> {
  const { until = 'stored', timeout = 5_000, ...options } = given ?? ({} as O)
  if (until !== 'stored' && until !== 'visible')
    throw new InvalidArgumentError('until', say`must be 'stored' or 'visible'.`)
  assertCaughtUpOptions({ timeout })
  // Immediately, where that is possible: what is given is read before this returns.
  const opened = core.opened ?? (await core.use())
  const result = await act(opened.store, options)
  const { position } = result as { readonly position?: number }
  // A command that was refused has no position.
  if (until === 'stored' || position === undefined) return result
  return { ...result, visible: await becomesVisible(opened, typesOf(result), position, timeout, core.config.clock) }
}

/** The types of the events of one or several writes. */
function typesOf(writes: unknown): readonly string[] {
  const events = [writes].flat().flatMap((write) => (write as { events: EventShape | readonly EventShape[] }).events)
  return events.map(({ type }) => type)
}

/** A copy of what is to be appended. What cannot be copied stays as it is, and the store refuses it. */
function copied(given: readonly unknown[]): readonly unknown[] {
  try {
    return freshCopy(given)
  } catch {
    return given
  }
}

/** What is iterated once the app is open. */
async function* later<O, V>(core: Pick<AppPorts<O>, 'use'>, from: (opened: O) => AsyncIterable<V>): AsyncGenerator<V> {
  yield* from(await core.use())
}

function statusOf<E extends EventShape>(core: AppCore<E>, models: Readonly<Record<string, AppModel>>) {
  const snapshots = (running: Iterable<readonly [string, { status: StatusStore<ProjectionStatus> }]>) =>
    Object.fromEntries([...running].map(([name, { status }]) => [name, status.getSnapshot()]))
  let last: AppStatus | undefined
  const getSnapshot = () => {
    const { phase, opened, failure } = core
    const known = snapshots(Object.entries(models))
    const next = opened === undefined ? notOpen(phase, known, failure) : appStatus(known, snapshots(opened.projectors))
    return equal(next, last) ? (last as AppStatus) : (last = next)
  }
  return storeOf(core.follow, () => core.opened, getSnapshot(), getSnapshot)
}
