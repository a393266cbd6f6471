/** Freeing the space of a read model. */
import { InvalidArgumentError } from '../errors.js'
import { say } from '../messages.js'
import type { EventShape } from '../events/event.js'
import type { FitsStore, Reads } from '../events/fits.js'
import { databaseName } from '../events/names.js'
import { storeInternals, type TidemarkStore } from '../log/open.js'
import { deleteDatabase } from '../platform/connection.js'
import { memoryReadModels } from '../running/shared-storage.js'
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
/** The same, for a definition that is typed by its own events: see `FitsStore`. */
export async function deleteReadModel<
  E extends EventShape,
  T extends Tables,
  Own extends EventShape = E,
  R extends Reads = Reads,
>(store: TidemarkStore<E>, projection: Projection<Own, T, R> & FitsStore<E, Own, R>): Promise<void>
export async function deleteReadModel<E extends EventShape, T extends Tables>(
  store: TidemarkStore<E>,
  projection: Projection<E, T>,
): Promise<void> {
  if (!isDefinition(projection)) throw new InvalidArgumentError('projection', say`must be made by defineProjection.`)
  const parts = storeInternals(store)
  const key = projectionKey(projection)
  if (parts.medium === 'memory') {
    // Rejects once the store is closed.
    await store.head()
    memoryReadModels(parts).empty(key)
  } else {
    await parts.logId()
    await deleteDatabase(databaseName(store.name, key), say`The read model '${key}'`)
  }
  parts.signals.post({ kind: 'control', projection: key })
  parts.signals.post(unknownCommit(key, 0))
}
