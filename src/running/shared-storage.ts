/** The storage of a read model, shared by everything in this context that runs or reads it. */
import { ClosedError } from '../errors.js'
import type { EventShape } from '../events/event.js'
import { holdInUse, lockManager } from '../locks/in-use.js'
import { storeInternals, type StoreInternals, type TidemarkStore } from '../log/open.js'
import type { Tap } from '../log/tap.js'
import { say } from '../messages.js'
import { pauseBefore } from '../platform/backoff.js'
import { sleep, type Clock } from '../platform/clock.js'
import { getOrMake } from '../platform/get-or-make.js'
import type { Listeners } from '../platform/listeners.js'
import { pageLifecycle } from '../platform/page-lifecycle.js'
import type { Signals } from '../platform/signals.js'
import { shares } from '../platform/shares.js'
import { isFinal } from '../projection/failures.js'
import { projectionKey, type Projection } from '../read-model/define.js'
import { IndexedDbStorage } from '../read-model/indexeddb/indexeddb-storage.js'
import { inUseName } from '../read-model/indexeddb/old-versions.js'
import type { ReadModels } from '../read-model/read-models.js'
import { RecentCommit } from '../read-model/recent-commit.js'
import { ofAnotherLog, type Commit, type StateRow } from '../read-model/state.js'
import type { ReadModelStorage } from '../read-model/storage.js'
import { useDefinition } from './definitions.js'
import { modelLookout, type Lookout } from './model-lookout.js'

/**
 * The read models of a store that is not in IndexedDB. The store brings their code along, so that bundles without such a
 * store do not contain it.
 */
export const broughtReadModels = (parts: StoreInternals & { readonly medium: 'memory' | 'server' }): ReadModels =>
  parts.readModels as ReadModels

/** The storages that are open, by store and read model: runs and views share one connection. */
const inUse = new WeakMap<StoreInternals, Map<string, SharedStorage>>()

interface SharedStorage extends Pick<ModelLookout, 'state' | 'newest'> {
  readonly storage: ReadModelStorage
  /** The queries of readers, which are reported to those who observe the store. */
  readonly queries: ReadModelStorage['queries']
  readonly recent: RecentCommit
  /** By clock, what reads its state at intervals: one, except in tests. */
  readonly lookouts: WeakMap<Clock, ModelLookout>
  /** Takes a share. */
  readonly hold: () => () => void
}

/** Before another log is noted again where that failed, ms. */
const notingPauses = { delay: 100, maxDelay: 30_000 }

/** What everything in this context shares that reads or runs one read model. */
export interface ModelLookout {
  /** Not a share of it: it closes when the last share does. */
  readonly storage: ReadModelStorage
  readonly state: ReadModelStorage['state']
  readonly queries: ReadModelStorage['queries']
  /** The revision that readers see, as far as this context knows: hints of it may not be here yet. */
  readonly newest: () => number
  /** The rows of this context's last commit. */
  readonly recent: Pick<RecentCommit, 'readers' | 'answer' | 'forget'>
  readonly watch: Lookout<StateRow>
  /** Calls back with the hints of the store. Returns how to stop that. */
  readonly listen: Signals['listen']
}

/** A share in the storage of a read model. */
export interface OpenStorage {
  readonly storage: ReadModelStorage
  /** See `InUse`. */
  readonly waiting: Listeners<[]>
  lookout(clock: Clock): ModelLookout
}

/** Opens the storage of a read model, and keeps it from being removed until it is closed. */
export async function openStorage<E extends EventShape>(
  store: TidemarkStore<E>,
  definition: Projection<E>,
): Promise<OpenStorage> {
  const parts = storeInternals(store)
  const erased = definition as unknown as Projection
  // Synchronously: the first caller's definition is the first one.
  const { waiting, release } = useDefinition(store.name, parts, erased)
  try {
    // The app asks: one try immediately, whatever failed before.
    if (parts.medium === 'indexeddb') await parts.connection.open({ urgent: true })
    const log = await parts.logId()
    const shared = sharedStorage(store, parts, erased, log)
    return {
      storage: use(shared, projectionKey(erased), release),
      waiting,
      lookout: (clock) => lookoutOf(shared, parts, clock),
    }
  } catch (error) {
    release()
    throw error
  }
}

function sharedStorage<E extends EventShape>(
  store: TidemarkStore<E>,
  parts: StoreInternals,
  definition: Projection,
  log: string,
): SharedStorage {
  const key = projectionKey(definition)
  const all = getOrMake(inUse, parts, () => new Map<string, SharedStorage>())
  return getOrMake(all, key, () => {
    const onDevice = parts.medium === 'indexeddb'
    const letGo = onDevice ? holdInUse(lockManager(), inUseName(store.name, key), pageLifecycle()) : () => {}
    const storage = onDevice
      ? new IndexedDbStorage(store.name, definition, log, () => store.head())
      : broughtReadModels(parts).open(definition, log)
    let read: StateRow | undefined
    return {
      storage,
      queries: toldQueries(storage, key, parts.tap),
      recent: new RecentCommit(),
      state: async () => (read = await storage.state()),
      newest: () => read?.stamp?.revision ?? 0,
      lookouts: new WeakMap(),
      hold: shares(() => {
        all.delete(key)
        storage.close()
        letGo()
      }),
    }
  })
}

/**
 * The log was taken back, and has another id. A raised epoch ends the runs of every tab, also of those that have nothing
 * to commit; they begin again, and what their rows were folded from decides what stays of them.
 */
export function logChanged(store: object, log: string, clock: Clock): void {
  const parts = storeInternals(store)
  for (const [key, { storage }] of inUse.get(parts) ?? [])
    void noteLog(storage, log, clock).then(() => parts.signals.post({ kind: 'control', projection: key }))
}

/** Resolves once it is noted, or never can be: a run that begins finds out by itself. */
async function noteLog(storage: ReadModelStorage, log: string, clock: Clock): Promise<void> {
  for (let failures = 0; ; failures += 1) {
    try {
      await storage.move(say`noting another log of`, (before) => ({ after: ofAnotherLog(before, log) }))
      return
    } catch (error) {
      if (isFinal(error)) return
      // A run with nothing to commit would not notice.
      await sleep(clock, pauseBefore(failures, notingPauses))
    }
  }
}

const lookoutOf = (
  { storage, queries, recent, state, newest, lookouts }: SharedStorage,
  { signals }: StoreInternals,
  clock: Clock,
): ModelLookout =>
  getOrMake(lookouts, clock, () => ({
    storage,
    listen: signals.listen,
    state,
    queries,
    newest,
    recent,
    watch: modelLookout(state, clock),
  }))

/** A share in a storage. Once closed, its calls are rejected; closing the last share closes the storage. */
function use(shared: SharedStorage, key: string, release: () => void): ReadModelStorage {
  const label = say`The read model '${key}'`
  let closed = false
  const letGo = shared.hold()
  const close = () => {
    if (closed) return
    closed = true
    release()
    letGo()
  }
  return new Proxy(shared.storage, {
    get: (storage, name: keyof ReadModelStorage) => {
      if (name === 'close') return close
      const method: unknown = storage[name]
      // `then`, among others: a promise that is resolved with a share looks for it.
      if (typeof method !== 'function') return method
      if (closed) return () => Promise.reject(new ClosedError(label))
      if (name === 'queries') return shared.queries
      if (name === 'state') return shared.state
      if (name === 'commit')
        return async (change: Commit) => {
          const moved = await storage.commit(change)
          shared.recent.committed(change, moved)
          return moved
        }
      return method.bind(storage)
    },
  })
}

/** A run, which names the slot that it works on, is no reader. */
const toldQueries =
  (storage: ReadModelStorage, readModel: string, tap: Tap): ReadModelStorage['queries'] =>
  (asked, slot) =>
    slot !== undefined
      ? storage.queries(asked, slot)
      : tap.around(
          () => storage.queries(asked),
          ({ values }) => ({
            type: 'queried',
            readModel,
            tables: [...new Set(asked.map(({ table }) => table))],
            rows: values.reduce<number>(
              (sum, value) => sum + (Array.isArray(value) ? value.length : value === undefined ? 0 : 1),
              0,
            ),
          }),
          (error) => ({ type: 'storage-failed', what: 'querying', error }),
        )
