/** What `tidemark/sync` adds to an app: a store that syncs, and the member `sync`. */
import type { AppBase, AppKind, AppPorts } from '../app/app-kind.js'
import { storeOf } from '../app/app-model.js'
import type { CatchUpOptions } from '../app/app-types.js'
import { lazyLive } from '../app/lazy-live.js'
import { isServiceWorker } from '../app/make-app.js'
import { InvalidArgumentError } from '../errors.js'
import type { EventShape } from '../events/event.js'
import { say } from '../messages.js'
import { onlyKnown } from '../platform/arguments.js'
import { systemClock, type Clock } from '../platform/clock.js'
import { settle } from '../projection/config.js'
import { adoptNamed } from './adopt-named.js'
import { SyncRefusedError } from './sync-refused.js'
import { liveCommits } from './live-commits.js'
import { openSyncedStore } from './open-synced-store.js'
import { startSync, type SyncHandle } from './start-sync.js'
import { syncOnce } from './sync-once.js'
import { syncPartsOf } from './sync-parts.js'
import { nothingKnown } from './sync-status-keeper.js'
import type { SyncStatus } from './sync-status.js'
import type { AppSync, AppSyncOptions, SyncedAppOptions, SyncedUntilOptions } from './synced-app-types.js'
import type { AppendedCommit, OwnCommit, SyncedStore } from './synced-store.js'

/** An append waits for the server while a local store is adopted, but no longer than this, ms. */
const patience = 1_000

type Open = NonNullable<SyncedAppOptions<EventShape>['open']>

/** @param sync checked */
export function syncedKind(sync: AppSyncOptions, clock: Clock = systemClock): AppKind<EventShape> {
  const { url, headers, wake, adopt, ...remote } = sync
  const handles = new WeakMap<object, SyncHandle>()
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
      const open = (given ?? openSyncedStore) as Open
      const at = typeof url === 'function' ? url() : url
      const local = typeof adopt === 'function' ? adopt() : adopt
      return async (options) => {
        const asked = typeof headers === 'function' || headers === undefined ? headers : () => headers
        const store = await open({ ...options, ...remote, url: at, headers: asked, clock })
        try {
          const { closed, holdAppends } = syncPartsOf(store)
          if (local !== undefined) {
            const impatience = new AbortController()
            const adopted = adopting(
              () => adoptNamed(local, store, closed, impatience.signal),
              (error) => tellOf(error),
            )
            adoptions.set(store, adopted)
            holdAppends(() => {
              // An append waits for what is on this device, and not for what a network does.
              clock.schedule(patience, () => impatience.abort())
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
    attach(store, runs) {
      // A service worker syncs while an event lasts: see `catchUp`.
      if (!runs && isServiceWorker()) return () => {}
      const handle = startSync(store as SyncedStore, wake === undefined ? {} : { wake })
      handles.set(store, handle)
      return () => handle.stop()
    },
    members(ports, base) {
      tellOf = ports.failed
      return {
        sync: appSync(ports as unknown as SyncedCore, handles),
        ready: () => adopted(base.ready()),
        reopen: () => adopted(base.reopen()),
        append(...given: readonly unknown[]) {
          const at = typeof given[0] === 'string' ? 2 : 1
          return write(given[at] as SyncedUntilOptions, (options) => base.append(...given.slice(0, at), options))
        },
        execute: (command: never, given?: SyncedUntilOptions) =>
          write(given, (options) => base.execute(command, options)),
        catchUp: (options: CatchUpOptions = {}) => catchUp(ports as unknown as SyncedCore, base, handles, options),
      }
    },
  }
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
type SyncedCore = Omit<AppPorts<EventShape>, 'opened' | 'use'> & {
  readonly opened: { readonly store: SyncedStore } | undefined
  use(): Promise<{ readonly store: SyncedStore }>
}

const stopped: SyncStatus = Object.freeze({ ...nothingKnown, status: 'stopped', reason: 'by-hand' })

function appSync(core: SyncedCore, handles: WeakMap<object, SyncHandle>): AppSync {
  const handleOf = (opened: SyncedCore['opened']) => opened && handles.get(opened.store)
  const ask = async <R>(act: (handle: SyncHandle) => Promise<R>): Promise<R> => {
    const { store } = await core.use()
    const running = handles.get(store)
    if (running !== undefined) return act(running)
    const own = startSync(store)
    try {
      return await act(own)
    } finally {
      await own.stop()
    }
  }
  const live = (wanted: (commit: OwnCommit) => boolean) =>
    lazyLive<SyncedStore, readonly OwnCommit[]>(
      {
        view: () => core.opened?.store,
        use: async () => (await core.use()).store,
        of: () => core.of,
        follow: (listener) => core.follow(listener),
        failure: () => core.failure,
        failed: core.failed,
      },
      (store) => liveCommits(store, wanted, core.config.clock),
    )
  const all = live(() => true)
  const refused = live(({ status }) => status === 'refused')
  return {
    status: storeOf(
      core,
      nothingKnown,
      () => handleOf(core.opened)?.status.getSnapshot() ?? (core.phase === 'closed' ? stopped : nothingKnown),
      (opened) => [handleOf(opened)?.status],
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
  handles: WeakMap<object, SyncHandle>,
  options: CatchUpOptions,
): Promise<void> {
  onlyKnown(options, ['budget', 'signal'])
  settle(options, 'batch', false)
  const { store } = await core.use()
  if (handles.has(store)) return base.catchUp(options)
  const { budget, signal } = options
  const { clock } = core.config
  const began = clock.monotonic()
  const maxTime = budget?.maxTime
  try {
    const time =
      maxTime === undefined || maxTime === Infinity ? {} : { budget: { maxTime: Math.max(1, Math.floor(maxTime / 2)) } }
    await syncOnce(store, { ...time, signal })
  } catch (error) {
    if (signal?.aborted !== true) throw error
  } finally {
    const left = maxTime === undefined ? {} : { maxTime: Math.max(1, maxTime - (clock.monotonic() - began)) }
    await base.catchUp({ ...options, budget: { ...budget, ...left } })
  }
}
