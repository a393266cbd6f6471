/** The event store around a log: checks, the queue of appends, signals and the end. */
import { ClosedError } from '../errors.js'
import type { CatalogueCore } from '../events/catalogue.js'
import type { EventShape, RecordedEvent } from '../events/event.js'
import type { Clock } from '../platform/clock.js'
import type { Signals } from '../platform/signals.js'
import { soon } from '../platform/tasks.js'
import type { AppendOptions, AppendResult, EventFilter, EventPage, EventStore, EventsRead, ReadAllOptions, ReadOptions, ReadStreamOptions, StreamWrite } from './event-store.js'
import { headWatch } from './head-watch.js'
import { EventIterator } from './iterate.js'
import { readPages } from './pages.js'
import { prepareAppend, wholeNumber, type Codec, type PreparedAppend } from './prepare.js'

/** What a store needs of where its events are. */
export interface Log {
  append(prepared: PreparedAppend, options: AppendOptions): AppendResult | Promise<AppendResult>
  readEvents<E extends EventShape>(filter: EventFilter, page: EventPage, options?: ReadOptions): Promise<EventsRead<E>>
  /** In pages. */
  readStream<E extends EventShape>(stream: string, options?: ReadStreamOptions): AsyncGenerator<readonly RecordedEvent<E>[], void, undefined>
  head(): Promise<number>
  streamVersion(stream: string): Promise<number>
}

export interface StoreParts {
  readonly name: string
  readonly log: Log
  readonly catalogue: CatalogueCore
  readonly codec: Codec | undefined
  readonly clock: Clock
  readonly maxEventBytes: number
  readonly signals: Signals
  /** Frees what the log holds. */
  dispose(): void
}

/** A store, and the way past its checks for what was checked elsewhere. */
export interface CreatedStore<E extends EventShape> {
  readonly store: EventStore<E>
  /** Takes its turn in the queue of appends. */
  append(prepared: PreparedAppend, options?: AppendOptions): Promise<AppendResult>
  /** Throws ClosedError once it was closed. */
  assertOpen(): void
}

/** Builds a store over a log. */
export function createStore<E extends EventShape>(parts: StoreParts): CreatedStore<E> {
  const { name, log, signals } = parts
  const label = `The event store '${name}'`
  let closing: Promise<void> | undefined
  let lastAppend: Promise<unknown> = Promise.resolve()
  const watch = headWatch(parts.clock, () => log.head())
  const stopListening = signals.listen((hint) => {
    if (hint.kind === 'head') watch.heard(hint.head)
  })
  const assertOpen = () => {
    if (closing !== undefined) throw new ClosedError(label)
  }

  /** One append after the other. */
  const enqueue = (preparing: PreparedAppend | Promise<PreparedAppend>, options: AppendOptions): Promise<AppendResult> => {
    const turn = lastAppend.then(async () => {
      const prepared = await preparing
      options.signal?.throwIfAborted()
      const result = await log.append(prepared, options)
      if (!result.duplicate && prepared.events.length > 0) {
        soon(() => watch.saw(result.position))
        signals.post({ kind: 'head', head: result.position })
      }
      return result
    })
    // The queue goes on after a failure; the caller hears of it through `turn`.
    lastAppend = turn.catch(() => {})
    return turn
  }

  // `Symbol.asyncDispose` is added below, where the engine has it.
  const methods: Omit<EventStore<E>, typeof Symbol.asyncDispose> = {
    name,
    async append(writes: StreamWrite<E> | readonly StreamWrite<E>[], options: AppendOptions = {}) {
      assertOpen()
      options.signal?.throwIfAborted()
      const preparing = prepareAppend(writes, options, parts)
      preparing.catch(() => {})
      return enqueue(preparing, options)
    },
    readStream(stream, options) {
      assertOpen()
      return new EventIterator(log.readStream<E>(stream, options), options?.signal)
    },
    read(options: ReadAllOptions<E> = {}) {
      assertOpen()
      if (options.after !== undefined) wholeNumber(options.after, 'after')
      return new EventIterator(readPages<E>(methods.readEvents, options), options.signal)
    },
    async readEvents(filter, page, options) {
      assertOpen()
      return log.readEvents<E>(filter, page, options)
    },
    async head() {
      assertOpen()
      return log.head()
    },
    async streamVersion(stream) {
      assertOpen()
      return log.streamVersion(stream)
    },
    subscribe(listener) {
      assertOpen()
      return watch.subscribe(listener)
    },
    close() {
      closing ??= lastAppend.then(() => {
        stopListening()
        watch.stop()
        signals.close()
        parts.dispose()
      })
      return closing
    },
  }
  const store = methods as EventStore<E>
  // Some engines have no such symbol yet; `close` is always there.
  if (typeof Symbol.asyncDispose === 'symbol') Object.defineProperty(store, Symbol.asyncDispose, { value: () => store.close() })
  return {
    store,
    assertOpen,
    async append(prepared, options = {}) {
      assertOpen()
      return enqueue(prepared, options)
    },
  }
}

