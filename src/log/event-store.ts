/// <reference lib="esnext.disposable" preserve="true" />
/** The event store: what an append-only log offers, whatever it is stored in. */
import type { ExpectedVersion } from '../errors.js'
import type { EventShape, NewEvent, RecordedEvent } from '../events/event.js'

export type { ExpectedVersion }

/** The events of one stream in an append. */
export interface StreamWrite<E extends EventShape = EventShape> {
  readonly stream: string
  /** In order. May be empty: then only the version is checked, as for a read-only participant. */
  readonly events: readonly NewEvent<E>[]
  /** @default 'any' */
  readonly expectedVersion?: ExpectedVersion
}

/** `'strict'` asks the operating system to flush before the append resolves; `'relaxed'` does not. */
export type Durability = 'strict' | 'relaxed'

/** Conditions of an append, and how it is stored. */
export interface AppendOptions<E extends EventShape = EventShape> {
  /** @default the store's, which is 'strict' */
  readonly durability?: Durability
  /**
   * Refuse with `ConditionFailedError` if an event that matches `failIfEventsMatch` is after position `after`, 0 by
   * default.
   */
  readonly condition?: { readonly failIfEventsMatch: EventFilter<E>; readonly after?: number }
  /**
   * Aborts while nothing was handed to the storage, also the wait for an asynchronous schema or codec; after that the
   * append settles by what really happened.
   */
  readonly signal?: AbortSignal | undefined
}

/** {@link AppendOptions}, and what is expected of the one stream that is appended to. */
export interface StreamAppendOptions<E extends EventShape = EventShape> extends AppendOptions<E> {
  /** @default 'any' */
  readonly expectedVersion?: ExpectedVersion
}

/** Where the events of an append are in the log. */
export interface AppendResult {
  /** Of the last event; the head of the log if the append had no events. */
  readonly position: number
  /** Of the first event; equal to `position` if the append had no events. */
  readonly firstPosition: number
  /** The version of every stream named in the append, after it. Has no prototype: any stream name is a safe key. */
  readonly versions: Readonly<Record<string, number>>
  /** The same event ids were there already, nothing was written, and this is the first result. */
  readonly duplicate: boolean
}

/** Which events. An empty filter matches all. `streamPrefix` and `streamPattern` exclude each other. */
export interface EventFilter<E extends EventShape = EventShape> {
  /** Only events of these types; an empty list matches none. */
  readonly types?: readonly E['type'][]
  /** Only streams whose name starts with exactly these UTF-16 code units. */
  readonly streamPrefix?: string
  /** A glob over the whole stream name: `*` (also across `/`), `?` for one character, `[a-z]`, `[!0-9]`. */
  readonly streamPattern?: string
}

/** What every way to read takes. */
export interface ReadOptions {
  /** Ends the read with the signal's reason, also while a codec decodes. */
  readonly signal?: AbortSignal | undefined
}

/** Which page of the log to read. */
export interface PageRequest<E extends EventShape = EventShape> extends ReadOptions {
  /** @default every event */
  readonly filter?: EventFilter<E>
  /** Only events after this position. @default 0 */
  readonly after?: number
  /** The most events. 0 returns no events, and the head. */
  readonly limit: number
}

/** One page of the log. */
export interface EventPage<E extends EventShape = EventShape> {
  /** Matching events in position order, `limit` at most. */
  readonly events: RecordedEvent<E>[]
  /**
   * Every event up to here was looked at. May lie beyond the last returned event, and below `head` although fewer than
   * `limit` events matched: one call looks at a bounded part of the log.
   */
  readonly scannedTo: number
  /** The last position in the log when it was read. */
  readonly head: number
}

/** The port that a projection reads from. */
export interface EventReader<E extends EventShape = EventShape> {
  readPage(request: PageRequest<E>): Promise<EventPage<E>>
  /** Calls back when the log may have grown. A hint: calls may be lost, delayed or duplicated. */
  subscribe?(listener: (head: number) => void): () => void
}

/** In which order events come: `'backwards'` begins with the newest one. */
export type ReadDirection = 'forwards' | 'backwards'

/** Which events of a stream `readStream` returns. */
export interface ReadStreamOptions extends ReadOptions {
  /** Only events after this version, in both directions. @default 0 */
  readonly after?: number
  /** Only events before this version, in both directions. @default no bound */
  readonly before?: number
  /** The most events. @default all */
  readonly limit?: number
  /** @default 'forwards' */
  readonly direction?: ReadDirection
}

/** Which events `read` returns. */
export interface ReadAllOptions<E extends EventShape = EventShape> extends ReadOptions {
  /** Only events after this position, in both directions. @default 0 */
  readonly after?: number
  /** Only events before this position, in both directions. @default no bound */
  readonly before?: number
  /** The most events, of those that the filter matches. @default all */
  readonly limit?: number
  /** @default 'forwards' */
  readonly direction?: ReadDirection
  /** @default every event */
  readonly filter?: EventFilter<E>
}

/** Which events `follow` returns. */
export interface FollowOptions<E extends EventShape = EventShape> extends ReadOptions {
  /** Only events after this position. @default 0 */
  readonly after?: number
  /** @default every event */
  readonly filter?: EventFilter<E>
}

/** An append-only log of events in named streams. */
export interface EventStore<E extends EventShape = EventShape> extends EventReader<E> {
  readonly name: string
  /**
   * Stores events, all or nothing over all streams, and resolves once they are committed. Appends are stored in the
   * order of their calls; one that waits for a schema or a codec takes its place when that is done.
   *
   * Takes events of creators, and plain ones (`{ type, data }`), whose data is data as it is stored: a schema checks
   * it, and must not change its own output.
   *
   * Reads what it is given before it returns, but for the `data` behind the first 1,024 events or 256 Ki characters:
   * leave that alone until it resolves. Ids that are in the log already are those of the same events (see `duplicate`),
   * or the append is refused.
   *
   * @throws InvalidArgumentError for an unknown option, and where the clock does not return a time: nothing was written
   * @throws VersionConflictError, ConditionFailedError, InvalidEventError, InvalidNameError: nothing was written
   * @throws LogInconsistentError if the last record of the log was edited or damaged, so that no position comes next:
   * nothing was written
   * @throws StorageBusyError, StorageFullError, StorageLostError, StorageFailedError: see `outcome`
   */
  append(
    writes: StreamWrite<E> | readonly StreamWrite<E>[],
    // Each write has its own.
    options?: AppendOptions<E> & { readonly expectedVersion?: never },
  ): Promise<AppendResult>
  /**
   * The same for one stream.
   *
   * @example
   * await store.append('flight/LH-1', events.FlightLanded({ delay: 12 }), { expectedVersion: 3 })
   */
  // Last, because the compiler reports what is wrong with the last form that it tried.
  append(
    stream: string,
    events: NewEvent<E> | readonly NewEvent<E>[],
    options?: StreamAppendOptions<E>,
  ): Promise<AppendResult>
  /**
   * The events of one stream in version order, or backwards from the last one; none for an unknown stream.
   *
   * @throws InvalidArgumentError for an unknown option or direction, and for a bound that is no version
   * @throws LogInconsistentError from the iteration, where a version is missing: a record was edited or damaged. The
   * events that come before it in this direction come first
   * @throws EventUnreadableError the same, for an event that cannot be decoded
   *
   * @example
   * for await (const event of store.readStream('flight/LH-1', { direction: 'backwards', limit: 1 })) console.log(event) // the last one
   */
  readStream(stream: string, options?: ReadStreamOptions): AsyncIterable<RecordedEvent<E>>
  /**
   * The events of the log in position order, up to the head as it is when the end is reached; or backwards from the head
   * as it is at the first step. Backwards reads no more of the log than it returns, but for a filter: that looks at
   * every event on its way.
   *
   * @throws InvalidArgumentError for an unknown option or direction, and for a bound that is no position
   * @throws LogInconsistentError, EventUnreadableError from the iteration, as for `readStream`
   *
   * @example
   * const page = store.read({ direction: 'backwards', limit: 20 }) // the next one: { before: the last event's position }
   */
  read(options?: ReadAllOptions<E>): AsyncIterable<RecordedEvent<E>>
  /**
   * The events of the log in position order, and then those that any context appends, as they come: each once, without
   * an end. For what is done with every event as long as a page is open; what must be done once over all contexts and
   * reloads belongs in a projection.
   *
   * Reads when the loop asks for more, and at most one request further. Notices an append immediately or, if its
   * notification was lost, within 5 s and when the page is shown again. A storage that fails is tried again after 1, 2,
   * … 30 s. To continue where another loop ended, pass the `position` of its last event as `after`.
   *
   * The loop ends when it is left, also while it waits (`return()`). If `signal` aborts it throws the signal's reason, as
   * `read` does, and a `ClosedError` once the store is closed.
   *
   * @throws InvalidArgumentError for an unknown option, and for an `after` that is no position
   * @throws StorageLostError, LogInconsistentError, EventUnreadableError from the iteration
   *
   * @example
   * for await (const event of store.follow({ after: await store.head(), filter: { types: ['OrderPlaced'] }, signal }))
   *   notify(event)
   */
  follow(options?: FollowOptions<E>): AsyncIterable<RecordedEvent<E>>
  /**
   * One page: what the projection runner uses. To read on, ask again after `scannedTo`, until that is `head`.
   *
   * @example
   * const { events, scannedTo } = await store.readPage({ filter: { types: ['FlightLanded'] }, limit: 100 })
   */
  readPage(request: PageRequest<E>): Promise<EventPage<E>>
  /**
   * The position of the last event, 0 for an empty log.
   *
   * @throws LogInconsistentError if the last record was edited or damaged, so that it is at no position
   */
  head(): Promise<number>
  /** The version of a stream, 0 for an unknown one. */
  streamVersion(stream: string): Promise<number>
  /** Calls back with the head after appends of any tab. A hint, coalesced; never a reason not to read. */
  subscribe(listener: (head: number) => void): () => void
  /**
   * Waits for appends under way, then frees everything; appends that wait for a schema or a codec are rejected with a
   * `ClosedError`. May be called twice. Stop projections and close read models first: a projection that still runs is
   * faulted when it next reads, and says that the store was closed.
   */
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}
