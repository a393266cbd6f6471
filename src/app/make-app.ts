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
import { nothingKnown } from '../running/status-keeper.js'
import type { ProjectionHandle } from '../running/handle.js'
import type { StatusStore } from '../running/status.js'
import { AppCore } from './app-core.js'
import type { StoreReport } from '../reports.js'
import { appModel, storeOf } from './app-model.js'
import { appStatus, notOpen, type AppStatus } from './app-status.js'
import type { AppKind } from './app-kind.js'
import type { AppModel, AppOptions, CatchUpOptions, TidemarkApp, UntilOptions } from './app-types.js'
import { catchUp } from './catch-up.js'
import { assertModelName } from './model-names.js'
import type { AppConfig, Opened } from './open-app.js'
import { becomesVisible } from './visible.js'
import { whileOpen } from './while-open.js'
import { isObject } from '../platform/objects.js'

/**
 * Makes an app, for options that came from outside.
 *
 * @param kind what the entry adds
 */
export function makeApp<E extends EventShape>(options: AppOptions<E>, kind: AppKind<E>): TidemarkApp<E> {
  const config = checked(options, kind)
  const { onError = (error: unknown) => console.error(error) } = options
  const core = new AppCore<E>(config, (error) => tell(() => onError(error)))
  const models: Record<string, AppModel> = {}
  const base = membersOf(core, models)
  const own = { ...base, ...kind.members?.(core, base) }
  own.ready = quiet(own.ready)
  own.reopen = quiet(own.reopen)
  for (const [name, definition] of Object.entries(config.models)) {
    assertModelName(name, own)
    models[name] = appModel(core, name, definition)
  }
  Object.freeze(models)
  const members = { ...models, ...own } as unknown as Omit<TidemarkApp<E>, typeof Symbol.asyncDispose>
  return disposable<TidemarkApp<E>>(members, () => core.close())
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
  check(isObject(models) && !Array.isArray(models), 'models', say`must be an object by name: { name: projection }.`)
  for (const [each, definition] of Object.entries(models))
    check(isDefinition(definition), `models.${each}`, say`must come from defineProjection.`)
  for (const [what, value] of Object.entries({ open, onError }))
    check(value === undefined || typeof value === 'function', what, say`must be a function.`)
  check(run === undefined || typeof run === 'boolean', 'run', say`must be true or false.`)
  check(Array.isArray(projectors), 'projectors', say`must be a list of plain projectors.`)
  for (const each of projectors as readonly { name: string; apply: unknown }[]) {
    check(isObject(each) && typeof each.apply === 'function', 'projectors', say`must be a list of plain projectors.`)
    projectionName(each.name)
  }
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
    hot: Boolean(hot),
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
  type Iterates = 'read' | 'readStream' | 'follow'
  const iterates = (method: Iterates) => (first: never, second: never) => {
    const { opened } = core
    return opened === undefined ? later(core, method, first, second) : opened.store[method](first, second)
  }
  return {
    models,
    status: statusOf(core),
    ready: () => core.ready(),
    reopen: () => core.reopen(),
    close: () => core.close(),
    async catchUp(options: CatchUpOptions = {}) {
      onlyKnown(options, ['budget', 'signal'])
      // As each run refuses it, but before the store is opened.
      settle(options, 'batch', false)
      await catchUp(await core.use(), core.config, options)
    },
    head: async () => (await core.use()).store.head(),
    read: iterates('read'),
    readStream: iterates('readStream'),
    follow: iterates('follow'),
    observe: (listener: (report: StoreReport) => void) =>
      whileOpen(core, core.watching.add, ({ store }) => [store.observe(listener)]),
    append(...asked: readonly unknown[]) {
      const given = core.opened === undefined ? copied(asked) : asked
      const at = typeof given[0] === 'string' ? 2 : 1
      const until = given[at] as UntilOptions | undefined
      // Now: the caller may use its objects for something else.
      const types = until?.until === 'visible' ? typesOf(at === 2 ? { events: given[1] } : given[0]) : none
      return write(
        core,
        until,
        (store, options) =>
          store.append(...([...given.slice(0, at), options] as unknown as Parameters<TidemarkStore<E>['append']>)),
        () => types,
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
  typesOf: (result: R) => ReadonlySet<string>,
): Promise<R & { readonly visible?: boolean }> {
  const { until = 'stored', timeout = 5_000, ...options } = given ?? ({} as O)
  if (until !== 'stored' && until !== 'visible')
    throw new InvalidArgumentError('until', say`must be 'stored' or 'visible'.`)
  if (!(typeof timeout === 'number' && timeout >= 0))
    throw new InvalidArgumentError('timeout', say`must be a number of ms of at least 0.`)
  // Immediately, where that is possible: what is given is read before this returns.
  const opened = core.opened ?? (await core.use())
  const result = await act(opened.store, options)
  const { position } = result as { readonly position?: number }
  // A command that was refused has no position.
  if (until === 'stored' || position === undefined) return result
  return { ...result, visible: await becomesVisible(opened, typesOf(result), position, timeout, core.config.clock) }
}

const none: ReadonlySet<string> = new Set()

/** The types of the events of one or several writes; of what cannot be read, which the store refuses, none. */
function typesOf(writes: unknown): ReadonlySet<string> {
  try {
    const events = [writes].flat().flatMap((write) => (write as { events: EventShape | readonly EventShape[] }).events)
    return new Set(events.map(({ type }) => type))
  } catch {
    return none
  }
}

/** What is to be appended once the store is open. What cannot be copied stays as it is, and the store refuses it. */
function copied(given: readonly unknown[]): readonly unknown[] {
  try {
    return freshCopy(given)
  } catch {
    return given
  }
}

/** What is iterated once the store is open. */
async function* later<E extends EventShape>(
  core: AppCore<E>,
  method: 'read' | 'readStream' | 'follow',
  first: never,
  second: never,
): AsyncGenerator<RecordedEvent<E>, void, undefined> {
  yield* (await core.use()).store[method](first, second)
}

function statusOf<E extends EventShape>(core: AppCore<E>): StatusStore<AppStatus> {
  const unknown = Object.fromEntries(Object.keys(core.config.models).map((name) => [name, nothingKnown]))
  const idle = Object.freeze(notOpen('idle', unknown))
  let last = idle
  const snapshots = (handles: Iterable<readonly [name: string, of: { readonly handle: ProjectionHandle }]>) =>
    Object.fromEntries([...handles].map(([name, { handle }]) => [name, handle.status.getSnapshot()]))
  const getSnapshot = () => {
    const { phase, opened, failure } = core
    const next =
      opened === undefined
        ? notOpen(phase === 'open' ? 'opening' : phase, unknown, failure)
        : appStatus(snapshots(opened.models), snapshots(opened.projectors))
    return equal(next, last) ? last : (last = next)
  }
  const statuses = ({ models, projectors }: Opened<E>) =>
    [...models, ...projectors].map(([, { handle }]) => handle.status)
  return storeOf(core, idle, getSnapshot, statuses)
}
