/** The event store around a log: checks, the queue of appends, signals and the end. */
import { ClosedError, InvalidArgumentError } from '../errors.js'
import { say } from '../messages.js'
import type { CatalogueCore } from '../events/catalogue-core.js'
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
  const { log, tap, signals, clock } = parts
  const end = new AbortController()
  const closedError = () => new ClosedError(say`The event store '${parts.name}'`)
  const assertOpen = () => {
    if (end.signal.aborted) throw closedError()
  }
  const watch = headWatch(clock, () => log.head())
  const stopListening = signals.listen((hint) => {
    if (hint.kind === 'head') watch.hinted(hint.head)
  })
  const appends = appendsTo(parts, assertOpen, watch, end.signal)
  let closing: Promise<void> | undefined
  const close = () => {
    end.abort(closedError())
    closing ??= appends.settled().then(() => {
      stopListening()
      watch.stop()
      tap.stop()
      signals.close()
      return parts.dispose() as Promise<void> | undefined
    })
    return closing
  }
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
    append: (...given: readonly unknown[]) => appends.append(given),
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
      return follow<E>(loopPage, options, { clock, watch, closing: end.signal })
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
      return watch.subscribe(listener)
    },
    close,
  }
  return { store: disposable<EventStore<E>>(methods, close), assertOpen, append: appends.appendPrepared }
}

/** The appends of a store, in their order. */
function appendsTo(parts: StoreParts, assertOpen: () => void, watch: HeadWatch, closing: AbortSignal) {
  const { name, log, signals, tap } = parts
  /** What was stored, for those who observe. */
  const stored = new WeakMap<AppendResult, PreparedAppend>()
  const store = async (prepared: PreparedAppend, options: AppendOptions): Promise<AppendResult> => {
    const result = await log.append(prepared, options)
    if (tap.on) stored.set(result, prepared)
    if (!result.duplicate && prepared.events.length > 0) {
      soon(() => watch.saw(result.position))
      signals.post({ kind: 'head', head: result.position, format })
    }
    return result
  }
  const queue = new AppendQueue(store, closing)
  /** Appends, and tells how that ended. */
  const told = (append: () => Promise<AppendResult>): Promise<AppendResult> =>
    tap.around(
      append,
      (result) => {
        const { position, firstPosition, duplicate, versions } = result
        const events = stored.get(result)?.events ?? []
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
  const appendGiven = (given: readonly unknown[]): Promise<AppendResult> => {
    assertOpen()
    const isShort = typeof given[0] === 'string'
    const { [isShort ? 2 : 1]: options = {} } = given as { [index: number]: StreamAppendOptions }
    assertAppendOptions(options, isShort)
    options.signal?.throwIfAborted()
    const append = isShort
      ? readStreamAppend(given[0] as string, given[1], options.expectedVersion)
      : readWrites(given[0] as StreamWrite)
    const appended = queue.append(prepareAppend(append, options, parts), options)
    if (__DEV__)
      appended.then(
        (result) => appendedAgain(name, given, result),
        () => {},
      )
    return appended
  }
  return {
    settled: () => queue.settled(),
    /** Not an async function, which would settle a turn later. */
    append(given: readonly unknown[]): Promise<AppendResult> {
      try {
        return told(() => appendGiven(given))
      } catch (error) {
        return Promise.reject(error)
      }
    },
    async appendPrepared(prepared: PreparedAppend, options: AppendOptions = {}): Promise<AppendResult> {
      assertOpen()
      return told(() => queue.append(prepared, options))
    },
  }
}
