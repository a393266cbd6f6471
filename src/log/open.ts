/**
 * Opening an event store, on IndexedDB or in memory, deleting one, and what other folders may know of an open store.
 */
import { inProcessCoordinator } from '../locks/in-process.js'
import { lockManager } from '../locks/in-use.js'
import { webLocksCoordinator } from '../locks/web-locks.js'
import { InvalidArgumentError } from '../errors.js'
import { say } from '../messages.js'
import { anyEvents, type CatalogueCore } from '../events/catalogue-core.js'
import { catalogueCore } from '../events/catalogue.js'
import type { EventCatalogue } from '../events/catalogue-types.js'
import type { EventShape } from '../events/event.js'
import { randomId } from '../events/identifier.js'
import { databaseName, storeName } from '../events/names.js'
import { onlyKnown, wholeNumber } from '../platform/arguments.js'
import { systemClock, timeTold, type Clock } from '../platform/clock.js'
import { deleteDatabase, type Connection } from '../platform/connection.js'
import { made, notOurs } from '../platform/copies.js'
import { healing, type StorageOccurrence, type StorageReport } from '../platform/healing.js'
import { isMissing } from '../platform/indexeddb.js'
import { isThenable } from '../platform/promises.js'
import { openSignals, type Signals } from '../platform/signals.js'
import type { CheckpointStore, Coordinator } from '../ports.js'
import type { StoreReport } from '../reports.js'
import { indexedDbCheckpoints } from './indexeddb/checkpoints.js'
import { memoryCheckpoints } from './memory/memory-checkpoints.js'
import type { AppendOptions, AppendResult, Durability, EventStore } from './event-store.js'
import { indexedDbLog, type DatabaseKind, type IndexedDbLog } from './indexeddb/indexeddb-log.js'
import { MemoryLog } from './memory/memory-log.js'
import { deviceOperations, memoryOperations, type StoreOperations } from './operations.js'
import type { Codec } from './encode.js'
import type { PreparedAppend } from './prepared-append.js'
import { assertCodec, assertDurability, createStore, type Log } from './store.js'
import { monotonic, Tap } from './tap.js'
import { isObject } from '../platform/objects.js'

/** What `openEventStore` takes. */
export interface EventStoreOptions<E extends EventShape> {
  /** What the store is called on this origin; put the user into it where several share a device. */
  readonly name: string
  /** The app's events, from `defineEvents`. @default any event */
  readonly events?: EventCatalogue<E>
  /** For every append that does not say otherwise. @default 'strict' */
  readonly durability?: Durability
  /** Transforms `data` on its way in and out. @default none: plain JSON */
  readonly codec?: Codec
  /** The largest event, in characters of JSON. @default 1048576 */
  readonly maxEventCharacters?: number
  /**
   * Called when everything that this site stored is in danger, and when it no longer is: a full disk, in Chromium. What
   * it throws is reported as an error of the page. @default none; projections report the same
   */
  readonly onReport?: (report: StorageReport) => void
}

/** An event store with everything that projections and maintenance need. */
export type TidemarkStore<E extends EventShape = EventShape> = EventStore<E> &
  StoreOperations & {
    /** Checkpoints and dead letters of plain projectors. */
    readonly checkpoints: Required<CheckpointStore>
    /** Which context runs a projection. */
    readonly coordinator: Coordinator
    /**
     * Tells a listener everything that the store does in this context: appends, commands, reads, queries, and the
     * reports of its projections; with counts and times, without data. For logs, metrics and tracing. Returns how to
     * stop that.
     *
     * The listener is called synchronously, so it should be quick. What it throws is reported as an error of the page,
     * once, and harms nothing. Without a listener nothing is measured.
     *
     * @throws InvalidArgumentError for what is no function; ClosedError
     *
     * @example
     * const stop = store.observe((report) => {
     *   if (report.type === 'appended') console.log(report.events, 'events in', report.duration, 'ms')
     * })
     */
    observe(listener: (report: StoreReport) => void): () => void
  }

type StorePorts = Pick<TidemarkStore, 'checkpoints' | 'coordinator'>

/** What read models, and the functions that look after a store, need of the store that they belong to. */
export type StoreInternals = CommonInternals &
  /** Where the log is, and so its read models. */
  (
    | {
        readonly medium: 'indexeddb'
        readonly connection: Connection
        /** The id with which the database was made: that of the log, unless its tail was taken back since. */
        databaseId(): Promise<string>
        /** Calls back with what happens to the storage of this origin. Returns how to stop that. */
        onStorage(listener: (occurrence: StorageOccurrence) => void): () => void
      }
    | {
        readonly medium: 'memory'
        readonly log: Pick<
          MemoryLog,
          'records' | 'recorded' | 'adopter' | 'attic' | 'isClosed' | 'closeAt' | 'closeAtRest'
        >
        readonly checkpoints: ReadonlyMap<string, number>
        /** Made and used by `running/`: the log knows nothing of them. */
        readonly readModels: object
      }
    | {
        readonly medium: 'server'
        /** The id of the log. */
        readonly log: string
        /** The log, for looking at. Used by `maintenance/`. */
        readonly inspection: object
        readonly readModels: object
      }
  )

interface CommonInternals {
  readonly signals: Signals
  readonly tap: Tap
  /** The id of the log: rows folded from another log are void. */
  logId(): Promise<string>
  /** Appends what was checked elsewhere: imported events keep their times. */
  appendPrepared(prepared: PreparedAppend, options?: AppendOptions): Promise<AppendResult>
  readonly maxEventCharacters: number
  /** All types that this build knows; undefined: any type. */
  readonly types: ReadonlySet<string> | undefined
  /** Throws ClosedError once the store was closed. */
  assertOpen(): void
  /** Of a log whose tail may be taken back: its id now, and up to where one of that id was the same. */
  logNow?(than: string): Promise<{ readonly id: string; readonly sameUpTo: number }>
  /** What a store that syncs lays over its read models. Used by `reading/`: the log knows nothing of it. */
  readonly overlay?: object | undefined
}

/**
 * The lock of compaction, which changes how events lie in records, and of readers that must not see an event twice. No
 * projector has an empty name.
 */
export const recordsLock = ''

/** Enumerable, so that a copy of a store with some methods exchanged is still that store. */
const internals = Symbol(say`tidemark store`)

/** As {@link storeInternals}, of any value. */
export const internalsOf = (store: unknown): StoreInternals | undefined =>
  (store as { [internals]?: StoreInternals } | null)?.[internals]

/** Whether a backend is a store of `openEventStore`, or a copy of one. */
export const isTidemarkStore = (store: unknown): store is TidemarkStore => internalsOf(store) !== undefined

/**
 * @throws InvalidArgumentError for anything that is not a store of `openEventStore` of this package, or a copy of one
 */
export function storeInternals(store: object): StoreInternals {
  const found = internalsOf(store)
  if (found === undefined)
    throw new InvalidArgumentError(
      'store',
      isThenable(store)
        ? say`is a promise. Await openEventStore() first.`
        : notOurs(store, say`must come from openEventStore. Other backends run plain projectors only.`),
    )
  return found
}

/** The error of a store that was closed; nothing while it is open. */
export function closedError(parts: StoreInternals | undefined): unknown {
  try {
    return parts?.assertOpen()
  } catch (error) {
    return error
  }
}

/** What another kind of store puts over the log of `L`. */
export interface StoreLayer<L> {
  /** Further options that it takes. */
  readonly names: readonly string[]
  readonly clock: Clock
  readonly kind?: DatabaseKind
  /** Called before the log is opened. */
  over(log: L, about: LayerContext): LayeredLog
}

/** What a layer is given of its store. */
export interface LayerContext {
  readonly name: string
  readonly catalogue: CatalogueCore
  readonly codec: Codec | undefined
  readonly durability: Durability
  readonly maxEventCharacters: number
  readonly signals: Signals
  readonly coordinator: Coordinator
  /** Positions of plain projectors, of a store in memory. */
  readonly checkpoints?: Map<string, number>
}

export interface LayeredLog {
  readonly log: Log
  /** In place of the store's own. */
  readonly internals: Partial<CommonInternals>
  dispose(): void
}

function common<E extends EventShape>(options: EventStoreOptions<E>, layer?: StoreLayer<never>) {
  if (!isObject(options)) throw new InvalidArgumentError('options', say`must be { name, … }.`)
  onlyKnown(options, [
    'name',
    'events',
    'durability',
    'codec',
    'maxEventCharacters',
    'onReport',
    ...(layer?.names ?? []),
  ])
  const { durability = 'strict', maxEventCharacters = 1024 * 1024, codec, onReport } = options
  assertDurability(durability)
  assertCodec(codec)
  if (onReport !== undefined && typeof onReport !== 'function')
    throw new InvalidArgumentError('onReport', say`must be a function.`)
  return {
    onReport,
    name: storeName(options.name),
    catalogue: options.events === undefined ? anyEvents : catalogueCore(options.events),
    codec,
    clock: layer?.clock ?? systemClock,
    durability,
    maxEventCharacters: wholeNumber(maxEventCharacters, 'maxEventCharacters', 1),
  }
}

function withPorts<E extends EventShape>(
  store: EventStore<E>,
  parts: StoreInternals,
  ports: StorePorts,
  operations: StoreOperations,
): TidemarkStore<E> {
  return Object.assign(store, {
    [internals]: parts,
    [made]: true,
    ...ports,
    ...operations,
    observe(listener: (report: StoreReport) => void) {
      parts.assertOpen()
      if (typeof listener !== 'function') throw new InvalidArgumentError('listener', say`must be a function.`)
      return parts.tap.add(listener)
    },
  })
}

/**
 * One coordinator per store name for the realms without Web Locks, so that two instances of a store compete as they
 * would with them.
 */
const fallbackCoordinators = new Map<string, Coordinator>()

function coordinatorFor(name: string): Coordinator {
  const locks = lockManager()
  if (locks !== undefined) return webLocksCoordinator(locks, `${databaseName(name)}:`)
  let coordinator = fallbackCoordinators.get(name)
  if (coordinator === undefined) fallbackCoordinators.set(name, (coordinator = inProcessCoordinator()))
  return coordinator
}

/**
 * Opens the event store of that name in IndexedDB, and creates it if there is none.
 *
 * May be called where a module is loaded, also on a server: where there is no IndexedDB at all the promise rejects, but
 * its rejection does not count as unhandled while no one awaits it.
 *
 * @throws InvalidNameError, InvalidArgumentError before anything is opened
 * @throws StorageUnavailableError if there is no IndexedDB here, or it is forbidden
 * @throws StorageBusyError if the database does not open within 30 s; StorageFailedError, StorageFullError if the
 * browser fails to
 * @throws StorageDamagedError if something of it is missing; UnsupportedFormatError if a newer tidemark wrote it
 */
export function openEventStore<E extends EventShape = EventShape>(
  options: EventStoreOptions<E>,
): Promise<TidemarkStore<E>> {
  return openOnDevice(options)
}

/** As {@link openEventStore}, for a store of another kind, too. */
export function openOnDevice<E extends EventShape>(
  options: EventStoreOptions<E>,
  layer?: StoreLayer<IndexedDbLog>,
): Promise<TidemarkStore<E>> {
  let parts: ReturnType<typeof common<E>>
  try {
    parts = common(options, layer)
  } catch (error) {
    return Promise.reject(error)
  }
  const opening = open<E>(parts, layer)
  // Node ends at an unhandled rejection, and with it the build of a page that only imports the module.
  if (isMissing()) opening.catch(() => {})
  return opening
}

async function open<E extends EventShape>(
  parts: ReturnType<typeof common<E>>,
  layer?: StoreLayer<IndexedDbLog>,
): Promise<TidemarkStore<E>> {
  const { name, onReport } = parts
  const start = monotonic()
  const signals = openSignals(databaseName(name))
  const log = indexedDbLog({ ...parts, kind: layer?.kind })
  const coordinator = coordinatorFor(name)
  const layered = layer?.over(log, { ...parts, signals, coordinator })
  signals.listen((hint) => {
    if (hint.kind === 'head') log.headMoved(hint.head, hint.format)
  })
  let tap: Tap | undefined
  const stopTelling = healing.subscribe((occurrence) => {
    if (tap?.on === true) tap.tell(monotonic(), () => occurrence)
    onReport?.({ ...occurrence, time: timeTold(systemClock) })
  })
  const leave = healing.join(signals)
  const dispose = () => {
    leave()
    stopTelling()
    layered?.dispose()
    log.connection.close()
  }
  try {
    await log.connection.open()
  } catch (error) {
    dispose()
    signals.close()
    throw error
  }
  tap = new Tap(name, start)
  const { store, append, assertOpen } = createStore<E>({ ...parts, log: layered?.log ?? log, signals, tap, dispose })
  const databaseId = () => log.logId()
  const shared: StoreInternals = {
    signals,
    tap,
    medium: 'indexeddb',
    connection: log.connection,
    databaseId,
    onStorage: (listener) => healing.subscribe(listener),
    logId: databaseId,
    appendPrepared: append,
    maxEventCharacters: parts.maxEventCharacters,
    types: parts.catalogue.types,
    assertOpen,
    ...layered?.internals,
  }
  const ports = { checkpoints: indexedDbCheckpoints(log.connection), coordinator }
  return withPorts(store, shared, ports, deviceOperations)
}

/** What a store on a server consists of. */
export interface ServerParts {
  readonly log: Log
  readonly signals: Signals
  readonly ports: StorePorts
  readonly internals: Pick<
    StoreInternals & { readonly medium: 'server' },
    'log' | 'inspection' | 'readModels' | 'logId'
  >
  dispose(): Promise<unknown>
}

/** Opens an event store over the log of a server. @param names further options that it takes */
export async function openOnServer<E extends EventShape>(
  options: EventStoreOptions<E>,
  names: readonly string[],
  open: (about: Pick<LayerContext, 'name' | 'catalogue' | 'codec' | 'maxEventCharacters'>) => Promise<ServerParts>,
): Promise<TidemarkStore<E>> {
  const parts = common(options, { names, clock: systemClock } as unknown as StoreLayer<never>)
  const start = monotonic()
  const { log, signals, ports, internals, dispose } = await open(parts)
  const tap = new Tap(parts.name, start)
  const { store, append, assertOpen } = createStore<E>({ ...parts, log, signals, tap, dispose })
  const shared: StoreInternals = {
    signals,
    tap,
    medium: 'server',
    ...internals,
    appendPrepared: append,
    maxEventCharacters: parts.maxEventCharacters,
    types: parts.catalogue.types,
    assertOpen,
  }
  return withPorts(store, shared, ports, memoryOperations)
}

/** Opens an event store in memory; see `tidemark/memory`. */
export async function openMemoryEventStore<E extends EventShape>(
  options: EventStoreOptions<E>,
  readModels: object,
  layer?: StoreLayer<MemoryLog>,
): Promise<TidemarkStore<E>> {
  const parts = common(options, layer)
  const signals = openSignals()
  const log = new MemoryLog(parts)
  const tap = new Tap(parts.name, monotonic())
  const checkpoints = new Map<string, number>()
  const coordinator = inProcessCoordinator()
  const layered = layer?.over(log, { ...parts, signals, coordinator, checkpoints })
  const dispose = () => layered?.dispose()
  const { store, append, assertOpen } = createStore<E>({ ...parts, log: layered?.log ?? log, signals, tap, dispose })
  const logId = randomId()
  const shared: StoreInternals = {
    signals,
    tap,
    medium: 'memory',
    log,
    checkpoints,
    readModels,
    logId: async () => logId,
    appendPrepared: append,
    maxEventCharacters: parts.maxEventCharacters,
    types: parts.catalogue.types,
    assertOpen,
    ...layered?.internals,
  }
  const ports = { checkpoints: memoryCheckpoints(checkpoints), coordinator }
  return withPorts(store, shared, ports, memoryOperations)
}

/**
 * Deletes the event store of that name with everything in it, its read models included. Open instances of it end with
 * `StorageLostError`.
 *
 * @throws StorageBusyError if another tab keeps it open for 30 s; StorageFailedError if the browser could not delete it
 */
export async function deleteEventStore(name: string): Promise<void> {
  const log = databaseName(storeName(name))
  await deleteDatabase(log, say`The event store '${name}'`)
  // Where the engine lists its databases, the read models go as well; elsewhere they are found stale and rebuilt.
  const known = (await indexedDB.databases?.().catch(() => [])) ?? []
  for (const { name: other } of known)
    if (other?.startsWith(`${log}:`) === true) await deleteDatabase(other, say`The read model '${other}'`)
}
