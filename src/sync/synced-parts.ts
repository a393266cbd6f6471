/** What a synced store is made of, over a log that is open. */
import { ClosedError, InvalidArgumentError } from '../errors.js'
import { format } from '../log/indexeddb/format.js'
import type { LayerContext, StoreLayer, TidemarkStore } from '../log/open.js'
import type { Log } from '../log/store.js'
import { say } from '../messages.js'
import { logChanged } from '../running/shared-storage.js'
import { decideAgain } from './decide-again.js'
import { decidedStreams } from './decided-streams.js'
import { commandRow } from './define-commands.js'
import type { DeviceStorage } from './device-storage.js'
import type { OutboxCopy } from './outbox-copy.js'
import { growingIndex, rowsBefore } from './outbox-index.js'
import { OutboxKeeper } from './outbox-keeper.js'
import { outboxLog } from './outbox-log.js'
import { sameUpTo } from './overlay/in-rows.js'
import { overlays } from './overlay/overlays.js'
import { OwnCommits } from './own-commits.js'
import type { SyncParts } from './sync-parts.js'
import type { SyncedStoreOptions } from './synced-store.js'

export interface SyncedGiven extends Pick<SyncParts, 'remote' | 'clock'> {
  readonly commands: NonNullable<SyncedStoreOptions['commands']>
}

export interface OpenedParts {
  /** The database may be gone. */
  gone(): void
  readonly layered: ReturnType<StoreLayer<never>['over']>
  readonly own: OwnCommits
  readonly opened: { store?: TidemarkStore }
  readonly sync: Omit<SyncParts, 'assertOpen'>
}

export function openParts(
  { remote, clock, commands }: SyncedGiven,
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
      joined.pulled(state, events)
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
  const own = new OwnCommits({ keeper, catalogue, codec, clock, unshown, closed: end.signal })
  const joined = outboxLog({
    ...about,
    log,
    keeper,
    own,
    clock,
    forget: takenBack,
    commandRow: (command) => commandRow(command, codec),
  })
  const streamOf = decidedStreams((stream, at) => joined.streamAt(stream, {}, at), decoding)
  return {
    gone: () => keeper.look(),
    own,
    opened,
    layered: {
      log: joined,
      internals: layerOf(overlay, keeper, storage, joined.known),
      dispose() {
        end.abort(new ClosedError(say`The synced store '${name}'`, 'unknown'))
        keeper.close()
      },
    },
    sync: {
      name,
      storage: keeper,
      outbox: keeper,
      holdAppends: joined.holdAppends,
      remote,
      clock,
      decoding,
      coordinator,
      channelName: onDevice ? `tidemark-sync:${name}` : undefined,
      decide: decider(commands, { ...about, clock }, streamOf),
      onAppend: (listener) => keeper.onAppend(listener),
      onChange: (listener) => keeper.subscribe(listener),
      inContact: keeper.inContact,
      current: () => keeper.current,
      lost: () => keeper.lost,
      closed: end.signal,
    },
  }
}

/** Decides commits again, by the app's commands. */
function decider(
  commands: SyncedGiven['commands'],
  context: LayerContext & Pick<SyncParts, 'clock'>,
  streamOf: ReturnType<typeof decidedStreams>,
): SyncParts['decide'] {
  const indexOf = growingIndex()
  return (row, { state, outbox }) => {
    const before = rowsBefore(outbox, row.n)
    const { streams } = indexOf(before)
    return decideAgain(row, {
      commands,
      context,
      stream: (stream) => streamOf(stream, { state, outbox: before }),
      pending: (stream) => streams.get(stream),
    })
  }
}

/** What the store beneath needs to know of it. */
function layerOf(
  overlay: ReturnType<typeof overlays>,
  keeper: OutboxKeeper,
  storage: DeviceStorage,
  known: () => Promise<OutboxCopy>,
) {
  return {
    overlay,
    async logNow(than: string) {
      const { state } = await known()
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
