/** The event store around a log: checks, the queue of appends, signals and the end. */
import { ClosedError, InvalidArgumentError } from '../errors.js'
import type { CatalogueCore } from '../events/catalogue.js'
import type { EventShape, RecordedEvent } from '../events/event.js'
import { assertSignal, onlyKnown } from '../platform/arguments.js'
import type { Clock } from '../platform/clock.js'
import { abortable } from '../platform/promises.js'
import type { Signals } from '../platform/signals.js'
import { soon } from '../platform/tasks.js'
import type {
  AppendOptions,
  AppendResult,
  EventFilter,
  PageRequest,
  EventStore,
  EventPage,
  ReadAllOptions,
  ReadOptions,
  ReadStreamOptions,
  StreamWrite,
} from './event-store.js'
import { format } from './indexeddb/format.js'
import { headWatch } from './head-watch.js'
import { EventIterator } from './iterate.js'
import { readPages } from './pages.js'
import { prepareAppend, wholeNumber, type Codec, type LateAppend, type PreparedAppend } from './prepare.js'

/** What a store needs of where its events are. */
export interface Log {
  append(prepared: PreparedAppend, options: AppendOptions): AppendResult | Promise<AppendResult>
  readEvents<E extends EventShape>(filter: EventFilter, page: PageRequest, options?: ReadOptions): Promise<EventPage<E>>
  /** In pages. */
  readStream<E extends EventShape>(
    stream: string,
    options?: ReadStreamOptions,
  ): AsyncGenerator<readonly RecordedEvent<E>[], void, undefined>
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

const isPrepared = (append: unknown): append is PreparedAppend => 'events' in (append as object)

const pageNames = ['after', 'limit']
/** What the runner and iterators say besides `signal`; see `PageReadOptions`. */
const ownReadOptions = ['unreadable', 'own', 'ahead']

function assertAppendOptions(options: AppendOptions): void {
  onlyKnown(options, ['durability', 'condition', 'signal'])
  if (options.durability !== undefined) assertDurability(options.durability)
  assertSignal(options.signal)
}

function assertReadOptions(options: ReadOptions | undefined, names: readonly string[]): void {
  onlyKnown(options, [...names, 'signal'])
  assertSignal(options?.signal)
}

/** @throws InvalidArgumentError for anything else than the two ways to store */
export function assertDurability(durability: unknown): void {
  if (durability !== 'strict' && durability !== 'relaxed')
    throw new InvalidArgumentError('durability', "must be 'strict' or 'relaxed'.")
}

/** Builds a store over a log. */
export function createStore<E extends EventShape>(parts: StoreParts): CreatedStore<E> {
  const { name, log, signals } = parts
  const label = `The event store '${name}'`
  let closing: Promise<void> | undefined
  /** Aborts what waits for the app's code when the store is closed. */
  const closed = new AbortController()
  let lastAppend: Promise<unknown> = Promise.resolve()
  const watch = headWatch(parts.clock, () => log.head())
  const stopListening = signals.listen((hint) => {
    if (hint.kind === 'head') watch.hinted(hint.head)
  })
  const assertOpen = () => {
    if (closing !== undefined) throw new ClosedError(label)
  }

  /**
   * One append after the other. One that prepares in slices keeps its place meanwhile; one that turns out to wait for the app's code leaves
   * it, so that no other append waits for that.
   */
  const enqueue = <L = never>(
    preparing: PreparedAppend | Promise<PreparedAppend | L>,
    options: AppendOptions,
  ): Promise<AppendResult | L> => {
    const before = lastAppend
    const turn = (options.signal == null ? before : abortable(before, options.signal)).then(async () => {
      const prepared = await preparing
      if (!isPrepared(prepared)) return prepared
      options.signal?.throwIfAborted()
      const result = await log.append(prepared, options)
      if (!result.duplicate && prepared.events.length > 0) {
        soon(() => watch.saw(result.position))
        signals.post({ kind: 'head', head: result.position, format })
      }
      return result
    })
    // The queue continues after a failure, which rejects `turn` for the caller. One that was aborted while it waited lets no other pass.
    lastAppend = turn.catch(() => before)
    return turn
  }
  /** Takes the place in the queue that is free once the app's schemas and codec are done. */
  const enqueueLate = async ({ late }: LateAppend, options: AppendOptions): Promise<AppendResult> => {
    const prepared = await abortable(
      late(() => closed.signal.aborted || options.signal?.aborted === true),
      options.signal,
      closed.signal,
    )
    assertOpen()
    return enqueue(prepared, options)
  }

  // `Symbol.asyncDispose` is added below, where the engine has it.
  const methods: Omit<EventStore<E>, typeof Symbol.asyncDispose> = {
    name,
    async append(writes: StreamWrite<E> | readonly StreamWrite<E>[], options: AppendOptions = {}) {
      assertOpen()
      assertAppendOptions(options)
      options.signal?.throwIfAborted()
      const preparing = prepareAppend(writes, options, parts)
      const result = 'late' in preparing ? preparing : await enqueue(preparing, options)
      return 'late' in result ? enqueueLate(result, options) : result
    },
    readStream(stream, options) {
      assertOpen()
      assertReadOptions(options, ['after', 'limit'])
      return new EventIterator(log.readStream<E>(stream, options), options?.signal)
    },
    read(options: ReadAllOptions<E> = {}) {
      assertOpen()
      assertReadOptions(options, ['after', 'filter'])
      if (options.after !== undefined) wholeNumber(options.after, 'after')
      return new EventIterator(readPages<E>(methods.readEvents, options), options.signal)
    },
    async readEvents(filter, page, options) {
      assertOpen()
      onlyKnown(page ?? null, pageNames, 'page')
      assertReadOptions(options, ownReadOptions)
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
      if (typeof listener !== 'function') throw new InvalidArgumentError('listener', 'must be a function.')
      return watch.subscribe(listener)
    },
    close() {
      closing ??= lastAppend.then(() => {
        stopListening()
        watch.stop()
        signals.close()
        parts.dispose()
      })
      closed.abort(new ClosedError(label))
      return closing
    },
  }
  const store = methods as EventStore<E>
  // Some engines have no such symbol yet; `close` is always there.
  if (typeof Symbol.asyncDispose === 'symbol')
    Object.defineProperty(store, Symbol.asyncDispose, { value: () => store.close() })
  return {
    store,
    assertOpen,
    async append(prepared, options = {}) {
      assertOpen()
      return enqueue(prepared, options)
    },
  }
}
