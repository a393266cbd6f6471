/** Freeing the space of a read model. */
import { AlreadyRunningError, InvalidArgumentError } from '../errors.js'
import { say } from '../messages.js'
import type { EventShape } from '../events/event.js'
import type { FitsStore, Reads } from '../events/fits.js'
import { databaseName, projectionName } from '../events/names.js'
import { ifUnused, lockManager } from '../locks/in-use.js'
import { storeInternals, type StoreInternals, type TidemarkStore } from '../log/open.js'
import { onlyKnown, wholeNumber } from '../platform/arguments.js'
import { deleteDatabase } from '../platform/connection.js'
import { inUseName } from '../read-model/indexeddb/old-versions.js'
import { isUsed } from '../running/definitions.js'
import { broughtReadModels } from '../running/shared-storage.js'
import type { StoredReadModel } from './list.js'
import { unknownCommit } from '../read-model/committed-hint.js'
import { isDefinition, projectionKey, type Projection, type Tables } from '../read-model/define.js'

/**
 * Deletes what is stored of a read model: rows, checkpoint and dead letters. The log stays, so nothing is lost that
 * cannot be folded again: the next `runProjection`, `startProjection` or `openReadModel` begins with no rows. For when
 * storage runs short (`StorageFullError`), and for read models that an app no longer needs.
 *
 * A projection that runs, in any tab, immediately begins again: call its `stop()` first if the space shall stay free.
 * What was set by hand is deleted with the rows: waiting dead letters, skipped events, and that the projection was
 * paused.
 *
 * @throws InvalidArgumentError for what `defineProjection` did not make
 * @throws StorageBusyError if another tab keeps it open for 30 s: it is then deleted once that tab closes it, or is
 * closed
 * @throws StorageLostError, ClosedError where the store is gone or closed
 */
export async function deleteReadModel<E extends EventShape, T extends Tables>(
  store: TidemarkStore<E>,
  projection: Projection<E, T>,
): Promise<void>
/**
 * The same by name and version, for what the code no longer defines: see `listReadModels`.
 *
 * @throws AlreadyRunningError if a tab or worker runs or reads it: nothing is deleted. Where there are no Web Locks only
 * this context is asked
 * @throws InvalidArgumentError, InvalidNameError for what is no name and version
 */
export async function deleteReadModel<E extends EventShape>(
  store: TidemarkStore<E>,
  // A definition has tables: one that does not fit the store is not taken for a name.
  stored: Pick<StoredReadModel, 'name' | 'version'> & { readonly tables?: never },
): Promise<void>
/** The same, for a definition that is typed by its own events: see `FitsStore`. */
export async function deleteReadModel<
  E extends EventShape,
  T extends Tables,
  Own extends EventShape = E,
  R extends Reads = Reads,
>(store: TidemarkStore<E>, projection: Projection<Own, T, R> & FitsStore<E, Own, R>): Promise<void>
export async function deleteReadModel<E extends EventShape, T extends Tables>(
  store: TidemarkStore<E>,
  projection: Projection<E, T> | Pick<StoredReadModel, 'name' | 'version'>,
): Promise<void> {
  const parts = storeInternals(store)
  const isDefined = isDefinition(projection)
  if (!isDefined) assertStored(projection)
  const key = projectionKey(projection)
  const free = async () => {
    if (parts.medium !== 'indexeddb') await broughtReadModels(parts).remove(key)
    else await deleteDatabase(databaseName(store.name, key), say`The read model '${key}'`)
  }
  // Rejects once the store is closed, or lost.
  await (parts.medium === 'indexeddb' ? parts.logId() : store.head())
  if (isDefined) await free()
  else await ifNotUsed(store, parts, key, free)
  parts.signals.post({ kind: 'control', projection: key })
  parts.signals.post(unknownCommit(key, 0))
}

/** @throws InvalidArgumentError, InvalidNameError */
function assertStored(stored: unknown): asserts stored is Pick<StoredReadModel, 'name' | 'version'> {
  onlyKnown(stored ?? null, ['name', 'version', 'position', 'deadLetterCount', 'inUse'], 'projection')
  const { name, version } = stored as StoredReadModel
  if (name === undefined || version === undefined)
    throw new InvalidArgumentError('projection', say`must come from defineProjection, or have a name and a version.`)
  projectionName(name)
  wholeNumber(version, 'projection.version', 1)
}

/** Frees what no context uses. @throws AlreadyRunningError if one does */
async function ifNotUsed<E extends EventShape>(
  store: TidemarkStore<E>,
  parts: StoreInternals,
  key: string,
  free: () => Promise<void>,
): Promise<void> {
  let freed = false
  const work = async () => {
    freed = true
    await free()
  }
  const locks = parts.medium === 'indexeddb' ? lockManager() : undefined
  if (isUsed(store.name, parts, key)) freed = false
  else if (locks === undefined) await work()
  else await ifUnused(locks, inUseName(store.name, key), work)
  if (!freed)
    throw new AlreadyRunningError(
      key,
      say`The read model '${key}' is in use: a tab or worker runs it or reads it. Close that, and try again.`,
    )
}
