/** Opening a synced store: the store of the core over a log whose appends go to an outbox. */
import { ClosedError, InvalidArgumentError } from '../errors.js'
import type { EventShape } from '../events/event.js'
import { storeName } from '../events/names.js'
import {
  openMemoryEventStore,
  openOnDevice,
  storeInternals,
  type LayerContext,
  type StoreLayer,
  type TidemarkStore,
} from '../log/open.js'
import { randomId } from '../events/identifier.js'
import type { AppendOptions, AppendResult, FollowOptions } from '../log/event-store.js'
import type { IndexedDbLog } from '../log/indexeddb/indexeddb-log.js'
import { format } from '../log/indexeddb/format.js'
import type { MemoryLog } from '../log/memory/memory-log.js'
import type { Log } from '../log/store.js'
import { say } from '../messages.js'
import { systemClock } from '../platform/clock.js'
import { isObject } from '../platform/objects.js'
import { assertCommands, commandRow } from './define-commands.js'
import { decideAgain } from './decide-again.js'
import { decidedStreams } from './decided-streams.js'
import { followLog } from './follow-log.js'
import type { DeviceStorage } from './device-storage.js'
import { assertRemote } from './log-address.js'
import { IndexedDbSyncStorage } from './indexeddb/indexeddb-sync-storage.js'
import { syncedDatabase } from './indexeddb/synced-database.js'
import { MemorySyncStorage } from './memory/memory-sync-storage.js'
import { confirmedOnly, OutboxLog } from './outbox-log.js'
import { growingIndex, rowsBefore } from './outbox-index.js'
import { OutboxKeeper } from './outbox-keeper.js'
import { logChanged } from '../running/shared-storage.js'
import { OwnCommits } from './own-commits.js'
import { sameUpTo } from './overlay/in-rows.js'
import { overlays } from './overlay/overlays.js'
import { syncParts, type SyncParts } from './sync-parts.js'
import type { SyncedStore, SyncedStoreOptions, SyncedStreamOptions } from './synced-store.js'

/** What it takes in addition to a local store. */
const names = ['url', 'headers', 'credentials', 'fetch', 'commands', 'clock']

/**
 * Opens the synced store of that name in IndexedDB, and creates it if there is none: a replica of one log of a server,
 * and an outbox for what this device did. It works without the server, also the first time; `startSync` connects it.
 *
 * A database of its own kind: a local store of that name is left as it is, and refused. Put the user into the name:
 * nothing of one user is ever sent as another.
 *
 * @throws InvalidNameError, InvalidArgumentError before anything is opened; InvalidArgumentError also if there is a local
 * store of that name
 * @throws StorageUnavailableError, StorageBusyError, StorageFailedError, StorageFullError, StorageDamagedError,
 * UnsupportedFormatError as `openEventStore`
 *
 * @example
 * const store = await openSyncedStore({ name: 'shop/anna', events, url: 'https://api.example.com/logs/shop-7' })
 * const sync = startSync(store)
 */
export async function openSyncedStore<E extends EventShape = EventShape>(
  options: SyncedStoreOptions<E>,
): Promise<SyncedStore<E>> {
  const given = checked(options)
  const name = storeName(options.name)
  let isForeign = false
  let parts: OpenedParts | undefined
  let log: IndexedDbLog | undefined
  const layer: StoreLayer<IndexedDbLog> = {
    names,
    clock: given.clock,
    kind: syncedDatabase(
      name,
      () => {
        isForeign = true
        // No second try: nothing would be different.
        log?.connection.close()
      },
      () => parts?.gone(),
    ),
    over(opened, about) {
      log = opened
      const storage = new IndexedDbSyncStorage(opened.connection, name)
      parts = open(given, about, opened, storage, () => opened.forget())
      return parts.layered
    },
  }
  const store = await openOnDevice<E>(options, layer).catch((error: unknown) => {
    if (!isForeign) throw error
    throw new InvalidArgumentError(
      'name',
      say`is that of a local store, '${name}', which stays as it is. Give the synced store another name: adoptStore() then copies what is in the local one.`,
    )
  })
  return syncedStore(store, parts as OpenedParts)
}

/** The same in memory; see `tidemark/memory`. */
export async function openSyncedInMemory<E extends EventShape = EventShape>(
  options: SyncedStoreOptions<E>,
  readModels: object,
): Promise<SyncedStore<E>> {
  const given = checked(options)
  let parts: OpenedParts | undefined
  const layer: StoreLayer<MemoryLog> = {
    names,
    clock: given.clock,
    over(log, about) {
      const storage = new MemorySyncStorage(log, randomId(), about.checkpoints)
      parts = open(given, about, log, storage, () => {})
      return parts.layered
    },
  }
  const store = await openMemoryEventStore<E>(options, readModels, layer)
  return syncedStore(store, parts as OpenedParts)
}

interface Given extends Pick<SyncParts, 'remote' | 'clock'> {
  readonly commands: NonNullable<SyncedStoreOptions['commands']>
}

function checked<E extends EventShape>(options: SyncedStoreOptions<E>): Given {
  if (!isObject(options)) throw new InvalidArgumentError('options', say`must be { name, url, … }.`)
  const { url, headers, credentials, fetch, commands = {}, clock = systemClock } = options
  assertRemote(options, '', true)
  assertCommands(commands)
  return { remote: { url, headers, credentials, fetch }, clock, commands: commands as Given['commands'] }
}

interface OpenedParts {
  /** The database may be gone. */
  gone(): void
  readonly layered: ReturnType<StoreLayer<never>['over']>
  readonly own: OwnCommits
  readonly opened: { store?: TidemarkStore }
  readonly sync: Omit<SyncParts, 'assertOpen'>
}

function open(
  { remote, clock, commands }: Given,
  about: LayerContext,
  log: Log,
  storage: DeviceStorage,
  takenBack: () => void,
): OpenedParts {
  const { name, catalogue, codec, signals, coordinator, checkpoints } = about
  const decoding = { catalogue, codec }
  const onDevice = checkpoints === undefined
  const end = new AbortController()
  const keeper = new OutboxKeeper({
    storage,
    clock,
    channelName: onDevice ? `tidemark-outbox:${name}` : undefined,
    pulled(state, events) {
      outboxLog.pulled(state, events)
      signals.post({ kind: 'head', head: state.cursor.at, format })
    },
    takenBack(state) {
      takenBack()
      if (opened.store !== undefined) logChanged(opened.store, state.identity, clock)
    },
  })
  /** Once it is open. */
  const opened: { store?: TidemarkStore } = {}
  const overlay = overlays({
    source: keeper,
    signals,
    decoding,
    readPage: (request, options) => log.readPage(request, options),
    streamVersion: (stream) => log.streamVersion(stream),
  })
  const { unshown } = overlay
  const indexOf = growingIndex()
  const own = new OwnCommits({ keeper, catalogue, codec, clock, unshown, closed: end.signal })
  const outboxLog = new OutboxLog({
    ...about,
    log,
    keeper,
    own,
    clock,
    forget: takenBack,
    commandRow: (command) => commandRow(command, codec),
  })
  const streamOf = decidedStreams((stream, at) => outboxLog.streamAt(stream, {}, at), decoding)
  return {
    gone: () => keeper.look(),
    own,
    opened,
    layered: {
      log: outboxLog,
      internals: layerOf(overlay, keeper, storage, outboxLog),
      dispose() {
        end.abort(new ClosedError(say`The synced store '${name}'`, 'unknown'))
        keeper.close()
      },
    },
    sync: {
      name,
      storage: keeper,
      outbox: keeper,
      holdAppends(until) {
        outboxLog.heldUntil = until
      },
      remote,
      clock,
      decoding,
      coordinator,
      channelName: onDevice ? `tidemark-sync:${name}` : undefined,
      decide(row, { state, outbox }) {
        const before = rowsBefore(outbox, row.n)
        const { streams } = indexOf(before)
        return decideAgain(row, {
          commands,
          context: { ...about, clock },
          stream: (stream) => streamOf(stream, { state, outbox: before }),
          pending: (stream) => streams.get(stream),
        })
      },
      onAppend: (listener) => keeper.onAppend(listener),
      onChange: (listener) => keeper.subscribe(listener),
      inContact: keeper.inContact,
      current: () => keeper.current,
      lost: () => keeper.lost,
      closed: end.signal,
    },
  }
}

/** What the store beneath needs to know of it. */
function layerOf(
  overlay: ReturnType<typeof overlays>,
  keeper: OutboxKeeper,
  storage: DeviceStorage,
  log: Pick<OutboxLog, 'known'>,
) {
  return {
    overlay,
    async logNow(than: string) {
      const { state } = await log.known()
      return { id: state.identity, sameUpTo: sameUpTo(state, than) }
    },
    // Of a damaged outbox, too: what is confirmed can be exported.
    async logId() {
      const { identity } = await storage.stamp()
      // It is needed soon, and read while something else is opened.
      if (keeper.current === undefined) void keeper.fresh().catch(() => {})
      return identity
    },
    async appendPrepared() {
      throw new InvalidArgumentError(
        'store',
        say`is synced: what is imported would be nowhere else. Append the events: what is appended is sent to the server.`,
      )
    },
  }
}

function syncedStore<E extends EventShape>(
  store: TidemarkStore<E>,
  { own, sync, opened }: OpenedParts,
): SyncedStore<E> {
  opened.store = store as unknown as TidemarkStore
  const { readStream, follow, readPage } = store
  const append = store.append as (...given: readonly unknown[]) => Promise<AppendResult>
  const { assertOpen, tap } = storeInternals(store)
  const { clock, closed, outbox, onChange } = sync
  const more = {
    [syncParts]: { ...sync, assertOpen } satisfies SyncParts,
    append(...given: readonly unknown[]) {
      const at = typeof given[0] === 'string' ? 2 : 1
      return given.length > at
        ? append(...given.slice(0, at), ownCondition(given[at] as AppendOptions | undefined))
        : append(...given)
    },
    readStream(stream: string, options: SyncedStreamOptions = {}) {
      if (!isObject(options)) return readStream(stream, options)
      const { confirmed = false, ...rest } = options
      if (typeof confirmed !== 'boolean') throw new InvalidArgumentError('confirmed', say`must be true or false.`)
      if (confirmed) confirmedOnly.add(rest)
      return readStream(stream, rest)
    },
    follow(options: FollowOptions<E> = {}) {
      // Checks them, and begins nothing.
      follow(options)
      return followLog<E>(options, { outbox, onChange, readPage, tap, clock, closing: closed })
    },
    async outbox() {
      assertOpen()
      return own.outbox()
    },
    async ownCommit(id: string) {
      assertOpen()
      return own.find(id)
    },
  }
  return Object.assign(store, more) as unknown as SyncedStore<E>
}

/** The options with a condition that the caller cannot change: it is stored as it was given. */
function ownCondition(options: AppendOptions | undefined): AppendOptions | undefined {
  const filter = options?.condition?.failIfEventsMatch
  if (options === undefined || !isObject(filter) || Array.isArray(filter)) return options
  const { types } = filter
  const failIfEventsMatch = { ...filter, ...(Array.isArray(types) && { types: [...types] as string[] }) }
  return { ...options, condition: { ...options.condition, failIfEventsMatch } }
}
