/** What `tidemark/sync` adds to an app: a store that syncs, and the member `sync`. */
import type { AppBase, AppKind, AppPorts } from '../app/app-kind.js'
import type { CatchUpOptions, CatchUpResult } from '../app/app-types.js'
import { lazyLive } from '../app/lazy-live.js'
import { isServiceWorker } from '../app/make-app.js'
import { storeOf } from '../app/while-open.js'
import { hasCode, InvalidArgumentError, messageOf } from '../errors.js'
import type { EventShape } from '../events/event.js'
import { say } from '../messages.js'
import { onlyKnown } from '../platform/arguments.js'
import { systemClock, type Clock } from '../platform/clock.js'
import { settle } from '../projection/config.js'
import { adoptNamed } from './adopt-named.js'
import { SyncRefusedError } from './sync-refused.js'
import { liveCommits } from './live-commits.js'
import { assertRemote } from './log-address.js'
import { openSyncedStore } from './open-synced-store.js'
import { addPendingRows } from './pending-rows.js'
import { startSync, type SyncHandle } from './start-sync.js'
import { syncOnce } from './sync-once.js'
import { isSynced, syncPartsOf } from './sync-parts.js'
import { nothingKnown, SyncStatusKeeper } from './sync-status-keeper.js'
import type { SyncStatus } from './sync-status.js'
import type { AppSync, AppSyncOptions, SyncedAppOptions, SyncedUntilOptions } from './synced-app-types.js'
import type { AppendedCommit, OwnCommit, SyncedStore } from './synced-store.js'
import { lookAtCommand } from './unnamed-commands.js'

/** An append waits for the server while a local store is adopted, but no longer than this, ms. */
const patience = 1_000

type Open = NonNullable<SyncedAppOptions<EventShape>['open']>

/** @param sync checked */
export function syncedKind(sync: AppSyncOptions, clock: Clock = systemClock): AppKind<EventShape> {
  const { url, author, wake, adopt, ...remote } = sync
  const handles = new WeakMap<object, SyncHandle>()
  /** Of stores that nothing here syncs by itself: how the last round ended. */
  const ended = new WeakMap<object, SyncStatusKeeper>()
  /** By store: waits until the local store of the app is adopted. */
  const adoptions = new WeakMap<object, () => Promise<void>>()
  let tellOf: (error: unknown) => void = () => {}
  const adopted = async (opening: Promise<object>): Promise<object> => {
    const store = await opening
    await adoptions.get(store)?.()
    return store
  }
  return {
    options: ['sync'],
    opener: (given) => () => {
      const open = given === undefined ? openSyncedStore : syncedOpen(given as unknown as Open)
      const to = {
        ...remote,
        url: typeof url === 'function' ? url() : url,
        author: typeof author === 'function' ? author() : author,
      }
      const local = typeof adopt === 'function' ? adopt() : adopt
      return async (options) => {
        assertRemote(to, 'sync.', true)
        const store = await open({ ...options, ...to, clock })
        try {
          const { closed, holdAppends } = syncPartsOf(store)
          if (local !== undefined) {
            const impatience = new AbortController()
            // An append waits for what is on this device, and not for what a network does.
            let cancel: (() => void) | undefined
            const adopted = adopting(
              async () => {
                await adoptNamed(local, store, closed, impatience.signal)
                cancel?.()
                holdAppends(async () => {})
              },
              (error) => tellOf(error),
            )
            adoptions.set(store, adopted)
            holdAppends(() => {
              cancel ??= clock.schedule(patience, () => impatience.abort())
              return adopted()
            })
          }
        } catch (error) {
          await store.close()
          throw error
        }
        return store
      }
    },
    tables: addPendingRows,
    attach(store, runs) {
      // A service worker syncs while an event lasts: see `catchUp`.
      if (!runs && isServiceWorker()) {
        const { current, onChange } = syncPartsOf(store)
        const keeper = new SyncStatusKeeper(current)
        ended.set(store, keeper)
        return onChange(() => void keeper.set({}))
      }
      const handle = startSync(store as SyncedStore, wake === undefined ? {} : { wake })
      handles.set(store, handle)
      return () => handle.stop()
    },
    members(ports, base) {
      tellOf = ports.failed
      return {
        sync: appSync(ports as unknown as SyncedCore, handles, ended),
        ready: () => adopted(base.ready()),
        reopen: () => adopted(base.reopen()),
        append(...given: readonly unknown[]) {
          const at = typeof given[0] === 'string' ? 2 : 1
          return write(given[at] as SyncedUntilOptions, (options) => base.append(...given.slice(0, at), options))
        },
        execute(command: never, given?: SyncedUntilOptions) {
          if (__DEV__ && sync.commands !== undefined) lookAtCommand(command, sync.commands)
          return write(given, (options) => base.execute(command, options))
        },
        catchUp: (options: CatchUpOptions = {}) => catchUp(ports as unknown as SyncedCore, base, ended, options),
      }
    },
  }
}

/** The `open` of an app: that of a store that does not sync knows nothing of `url`, or opens another kind of store. */
const syncedOpen =
  (open: Open): Open =>
  async (options) => {
    const wrong = (but: string) =>
      new InvalidArgumentError(
        'open',
        say`must open a synced store, as the openSyncedStore of tidemark/memory does: ${but}`,
      )
    const store = await open(options).catch((error: unknown) => {
      throw hasCode(error, 'invalid-argument') ? wrong(messageOf(error)) : error
    })
    if (isSynced(store)) return store
    await (store as Partial<SyncedStore> | undefined)?.close?.()
    throw wrong(say`this one is another store.`)
  }

/** Begins immediately, and after a failure again at the next call. Returns how to wait for it. */
function adopting(adopt: () => Promise<void>, failed: (error: unknown) => void): () => Promise<void> {
  let running: Promise<void> | undefined
  const wait = () =>
    (running ??= adopt().catch((error: unknown) => {
      running = undefined
      failed(error)
      throw error
    }))
  wait().catch(() => {})
  return wait
}

/** The app, whose stores are synced ones. */
type SyncedCore = AppPorts<{ readonly store: SyncedStore }>

const stopped: SyncStatus = Object.freeze({ ...nothingKnown, status: 'stopped', reason: 'by-hand' })

function appSync(
  core: SyncedCore,
  handles: WeakMap<object, SyncHandle>,
  ended: WeakMap<object, SyncStatusKeeper>,
): AppSync {
  const statusNow = () => {
    const store = core.opened?.store
    return store && (handles.get(store)?.status ?? ended.get(store))
  }
  const ask = async <R>(act: (handle: SyncHandle) => Promise<R>): Promise<R> => {
    const { store } = await core.use()
    const running = handles.get(store)
    if (running !== undefined) return act(running)
    const own = startSync(store)
    try {
      const result = await act(own)
      const status = (result as SyncStatus | undefined) ?? own.status.getSnapshot()
      // What would work on is ended.
      ended.get(store)?.become(status.status === 'working' ? { ...status, status: 'following' } : status)
      return result
    } finally {
      await own.stop()
    }
  }
  const live = (what: string, wanted: (commit: OwnCommit) => boolean) =>
    lazyLive(
      core,
      ({ store }) => ({ value: () => store, error: () => undefined, use: async () => store }),
      (store) => liveCommits(store, wanted, core.config.clock),
      what,
    )
  const all = live('outbox', () => true)
  const refused = live('refused', ({ status }) => status === 'refused')
  return {
    status: storeOf(
      core.follow,
      statusNow,
      nothingKnown,
      () => statusNow()?.getSnapshot() ?? (core.phase === 'closed' ? stopped : nothingKnown),
    ),
    now: (options) => ask((handle) => handle.now(options)),
    pause: () => ask((handle) => handle.pause()),
    resume: () => ask((handle) => handle.resume()),
    resync: () => ask((handle) => handle.resync()),
    outbox: async () => (await core.use()).store.outbox(),
    ownCommit: async (id) => (await core.use()).store.ownCommit(id),
    liveOutbox: () => all,
    liveRefused: () => refused,
  }
}

/** Writes, and waits for the server if the options say so. */
async function write(
  given: SyncedUntilOptions & { readonly signal?: AbortSignal } = {},
  act: (options: object) => Promise<object>,
): Promise<object> {
  const { until = 'stored', ...options } = given
  if (until === 'stored' || until === 'visible') return act(given)
  if (until !== 'confirmed') throw new InvalidArgumentError('until', say`must be 'stored', 'visible' or 'confirmed'.`)
  const result: { readonly commit?: AppendedCommit } = await act(options)
  // Nothing was appended.
  if (result.commit === undefined) return result
  const commit = await result.commit.settled(given.signal === undefined ? {} : { signal: given.signal })
  const { id, status, refusal = { code: status, message: say`The app discarded it.` } } = commit
  if (status !== 'confirmed') throw new SyncRefusedError(id, refusal)
  return { ...result, commit }
}

/** Where nothing syncs by itself, a round of that comes first, with half of the time. */
async function catchUp(
  core: SyncedCore,
  base: AppBase,
  ended: WeakMap<object, SyncStatusKeeper>,
  options: CatchUpOptions,
): Promise<CatchUpResult> {
  onlyKnown(options, ['budget', 'signal'])
  settle(options, 'batch', false)
  const { store } = await core.use()
  const keeper = ended.get(store)
  if (keeper === undefined) return base.catchUp(options)
  const { budget, signal } = options
  const { clock } = core.config
  const began = clock.monotonic()
  const maxTime = budget?.maxTime
  let round: { error?: unknown } = {}
  try {
    const time =
      maxTime === undefined || maxTime === Infinity ? {} : { budget: { maxTime: Math.max(1, Math.floor(maxTime / 2)) } }
    keeper.become(await syncOnce(store, { ...time, signal }))
  } catch (error) {
    if (signal?.aborted !== true) round = { error }
  }
  const left = maxTime === undefined ? {} : { maxTime: Math.max(1, maxTime - (clock.monotonic() - began)) }
  const result = await base.catchUp({ ...options, budget: { ...budget, ...left } })
  if ('error' in round) throw round.error
  return result
}
