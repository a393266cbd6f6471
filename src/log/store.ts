/** The event store around a log: checks, the queue of appends, signals and the end. */
import { ClosedError, InvalidArgumentError } from '../errors.js'
import { say } from '../messages.js'
import type { CatalogueCore } from '../events/catalogue.js'
import type { EventShape } from '../events/event.js'
import { assertSignal, onlyKnown, wholeNumber } from '../platform/arguments.js'
import { disposable } from '../platform/disposable.js'
import type { Clock } from '../platform/clock.js'
import type { Signals } from '../platform/signals.js'
import { soon } from '../platform/tasks.js'
import type {
  AppendOptions,
  AppendResult,
  PageRequest,
  EventStore,
  FollowOptions,
  ReadAllOptions,
  ReadOptions,
  ReadStreamOptions,
  StreamAppendOptions,
  StreamWrite,
} from './event-store.js'
import { AppendQueue } from './append-queue.js'
import { appendedAgain } from './appended-again.js'
import type { Codec } from './encode.js'
import { format } from './indexeddb/format.js'
import { compileFilter } from './filter.js'
import { follow } from './follow.js'
import { headWatch, type HeadWatch } from './head-watch.js'
import { EventIterator } from './iterate.js'
import { readPages, type CollectedPage, type EventPages, type PageOptions, type ReadPage } from './pages.js'
import { prepareAppend } from './prepare.js'
import type { PreparedAppend } from './prepared-append.js'
import { readStreamAppend, readWrites } from './read-writes.js'
import { weightOf } from './record/record-text.js'
import { toldPage, toldPages, type Tap } from './tap.js'

/** What a store needs of where its events are. */
export interface Log {
  append(prepared: PreparedAppend, options: AppendOptions): AppendResult | Promise<AppendResult>
  readPage<E extends EventShape>(request: PageRequest<E>, options?: PageOptions): Promise<CollectedPage<E>>
  /** In pages. */
  readStream<E extends EventShape>(stream: string, options?: ReadStreamOptions): EventPages<E>
  /** The log from its last event on, in pages. */
  readBackwards<E extends EventShape>(options: ReadAllOptions<E>): EventPages<E>
  head(): Promise<number>
  streamVersion(stream: string): Promise<number>
}

export interface StoreParts {
  readonly name: string
  readonly log: Log
  readonly catalogue: CatalogueCore
  readonly codec: Codec | undefined
  readonly clock: Clock
  readonly maxEventCharacters: number
  readonly signals: Signals
  readonly tap: Tap
  /** Frees what the log holds. */
  dispose(): void | Promise<unknown>
}

/** A store, and the way past its checks for what was checked elsewhere. */
export interface CreatedStore<E extends EventShape> {
  readonly store: EventStore<E>
  /** Takes its turn in the queue of appends. */
  append(prepared: PreparedAppend, options?: AppendOptions): Promise<AppendResult>
  /** Throws ClosedError once it was closed. */
  assertOpen(): void
}

const appendNames = ['durability', 'condition', 'signal']

function assertAppendOptions(options: AppendOptions, isShort: boolean): void {
  onlyKnown(options, ['expectedVersion', ...appendNames])
  if (!isShort && (options as StreamAppendOptions).expectedVersion !== undefined)
    throw new InvalidArgumentError(
      'options.expectedVersion',
      say`belongs in each write, or to append(stream, events, options).`,
    )
  if (options.durability !== undefined) assertDurability(options.durability)
  assertSignal(options.signal)
}

function assertReadOptions(options: ReadOptions | undefined, names: readonly string[], what?: string): void {
  onlyKnown(options, [...names, 'signal'], what)
  assertSignal(options?.signal)
}

const boundNames = ['after', 'before', 'limit'] as const
const rangeNames = ['direction', ...boundNames]

/** Which events, and in which order. */
function assertSpan(options: ReadStreamOptions | undefined, names: readonly string[]): void {
  assertReadOptions(options, names)
  for (const name of boundNames) if (options?.[name] !== undefined) wholeNumber(options[name], name)
  const direction: unknown = options?.direction
  if (direction !== undefined && direction !== 'forwards' && direction !== 'backwards')
    throw new InvalidArgumentError('direction', say`must be 'forwards' or 'backwards'.`)
}

/** @throws InvalidArgumentError for anything else than the two ways to store */
export function assertDurability(durability: unknown): void {
  if (durability !== 'strict' && durability !== 'relaxed')
    throw new InvalidArgumentError('durability', say`must be 'strict' or 'relaxed'.`)
}

/** @throws InvalidArgumentError for anything else than a codec, or nothing */
export function assertCodec(codec: Codec | undefined): void {
  if (codec !== undefined && (typeof codec?.encode !== 'function' || typeof codec.decode !== 'function'))
    throw new InvalidArgumentError('codec', say`must have the functions encode and decode.`)
}

/** Builds a store over a log. */
export function createStore<E extends EventShape>(parts: StoreParts): CreatedStore<E> {
  const core = new StoreCore(parts)
  const { log, tap } = parts
  const assertOpen = () => core.assertOpen()
  const readPage = async (request: PageRequest<E>, options?: PageOptions) => {
    assertOpen()
    assertReadOptions(request ?? null, ['filter', 'after', 'limit'], 'request')
    // Untyped code may still pass a signal here, which would be ignored.
    if (options !== undefined && 'signal' in options)
      throw new InvalidArgumentError(
        'options',
        say`of readPage belong in its one argument, { filter, after, limit, signal }.`,
      )
    return options === undefined ? toldPage(tap, () => log.readPage<E>(request)) : log.readPage<E>(request, options)
  }
  // A loop reads pages with options, and its pages are reported as well.
  const loopPage: ReadPage<E> = (request, options) => toldPage(tap, () => readPage(request, options))
  const loop = (pages: EventPages<E>, signal?: AbortSignal) =>
    new EventIterator(tap.on ? toldPages(tap, pages) : pages, signal)
  const methods: Omit<EventStore<E>, typeof Symbol.asyncDispose> = {
    name: parts.name,
    append: (...given: readonly unknown[]) => core.append(given),
    readStream(stream, options) {
      assertOpen()
      assertSpan(options, rangeNames)
      return loop(log.readStream<E>(stream, options), options?.signal)
    },
    read(options: ReadAllOptions<E> = {}) {
      assertOpen()
      assertSpan(options, ['filter', ...rangeNames])
      return options.direction === 'backwards'
        ? loop(log.readBackwards<E>(options), options.signal)
        : new EventIterator(readPages<E>(loopPage, options), options.signal)
    },
    follow(options: FollowOptions<E> = {}) {
      assertOpen()
      assertReadOptions(options, ['after', 'filter'])
      const { after = 0, filter = {} } = options
      wholeNumber(after, 'after')
      compileFilter(filter)
      return follow<E>(loopPage, options, { clock: parts.clock, watch: core.watch, closing: core.closing })
    },
    readPage,
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
      if (typeof listener !== 'function') throw new InvalidArgumentError('listener', say`must be a function.`)
      return core.watch.subscribe(listener)
    },
    close: () => core.close(),
  }
  const store = disposable<EventStore<E>>(methods, () => core.close())
  return {
    store,
    assertOpen,
    async append(prepared, options = {}) {
      assertOpen()
      return core.told(() => core.queue.append(prepared, options))
    },
  }
}

/** What the methods of a store share: the queue of appends, the watch over the head, and the end. */
class StoreCore {
  readonly #parts: StoreParts
  readonly queue: AppendQueue
  readonly watch: HeadWatch
  readonly #stopListening: () => void
  readonly #end = new AbortController()
  /** What was stored, for those who observe. */
  readonly #stored = new WeakMap<AppendResult, PreparedAppend>()
  #closing: Promise<void> | undefined

  constructor(parts: StoreParts) {
    const { log, signals } = (this.#parts = parts)
    this.queue = new AppendQueue((prepared, options) => this.#store(prepared, options))
    this.watch = headWatch(parts.clock, () => log.head())
    this.#stopListening = signals.listen((hint) => {
      if (hint.kind === 'head') this.watch.hinted(hint.head)
    })
  }

  /** Aborts when the store is closed. */
  get closing(): AbortSignal {
    return this.#end.signal
  }

  assertOpen(): void {
    if (this.#closing !== undefined) throw this.#closedError()
  }

  /** Not an async function, which would settle a turn later. */
  append(given: readonly unknown[]): Promise<AppendResult> {
    try {
      const { tap } = this.#parts
      return tap.on ? this.told(() => this.#append(given)) : this.#append(given)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /** Appends, and tells how that ended. */
  told(append: () => Promise<AppendResult>): Promise<AppendResult> {
    return this.#parts.tap.around(
      append,
      (result) => {
        const { position, firstPosition, duplicate, versions } = result
        const events = this.#stored.get(result)?.events ?? []
        return {
          type: 'appended',
          position,
          firstPosition,
          duplicate,
          events: events.length,
          characters: events.reduce((sum, event) => sum + weightOf(event), 0),
          streams: Object.keys(versions),
        }
      },
      (error) => ({ type: 'append-failed', error }),
    )
  }

  #append(given: readonly unknown[]): Promise<AppendResult> {
    this.assertOpen()
    const isShort = typeof given[0] === 'string'
    const { [isShort ? 2 : 1]: options = {} } = given as { [index: number]: StreamAppendOptions }
    assertAppendOptions(options, isShort)
    options.signal?.throwIfAborted()
    const append = isShort
      ? readStreamAppend(given[0] as string, given[1], options.expectedVersion)
      : readWrites(given[0] as StreamWrite)
    const stored = this.queue.append(prepareAppend(append, options, this.#parts), options)
    if (__DEV__)
      stored.then(
        (result) => appendedAgain(this.#parts.name, given, result),
        () => {},
      )
    return stored
  }

  close(): Promise<void> {
    const { signals, tap, dispose } = this.#parts
    this.#end.abort(this.#closedError())
    this.#closing ??= this.queue.close(this.#closedError()).then(() => {
      this.#stopListening()
      this.watch.stop()
      tap.stop()
      signals.close()
      return dispose() as Promise<void> | undefined
    })
    return this.#closing
  }

  async #store(prepared: PreparedAppend, options: AppendOptions): Promise<AppendResult> {
    const { log, signals, tap } = this.#parts
    const result = await log.append(prepared, options)
    if (tap.on) this.#stored.set(result, prepared)
    if (!result.duplicate && prepared.events.length > 0) {
      soon(() => this.watch.saw(result.position))
      signals.post({ kind: 'head', head: result.position, format })
    }
    return result
  }

  #closedError(): ClosedError {
    return new ClosedError(say`The event store '${this.#parts.name}'`)
  }
}
