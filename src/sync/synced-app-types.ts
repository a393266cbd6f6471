/// <reference lib="esnext.disposable" preserve="true" />
/** What an app that syncs takes and offers, in addition to any other. */
import type { AppMembers, AppModel, AppOptions, Models, TablesOf, UntilOptions } from '../app/app-types.js'
import type { Command, CommandResult, Decision, FitsCommand, ReasonOf } from '../commands/command.js'
import type { ExecuteOptions } from '../commands/execute.js'
import type { EventShape, NewEvent } from '../events/event.js'
import type { Literal, Literals } from '../events/literals.js'
import type { AppendOptions, StreamAppendOptions, StreamWrite } from '../log/event-store.js'
import type { Tables } from '../read-model/define.js'
import type { LiveQuery } from '../reading/live-query.js'
import type { StatusStore } from '../running/status.js'
import type { SyncedTables } from './pending-rows.js'
import type { StartSyncOptions, SyncHandle } from './start-sync.js'
import type { RemoteOptions } from './sync-parts.js'
import type { SyncStatus } from './sync-status.js'
import type {
  AppendedCommit,
  OwnCommit,
  SyncedAppendResult,
  SyncedStore,
  SyncedStoreOptions,
  SyncedStreamOptions,
} from './synced-store.js'

/** Where the server of an app is, and how the app syncs with it. */
export interface AppSyncOptions<E extends EventShape = EventShape>
  extends Omit<RemoteOptions, 'url' | 'author'>, Pick<StartSyncOptions, 'wake'> {
  /**
   * The address of one log, such as `https://api.example.com/logs/shop-7`, or `/logs/shop-7` on the origin of the page. A
   * function is called at each opening, as that of `name` is: another user has another log.
   */
  readonly url: string | (() => string)
  /**
   * The user of that `name`, as the `open` of the server says it. A function is called at each opening, together with
   * `name`. Where the server says that the session is of another user, nothing is sent, and the status is `'stopped'` with
   * `'other-author'`: then nothing of one user is ever sent as another, also before the first contact.
   * @default the one who is signed in at the first contact
   */
  readonly author?: string | undefined | (() => string | undefined)
  /** What `defineCommands` returned: commands that are decided again after a conflict. @default none */
  readonly commands?: SyncedStoreOptions<E>['commands']
  /**
   * The name of a local store of this device, for an app that began without an account: the first user who signs in gets
   * its events, see `adoptStore`. A function is called at each opening; `undefined` adopts nothing. Nothing happens if
   * there is no such store, if another user got it, or with a synced store in memory: use `adoptStore` there. Views show
   * what has come so far; appends, `ready()` and `reopen()` wait until all of it has come. They reject if it fails,
   * `onError` is called, and the next one tries again.
   * @default none
   */
  readonly adopt?: string | (() => string | undefined) | undefined
}

/** What the `tidemark()` of `tidemark/sync` takes: what any app does, and `sync`. */
export interface SyncedAppOptions<E extends EventShape, M extends Models = Models> extends Omit<
  AppOptions<E, M>,
  'open'
> {
  readonly sync: AppSyncOptions<E>
  /** Opens the store; that of `tidemark/memory` in tests and in Node. @default openSyncedStore */
  readonly open?: (options: SyncedStoreOptions<E>) => Promise<SyncedStore<E>>
}

/** When a write of an app that syncs resolves. */
export interface SyncedUntilOptions extends Omit<UntilOptions, 'until'> {
  /**
   * `'stored'`: once it is stored on this device. `'visible'`: once the live queries of this context show it, or had a
   * second for that; it needs no server. `'confirmed'`: once the server has it, and this device fetched it, which has no end
   * while the device is offline or syncing is paused; rejects with a SyncRefusedError if the server refuses it, or with
   * the reason of `signal`, after which it is still sent.
   * @default 'stored'
   */
  readonly until?: 'stored' | 'visible' | 'confirmed'
}

/** What the `append` of an app that syncs resolves with. */
export interface SyncedAppAppendResult extends SyncedAppendResult {
  /** Only with `until: 'visible'`: views show it, and live queries of this context do or had a second for that. */
  readonly visible?: boolean
}

/** What the `execute` of an app that syncs resolves with. */
export type SyncedCommandResult<E extends EventShape = EventShape, R = unknown> =
  | (Extract<CommandResult<E, R>, { readonly type: 'accepted' }> & {
      readonly visible?: boolean
      /** Follows the commit to the server: what was decided is provisional until then. Absent if it has no events. */
      readonly commit?: AppendedCommit
    })
  | Extract<CommandResult<E, R>, { readonly type: 'refused' }>

/** How an app syncs: its member `sync`. Each call opens the app, and so does a subscription. */
export interface AppSync extends Pick<SyncHandle, 'now' | 'pause' | 'resume' | 'resync'> {
  /** The same in every tab. */
  readonly status: StatusStore<SyncStatus>
  /**
   * Own commits that the server has not confirmed, oldest first: pending or refused.
   *
   * @example
   * const unsent = (await shop.sync.outbox()).filter(({ status }) => status !== 'refused')
   */
  outbox(): Promise<readonly OwnCommit[]>
  /** The same as a live query: for a list of what is under way. Each call returns the same one. */
  liveOutbox(): LiveQuery<readonly OwnCommit[]>
  /**
   * Those of them that the server refused, for a list with a reason, `retry()` and `discard()` each. Each call returns the
   * same live query.
   *
   * @example
   * for (const commit of useLiveQuery(shop.sync.liveRefused()).data ?? []) console.log(commit.refusal?.message)
   */
  liveRefused(): LiveQuery<readonly OwnCommit[]>
  /** An own commit, by the id of any event that it has or had. */
  ownCommit(id: string): Promise<OwnCommit | undefined>
}

/** A model of an app that syncs: one of any app, whose tables also say which rows are pending. */
export type SyncedAppModel<T extends Tables = Tables> = AppModel<T> &
  SyncedTables<T> & { readonly tables: SyncedTables<T> }

/** The models of an app that syncs, by name. */
export type SyncedAppModels<M> = { readonly [N in keyof M]: SyncedAppModel<TablesOf<M[N]>> }

/** What an app that syncs has next to its models. */
export interface SyncedAppMembers<E extends EventShape, M> extends Omit<
  AppMembers<E, M>,
  'append' | 'execute' | 'ready' | 'reopen' | 'readStream' | 'models'
> {
  /** The models once more, for generic code: `shop.models.baskets` is `shop.baskets`. */
  readonly models: SyncedAppModels<M>
  /** How the store is synced, and what the server has not confirmed. */
  readonly sync: AppSync
  /**
   * Stores events on this device, as the `append` of a synced store: no append waits for the server, unless `until` says
   * so. `result.commit` follows it.
   *
   * @throws SyncRefusedError with `until: 'confirmed'`, if the server refuses it
   *
   * @example
   * await shop.append([{ stream: 'order-1', events: [events.OrderPlaced({ total })] }], { until: 'confirmed', signal })
   */
  append(
    writes: StreamWrite<E> | readonly StreamWrite<E>[],
    options?: AppendOptions<E> & SyncedUntilOptions & { readonly expectedVersion?: never },
  ): Promise<SyncedAppAppendResult>
  /**
   * The same for one stream.
   *
   * @example
   * await shop.append('basket-1', events.ItemAdded({ sku: 'A1', quantity: 2 }), { until: 'visible' })
   */
  append(
    stream: string,
    events: NewEvent<E> | readonly NewEvent<E>[],
    options?: StreamAppendOptions<E> & SyncedUntilOptions,
  ): Promise<SyncedAppAppendResult>
  /** Executes a command, as the function `execute`: on confirmed and pending events. */
  execute<S, const D extends Decision<E>, L extends Literal = Literal, Next extends S & Literals<L> = S & Literals<L>>(
    command: Command<E, S, D, Next>,
    options?: ExecuteOptions & SyncedUntilOptions,
  ): Promise<SyncedCommandResult<E, ReasonOf<D>>>
  /** The same, for a command that is typed by its own events: see `FitsCommand`. */
  execute<S, const D extends Decision<Own>, Own extends EventShape = E>(
    command: Command<Own, S, D> & FitsCommand<E, Own, D>,
    options?: ExecuteOptions & SyncedUntilOptions,
  ): Promise<SyncedCommandResult<Own, ReasonOf<D>>>
  /** Confirmed events of a stream, then pending ones, which have `pending: true`. */
  readStream(stream: string, options?: SyncedStreamOptions): ReturnType<SyncedStore<E>['readStream']>
  /** As the `ready` of any app, with the synced store. */
  ready(): Promise<SyncedStore<E>>
  /**
   * As the `reopen` of any app: `name`, `sync.url`, `sync.author` and `sync.headers` are those of the new user from there on. What the
   * former user did and the server has not confirmed stays in the outbox of that user, and is sent at the next login.
   */
  reopen(): Promise<SyncedStore<E>>
}

/** An app that syncs: its store, its read models, what runs them, and how it is synced, as one object. */
export type SyncedApp<E extends EventShape, M = {}> = SyncedAppMembers<E, M> & SyncedAppModels<M>
