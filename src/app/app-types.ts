/// <reference lib="esnext.disposable" preserve="true" />
/** What an app of `tidemark()` is made of, and what it offers. */
import type { Command, CommandResult, Decision, FitsCommand, ReasonOf } from '../commands/command.js'
import type { ExecuteOptions } from '../commands/execute.js'
import type { EventCatalogue } from '../events/catalogue-types.js'
import type { EventShape, NewEvent } from '../events/event.js'
import type { FitsStore, Reads } from '../events/fits.js'
import type { Literal, Literals } from '../events/literals.js'
import type { Codec } from '../log/encode.js'
import type {
  AppendOptions,
  AppendResult,
  Durability,
  EventStore,
  StreamAppendOptions,
  StreamWrite,
} from '../log/event-store.js'
import type { EventStoreOptions, TidemarkStore } from '../log/open.js'
import type { Clock } from '../platform/clock.js'
import type { ProjectionOptions } from '../projection/config.js'
import type { ProjectionResult } from '../projection/projector.js'
import type { Projector } from '../projection/projector.js'
import type { Projection, Tables } from '../read-model/define.js'
import type { LiveTables } from '../reading/live-tables.js'
import type { ReadModelView } from '../reading/read-model-view.js'
import type { ProjectionHandle } from '../running/handle.js'
import type { StoreReport } from '../reports.js'
import type { StatusStore } from '../running/status.js'
import type { AppStatus } from './app-status.js'
import type { ReservedModelName } from './model-names.js'

/** Read models by name, as `tidemark()` takes them. */
export type Models = { readonly [name: string]: unknown }

/** `unknown` if a model fits a store of `E`, otherwise a text that says why it does not. */
export type FitModel<E extends EventShape, P> =
  P extends Projection<infer Own extends EventShape, infer _ extends Tables, infer R extends Reads>
    ? FitsStore<E, Own, R>
    : 'It must come from defineProjection.'

/** Models that fit a store of `E`, and have names that are free: a misfit becomes a text that says why. */
export type FitAll<M, E extends EventShape> = {
  readonly [N in keyof M]: N extends ReservedModelName | '' | `$${string}`
    ? `'${N}' is a reserved name: rename the model`
    : FitModel<E, M[N]>
}

/** The tables of a model. */
export type TablesOf<P> = P extends { readonly tables: infer T extends Tables } ? T : Tables

/** What `tidemark()` takes. */
export interface AppOptions<E extends EventShape, M extends Models = Models> {
  /**
   * What the store is called on this origin. A function is called at each opening: put the user into the name where
   * several share a device, and call `reopen` when another one logs in.
   */
  readonly name: string | (() => string)
  /** The app's events, from `defineEvents`. */
  readonly events: EventCatalogue<E>
  /** Its read models, from `defineProjection`, by the names that they get in the app. @default none */
  readonly models?: M & FitAll<M, E>
  /** Opens the store; that of `tidemark/memory` in tests and in Node. @default openEventStore */
  readonly open?: (options: EventStoreOptions<E>) => Promise<TidemarkStore<E>>
  /** For every append that does not say otherwise. @default 'strict' */
  readonly durability?: Durability
  /**
   * Transforms `data` on its way into the store and out of it, for encryption for example. Not the rows of read models.
   * @default none: plain JSON
   */
  readonly codec?: Codec
  /** Plain projectors that run as well, where `run` is true. @default none */
  readonly projectors?: readonly Projector<E>[]
  /**
   * Whether this context may run the models, once the app is used. Somewhere one has to.
   * @default true, and false in service workers, where `catchUp` does the work
   */
  readonly run?: boolean
  /**
   * Called once with each error that no promise carries: an opening that a subscription began, a projection that
   * stopped, a rebuild that was given up, a live query that failed. @default console.error
   */
  readonly onError?: (error: unknown) => void
  /**
   * `import.meta.hot`, or anything truthy, while you develop: newer code of the app takes over from older, in this page
   * and in other tabs, and an edited model is folded again. The production build ignores it. @default off
   */
  readonly hot?: unknown
  /** For tests: drives all pauses and limits. @default the clock of this context */
  readonly clock?: Clock
}

/** When a write of an app resolves. */
export interface UntilOptions {
  /**
   * `'stored'`: once it is stored. `'visible'`: once it is in the rows of every model that handles its events, and the
   * live queries of this context that it touched show it. Waiting never rejects, because the events are stored by then:
   * `visible` in the result says whether it came to that. @default 'stored'
   */
  readonly until?: 'stored' | 'visible'
  /**
   * The longest wait for the rows, ms. Live queries may have one more second to show them; opening the store, if this
   * call does, is not counted. @default 5000
   */
  readonly timeout?: number
}

/** What the `append` of an app resolves with. */
export interface AppAppendResult extends AppendResult {
  /**
   * Only with `until: 'visible'`: the rows show it. False after `timeout`, and immediately if a model that handles it is
   * paused, faulted or run by no context.
   */
  readonly visible?: boolean
}

/** What the `execute` of an app resolves with. `visible`: see {@link AppAppendResult}. */
export type AppCommandResult<E extends EventShape = EventShape, R = unknown> =
  | (Extract<CommandResult<E, R>, { readonly type: 'accepted' }> & { readonly visible?: boolean })
  | Extract<CommandResult<E, R>, { readonly type: 'refused' }>

/** What `catchUp` takes. */
export type CatchUpOptions = Pick<ProjectionOptions, 'budget' | 'signal'>

/** What `catchUp` resolves with. */
export interface CatchUpResult<Name extends string = string> {
  /** Everything up to the head as of the call is in the rows of every model, and done by every plain projector. */
  readonly complete: boolean
  /** How far each model is. The counts are of what this context did; `reason` is `'budget'` where it had no turn. */
  readonly models: { readonly [N in Name]: ProjectionResult }
}

/** A model of an app: its tables by name, live queries, its status, and what can be done with its projection. */
export type AppModel<T extends Tables = Tables> = LiveTables<T> &
  Omit<ReadModelView<T>, 'close' | typeof Symbol.asyncDispose> &
  Omit<ProjectionHandle, 'stop' | typeof Symbol.asyncDispose>

/** The models of an app, by name. */
export type AppModels<M> = { readonly [N in keyof M]: AppModel<TablesOf<M[N]>> }

/** What an app has next to its models. */
export interface AppMembers<E extends EventShape, M> extends Pick<
  EventStore<E>,
  'read' | 'readStream' | 'follow' | 'head'
> {
  /**
   * Calls back with what the store reports, as its `observe`, of each store that the app opens. Opens none by itself.
   * Returns how to stop that.
   */
  observe(listener: (report: StoreReport) => void): () => void
  /**
   * Stores events, as the `append` of a store.
   *
   * @example
   * await shop.append([{ stream: 'basket-1', events: [events.ItemAdded({ sku: 'A1', quantity: 2 })] }], { until: 'visible' })
   */
  append(
    writes: StreamWrite<E> | readonly StreamWrite<E>[],
    options?: AppendOptions<E> & UntilOptions & { readonly expectedVersion?: never },
  ): Promise<AppAppendResult>
  /**
   * The same for one stream.
   *
   * @example
   * await shop.append('basket-1', events.ItemAdded({ sku: 'A1', quantity: 2 }), { until: 'visible' })
   */
  append(
    stream: string,
    events: NewEvent<E> | readonly NewEvent<E>[],
    options?: StreamAppendOptions<E> & UntilOptions,
  ): Promise<AppAppendResult>
  /** Executes a command, as the function `execute`. */
  execute<S, const D extends Decision<E>, L extends Literal = Literal, Next extends S & Literals<L> = S & Literals<L>>(
    command: Command<E, S, D, Next>,
    options?: ExecuteOptions & UntilOptions,
  ): Promise<AppCommandResult<E, ReasonOf<D>>>
  /** The same, for a command that is typed by its own events: see `FitsCommand`. */
  execute<S, const D extends Decision<Own>, Own extends EventShape = E>(
    command: Command<Own, S, D> & FitsCommand<E, Own, D>,
    options?: ExecuteOptions & UntilOptions,
  ): Promise<AppCommandResult<Own, ReasonOf<D>>>
  /** The models once more, for generic code: `shop.models.baskets` is `shop.baskets`. */
  readonly models: AppModels<M>
  /** The state of the model that is worst off, and of each. Subscribing opens the app. */
  readonly status: StatusStore<AppStatus<keyof M & string>>
  /**
   * Opens the app, and resolves with the store once it is open, also where a model fails or cannot be read: that is what
   * the status and the calls of that model say.
   *
   * @throws what `openEventStore` throws, or what `name` does
   * @throws ClosedError after `close`
   *
   * @example
   * for await (const line of exportEvents(await shop.ready())) lines.push(line)
   */
  ready(): Promise<TidemarkStore<E>>
  /**
   * Closes the store, so that no row of it is shown any more, reads `name()` again and opens that one. Every snapshot is
   * `'loading'` immediately, and subscriptions stay. Call it at login and logout, in each tab. Resolves as `ready` does;
   * of several calls, with the store of the last one.
   *
   * @throws what `ready` throws
   *
   * @example
   * const shop = tidemark({ name: () => `shop-${currentUser()}`, events, models: { baskets } })
   * await shop.reopen()
   */
  reopen(): Promise<TidemarkStore<E>>
  /**
   * Runs every model up to the head as of the call, within one budget, of which each gets its share: for service
   * workers. Where another context runs a model, this one waits until that has done the work, and continues it if that
   * ends or is stuck. Calls while it runs share one more pass, with the largest of their budgets, and none takes longer
   * than its own.
   *
   * @throws the first error of a model that failed, once the others were run. The event that stopped it is tried again
   * by the next call, as by each start of an app: the reason may be over
   *
   * @example
   * addEventListener('message', (event) => event.waitUntil(shop.catchUp({ budget: { maxTime: 20_000 } })))
   */
  catchUp(options?: CatchUpOptions): Promise<CatchUpResult<keyof M & string>>
  /** Ends the app in this context, for good. What was applied is stored first. */
  close(): Promise<void>
  /** The same as `close`, for `await using`. */
  [Symbol.asyncDispose](): Promise<void>
}

/**
 * An app: its store, its read models and what runs them, as one object.
 */
export type TidemarkApp<E extends EventShape, M = {}> = AppMembers<E, M> & AppModels<M>
