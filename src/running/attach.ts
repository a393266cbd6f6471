/** Joins a projection to its store: the storage of its read model, and the ports that a run needs. */
import { holdInUse, lockManager } from '../locks/in-use.js'
import { ClosedError, InvalidArgumentError } from '../errors.js'
import { say } from '../messages.js'
import type { EventShape, RecordedEvent } from '../events/event.js'
import type { EventReader } from '../log/event-store.js'
import { storeInternals, type StoreInternals, type TidemarkStore } from '../log/open.js'
import type { Listeners } from '../platform/listeners.js'
import type { OpenOptions } from '../platform/opening-tries.js'
import { pageLifecycle } from '../platform/page-lifecycle.js'
import type { ProjectorOptions } from '../projection/config.js'
import type { LeadershipHints } from '../projection/hand-over.js'
import type { Backend } from '../projection/leadership.js'
import { PlainTarget } from '../projection/plain.js'
import type { Projector } from '../projection/projector.js'
import type { ProjectionControls, ProjectionTarget } from '../projection/target.js'
import { isDefinition, projectionKey, type Projection } from '../read-model/define.js'
import { useDefinition } from './definitions.js'
import { IndexedDbStorage } from '../read-model/indexeddb/indexeddb-storage.js'
import type { MemoryReadModels } from '../read-model/memory/memory-storage.js'
import { inUseName } from '../read-model/indexeddb/old-versions.js'
import type { ReadModelStorage } from '../read-model/storage.js'
import { readModelTarget } from './read-model-target.js'

/** The read models of a store in memory, which brings them along: so only the bundles that have such a store hold their code. */
export const memoryReadModels = (parts: StoreInternals & { readonly medium: 'memory' }): MemoryReadModels =>
  parts.readModels as MemoryReadModels

/** The storages that are open, by store and read model: those who run it and those who read it share one connection. */
const inUse = new WeakMap<StoreInternals, Map<string, SharedStorage>>()

interface SharedStorage {
  readonly storage: ReadModelStorage
  users: number
  end(): void
}

/** Opens the storage of a read model, and keeps it from being removed until it is closed. `waiting`: see `InUse`. */
export async function openStorage<E extends EventShape>(
  store: TidemarkStore<E>,
  definition: Projection<E>,
): Promise<{ readonly storage: ReadModelStorage; readonly waiting: Listeners<[]> }> {
  const parts = storeInternals(store)
  const erased = definition as unknown as Projection
  // Synchronously: the first caller's definition is the first one.
  const { waiting, release } = useDefinition(store.name, parts, erased)
  try {
    // The app asks: one try at once, whatever failed before.
    if (parts.medium === 'indexeddb') await parts.connection.open({ urgent: true })
    const log = await parts.logId()
    return {
      storage: use(sharedStorage(store, parts, erased, log), say`The read model '${projectionKey(erased)}'`, release),
      waiting,
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
  if (parts.medium === 'memory') {
    const storage = memoryReadModels(parts).open(definition, log)
    return { storage, users: 0, end: () => storage.close() }
  }
  const key = projectionKey(definition)
  let all = inUse.get(parts)
  if (all === undefined) inUse.set(parts, (all = new Map()))
  let shared = all.get(key)
  if (shared === undefined) {
    const others = all
    const letGo = holdInUse(lockManager(), inUseName(store.name, key), pageLifecycle())
    const storage = new IndexedDbStorage(store.name, definition, log, () => store.head())
    all.set(
      key,
      (shared = {
        storage,
        users: 0,
        end: () => {
          others.delete(key)
          storage.close()
          letGo()
        },
      }),
    )
  }
  return shared
}

/** A share in a storage. Closed, it answers nothing any more, and the last one closes the storage. */
function use(shared: SharedStorage, label: string, release: () => void): ReadModelStorage {
  let closed = false
  shared.users += 1
  const close = () => {
    if (closed) return
    closed = true
    release()
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
  /** The app asks for something: runs of this context that wait after a failure of the storage try again at once. */
  retryNow(): void
}

/**
 * Joins a projection to its store.
 *
 * @throws InvalidArgumentError, InvalidNameError at once for what is no projector
 * @throws DefinitionChangedError if another definition of that name is in use in this context
 */
export function attach<E extends EventShape, C>(
  projector: Projection<E> | Projector<E, C>,
  store: TidemarkStore<E>,
  options: ProjectorOptions<C>,
): Promise<Attached<E>> {
  if (isDefinition(projector)) return attachModel(projector as unknown as Projection<E>, store)
  return attachPlain(projector as Projector<E, C>, store, options)
}

async function attachModel<E extends EventShape>(
  definition: Projection<E>,
  store: TidemarkStore<E>,
): Promise<Attached<E>> {
  const { signals } = storeInternals(store)
  const key = projectionKey(definition)
  const { storage, waiting } = await openStorage(store, definition)
  const target = readModelTarget(definition, storage, {
    head: () => store.head(),
    event: eventFinder(store),
    committed: (position, tables) => signals.post({ kind: 'committed', projection: key, position, tables }),
    changed: () => signals.post({ kind: 'control', projection: key }),
  })
  return attached(store, target, waiting, (how) => storage.open(how))
}

/** A plain projector reports its controls and commits to other contexts, as a read model does. */
function attachPlain<E extends EventShape, C>(
  projector: Projector<E, C>,
  store: TidemarkStore<E>,
  options: ProjectorOptions<C>,
): Promise<Attached<E>> {
  const parts = storeInternals(store)
  const { signals } = parts
  let close = () => {}
  const target = new PlainTarget(projector, store.checkpoints, options, {
    event: eventFinder(store),
    committed: (position) => signals.post({ kind: 'committed', projection: target.key, position, tables: [] }),
    changed: () => signals.post({ kind: 'control', projection: target.key }),
    close: () => close(),
  })
  const join = async () => {
    const { waiting, release } = useDefinition(store.name, parts, projector as unknown as Projector<never>)
    close = release
    return attached(store, target, waiting)
  }
  return join()
}

/** The target with what a run needs of its store. */
function attached<E extends EventShape>(
  store: TidemarkStore<E>,
  target: Attached<E>['target'],
  waiting: Listeners<[]>,
  openRows?: (how: OpenOptions) => Promise<unknown>,
): Attached<E> {
  const parts = storeInternals(store)
  const { signals } = parts
  const { key } = target
  const hints: LeadershipHints = {
    post: (kind) => signals.post({ kind, projection: key }),
    listen: (listener) =>
      signals.listen((hint) => {
        if ((hint.kind === 'hidden-leader' || hint.kind === 'candidate') && hint.projection === key) listener(hint.kind)
      }),
  }
  const backend: Backend<E> = {
    reader: store,
    coordinator: store.coordinator,
    lifecycle: pageLifecycle(),
    hints,
    onStorage: parts.medium === 'indexeddb' ? parts.onStorage : undefined,
    onControl: (listener) =>
      signals.listen((hint) => {
        if (hint.kind === 'control' && hint.projection === key) listener()
      }),
    onHint: (listener) =>
      signals.listen((hint) => {
        if (hint.kind === 'head') listener(hint.head)
      }),
    reopen: (how) => Promise.all([parts.medium === 'indexeddb' && parts.connection.open(how), openRows?.(how)]),
    onRetryNow: waiting.add,
  }
  return { target, backend, retryNow: waiting.tell }
}

/** Finds one event. The answer rejects with InvalidArgumentError if it is not in the log. */
function eventFinder<E extends EventShape>(reader: EventReader<E>): (position: number) => Promise<RecordedEvent<E>> {
  return async (position) => {
    const { events } = await reader.readPage({ after: position - 1, limit: 1 })
    const event = events[0]
    if (event === undefined || event.position !== position)
      throw new InvalidArgumentError('letter', say`names an event that is not in the log.`)
    return event
  }
}
