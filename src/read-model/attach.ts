/** Joins a projection to its store: the storage of its read model, and the ports that a run needs. */
import { holdInUse, lockManager } from '../coordination/in-use.js'
import { ClosedError, InvalidArgumentError } from '../errors.js'
import type { EventShape, RecordedEvent } from '../events/event.js'
import { databaseName } from '../events/names.js'
import type { EventReader } from '../log/event-store.js'
import { storeInternals, type StoreInternals, type TidemarkStore } from '../log/open.js'
import { pageLifecycle } from '../platform/page-lifecycle.js'
import type { Signals } from '../platform/signals.js'
import type { Backend, LeadershipHints } from '../projection/leadership.js'
import type { ProjectionControls, ProjectionTarget } from '../projection/target.js'
import { projectionKey, type ProjectionDefinition } from './define.js'
import { fingerprintOf } from './fingerprint.js'
import { IndexedDbStorage } from './indexeddb-storage.js'
import type { MemoryReadModels } from './memory-storage.js'
import type { ReadModelStorage } from './storage.js'
import { readModelTarget } from './target.js'

/** The lock that says that a read model is in use. */
export const inUseName = (store: string, key: string): string => `${databaseName(store, key)}:in-use`

/** The read models of a store in memory, which brings them along: so only the bundles that have such a store hold their code. */
export const memoryReadModels = (parts: StoreInternals & { readonly medium: 'memory' }): MemoryReadModels => parts.readModels as MemoryReadModels

/** The storages that are open, by store and read model: those who run it and those who read it share one connection. */
const inUse = new WeakMap<StoreInternals, Map<string, SharedStorage>>()

interface SharedStorage {
  readonly storage: ReadModelStorage
  users: number
  end(): void
}

/** Opens the storage of a read model, and keeps it from being removed until it is closed. */
export async function openStorage<E extends EventShape>(store: TidemarkStore<E>, definition: ProjectionDefinition<E>): Promise<ReadModelStorage> {
  const parts = storeInternals(store)
  const erased = definition as unknown as ProjectionDefinition
  const log = await parts.identity()
  if (parts.medium === 'memory') return memoryReadModels(parts).open(erased, log)
  const key = projectionKey(definition)
  let all = inUse.get(parts)
  if (all === undefined) inUse.set(parts, (all = new Map()))
  // Tables that were declared differently are refused by whoever opens them.
  const one = `${key} ${fingerprintOf(erased)}`
  let shared = all.get(one)
  if (shared === undefined) {
    const release = holdInUse(lockManager(), inUseName(store.name, key), pageLifecycle())
    const storage = new IndexedDbStorage(store.name, erased, log, () => store.head())
    all.set(one, (shared = {
      storage, users: 0,
      end: () => {
        all.delete(one)
        storage.close()
        release()
      },
    }))
  }
  return use(shared, `The read model '${key}'`)
}

/** A share in a storage. Closed, it answers nothing any more, and the last one closes the storage. */
function use(shared: SharedStorage, label: string): ReadModelStorage {
  let closed = false
  shared.users += 1
  const close = () => {
    if (closed) return
    closed = true
    shared.users -= 1
    if (shared.users === 0) shared.end()
  }
  return new Proxy(shared.storage, {
    get: (storage, name: keyof ReadModelStorage) => {
      if (name === 'close') return close
      const method: unknown = storage[name]
      // A promise that is resolved with it asks whether it is one, too.
      if (typeof method !== 'function') return method
      return closed ? () => Promise.reject(new ClosedError(label)) : method.bind(storage)
    },
  })
}

/** A projection joined to its store. Closing the target lets go of everything. */
export interface Attached<E extends EventShape> {
  readonly target: ProjectionTarget<E> & ProjectionControls
  readonly backend: Backend<E>
}

/** Joins a read model to its store. */
export async function attach<E extends EventShape>(definition: ProjectionDefinition<E>, store: TidemarkStore<E>): Promise<Attached<E>> {
  const { signals } = storeInternals(store)
  const key = projectionKey(definition)
  const storage = await openStorage(store, definition)
  const target = readModelTarget(definition, storage, {
    head: () => store.head(),
    event: eventFinder(store),
    committed: (position, tables) => signals.post({ kind: 'committed', projection: key, position, tables }),
    changed: () => signals.post({ kind: 'control', projection: key }),
  })
  return { target, backend: backendOf(store, key, signals) }
}

/** What a run needs of a store, under the key of its projection. */
export function backendOf<E extends EventShape>(store: TidemarkStore<E>, key: string, signals: Signals): Backend<E> {
  const hints: LeadershipHints = {
    post: (kind) => signals.post({ kind, projection: key }),
    listen: (listener) => signals.listen((hint) => {
      if ((hint.kind === 'hidden-leader' || hint.kind === 'candidate') && hint.projection === key) listener(hint.kind)
    }),
  }
  const parts = storeInternals(store)
  return {
    reader: store,
    coordinator: store,
    onStorage: parts.medium === 'indexeddb' ? parts.onStorage : undefined,
    lifecycle: pageLifecycle(),
    hints,
    onControl: (listener) => signals.listen((hint) => {
      if (hint.kind === 'control' && hint.projection === key) listener()
    }),
    onHint: (listener) => signals.listen((hint) => {
      if (hint.kind === 'head') listener(hint.head)
    }),
  }
}

/** Finds one event. The answer rejects with InvalidArgumentError if it is not in the log. */
export function eventFinder<E extends EventShape>(reader: EventReader<E>): (position: number) => Promise<RecordedEvent<E>> {
  return async (position) => {
    const { events } = await reader.readEvents({}, { after: position - 1, limit: 1 })
    const event = events[0]
    if (event === undefined || event.position !== position) throw new InvalidArgumentError('letter', 'names an event that is not in the log.')
    return event
  }
}
