/** What a synced store is for an app. */
import type { EventShape, NewEvent, RecordedEvent } from '../events/event.js'
import type {
  AppendOptions,
  AppendResult,
  ReadOptions,
  ReadStreamOptions,
  StreamAppendOptions,
  StreamWrite,
} from '../log/event-store.js'
import type { EventStoreOptions, TidemarkStore } from '../log/open.js'
import type { Clock } from '../platform/clock.js'
import type { CommandFunctions } from './define-commands.js'
import type { CommitRefusal } from './sync-refused.js'
import type { RemoteOptions } from './sync-parts.js'

/** What `openSyncedStore` takes. */
export interface SyncedStoreOptions<E extends EventShape = EventShape> extends EventStoreOptions<E>, RemoteOptions {
  /**
   * Functions that make commands, by name, as `defineCommands` returns them: needed where a commit may have to be decided
   * again, so also in a service worker. @default none
   */
  readonly commands?: CommandFunctions<E> | undefined
  /** For tests. @default the clock of this context */
  readonly clock?: Clock | undefined
}

/**
 * - `'pending'`: on this device only, as far as it knows
 * - `'accepted'`: the server has it; it is confirmed once it was fetched
 * - `'confirmed'`: in the log
 * - `'refused'`: final, and kept until `retry()` or `discard()`
 * - `'discarded'`: by `discard()`; while the server may have it, `settled()` waits for what became of it
 */
export type OwnCommitStatus = 'pending' | 'accepted' | 'confirmed' | 'refused' | 'discarded'

/** What one append of this device stored, as an append returns it. */
export interface AppendedCommit {
  /** The id of its first event as first appended: stays when it is decided again. */
  readonly id: string
  readonly status: OwnCommitStatus
  /** The id of an event that it was decided on, and that the server does not have; its own id: the server cannot decide. */
  readonly behind?: string
  /** Why views do not show it: a handler threw, or its events cannot be read. */
  readonly unshown?: unknown
  /** Of its first event, once it is confirmed. */
  readonly position?: number
  /** Why it was refused. */
  readonly refusal?: CommitRefusal
  /**
   * Resolves when the server has spoken and this device knows it: with the commit as it is then, also one that was
   * refused. Rejects with the reason of `signal`, and with `ClosedError` if the store is closed.
   */
  settled(options?: ReadOptions): Promise<OwnCommit>
  /**
   * For one that is refused, or behind: decides again if a command made it, else sends it without preconditions; under
   * new ids, as the newest commit. Changes nothing for another one.
   */
  retry(): Promise<OwnCommit>
  /** Resolves when it is out of the views. If the server was first, it comes back as confirmed: see `settled()`. */
  discard(): Promise<void>
}

/** The same, with its events. All of it is as it was at one moment. */
export interface OwnCommit extends AppendedCommit {
  /** As they are now: a commit that was decided again has others. */
  readonly events: readonly (NewEvent<EventShape> & { readonly id: string; readonly stream: string })[]
}

/** Where the events of an append are. */
export interface SyncedAppendResult extends AppendResult {
  /** Follows it to the server. Absent for an append without events, and for one of another device. */
  readonly commit?: AppendedCommit
}

/** An event of a stream. */
export type SyncedEvent<E extends EventShape = EventShape> = RecordedEvent<E> & {
  /** It is in the outbox: its version and position are provisional. */
  readonly pending?: true
}

/** Which events of a stream `readStream` of a synced store returns. */
export interface SyncedStreamOptions extends ReadStreamOptions {
  /** Without pending ones. @default false */
  readonly confirmed?: boolean
}

/**
 * An event store whose log is a replica of a server's: everything that takes a `TidemarkStore` takes it, but for
 * `importEvents`. `read`, `follow`, `readPage`, `head` and `subscribe` are about confirmed events.
 */
export interface SyncedStore<E extends EventShape = EventShape> extends Omit<
  TidemarkStore<E>,
  'append' | 'readStream'
> {
  /**
   * Stores events on this device, all or nothing, and resolves: no append waits for the server. They are pending until
   * the server accepts or refuses them. What an append expects of streams is checked here on confirmed and pending
   * events, and again by the server.
   *
   * `position` is the confirmed head that it was decided on, so that `caughtUp(position)` never waits for the server;
   * `versions` are provisional. Ids that are known here are those of the same commit.
   *
   * @throws SyncRefusedError for ids of a commit that was refused
   * @throws VersionConflictError, ConditionFailedError, InvalidEventError, InvalidNameError, InvalidArgumentError: nothing
   * was written. An `InvalidEventError` also for what is larger than any server has to take
   * @throws StorageBusyError, StorageFullError, StorageLostError, StorageFailedError: see `outcome`
   */
  append(
    writes: StreamWrite<E> | readonly StreamWrite<E>[],
    options?: AppendOptions<E> & { readonly expectedVersion?: never },
  ): Promise<SyncedAppendResult>
  /** The same for one stream. */
  append(
    stream: string,
    events: NewEvent<E> | readonly NewEvent<E>[],
    options?: StreamAppendOptions<E>,
  ): Promise<SyncedAppendResult>
  /** Confirmed events, then pending ones, which have `pending: true` and a provisional version and position. */
  readStream(stream: string, options?: SyncedStreamOptions): AsyncIterable<SyncedEvent<E>>
  /**
   * Own commits that are not in the log, oldest first: pending or refused, and discarded ones as long as the server may
   * have them.
   */
  outbox(): Promise<readonly OwnCommit[]>
  /** An own commit, by the id of any event that it has or had; nothing for an id that is not known as one of this device. */
  ownCommit(id: string): Promise<OwnCommit | undefined>
}
