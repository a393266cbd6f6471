/** The read model of a synced store, with what is pending in it. */
import { InvalidArgumentError } from '../errors.js'
import type { EventShape } from '../events/event.js'
import type { FitsStore, Reads } from '../events/fits.js'
import { storeInternals, type TidemarkStore } from '../log/open.js'
import { say } from '../messages.js'
import { onlyKnown } from '../platform/arguments.js'
import { systemClock } from '../platform/clock.js'
import { disposable } from '../platform/disposable.js'
import { isDefinition, projectionKey, type Projection, type Tables } from '../read-model/define.js'
import type { Query } from '../read-model/storage.js'
import { openView, type ReadModelOptions, type ReadModelView } from '../reading/read-model-view.js'
import { readers, type TableReaders } from '../reading/table-readers.js'
import { viewCalls, type ViewCalls } from '../reading/view-calls.js'
import type { OwnQuery } from './overlay/merged.js'
import { addPendingRows, type SyncedTables } from './pending-rows.js'
import type { SyncedStore } from './synced-store.js'

/** What a read model of a synced store has in addition. */
export interface ConfirmedRows<T extends Tables> {
  /** The tables once more, as the server's log says it: without what is pending on this device. */
  readonly confirmed: TableReaders<T>
}

/** A read model of a synced store, open for reading: `ReadModel`, and what is pending in it. */
export type SyncedReadModel<T extends Tables> = SyncedTables<T> &
  Omit<ReadModelView<T>, 'tables'> &
  ConfirmedRows<T> & { readonly tables: SyncedTables<T> }

/**
 * Opens the read model of a projection over a synced store: `openReadModel` of `tidemark`, and what is pending in it. Its
 * views show the rows of the server's log with the pending events of this device laid over them.
 *
 * @throws InvalidArgumentError for what `defineProjection` did not make, and for an unknown option
 * @throws DefinitionChangedError as `openReadModel` of `tidemark`
 *
 * @example
 * const view = await openReadModel(store, todos)
 * const rows = await view.todos.getAll()
 * const fromServer = await view.confirmed.todos.getAll()
 */
export async function openReadModel<E extends EventShape, T extends Tables>(
  store: SyncedStore<E>,
  definition: Projection<E, T>,
  options?: ReadModelOptions,
): Promise<SyncedReadModel<T>>
/** The same, for a definition that is typed by its own events: see `FitsStore`. */
export async function openReadModel<
  E extends EventShape,
  T extends Tables,
  Own extends EventShape = E,
  R extends Reads = Reads,
>(
  store: SyncedStore<E>,
  definition: Projection<Own, T, R> & FitsStore<E, Own, R>,
  options?: ReadModelOptions,
): Promise<SyncedReadModel<T>>
export async function openReadModel<E extends EventShape, T extends Tables>(
  store: SyncedStore<E>,
  definition: Projection<E, T>,
  options: ReadModelOptions = {},
): Promise<SyncedReadModel<T>> {
  onlyKnown(options, ['clock'])
  const { clock = systemClock } = options
  storeInternals(store)
  if (!isDefinition(definition)) throw new InvalidArgumentError('projection', say`must come from defineProjection.`)
  const open = await openView(store as unknown as TidemarkStore<E>, definition, clock)
  const { tables, live, close: forget } = viewCalls(definition.tables, projectionKey(definition), open, clock)
  addPendingRows(tables, { ask: open.ask, live: live as ViewCalls<Tables>['live'] })
  const ofLog = (query: Query): OwnQuery => ({ ...query, confirmed: true })
  const confirmed = readers(definition.tables, (table, query) => open.ask(table, ofLog(query)))
  const close = async () => {
    forget()
    open.close()
  }
  return disposable<SyncedReadModel<T>>(
    { ...tables, tables, confirmed, live, position: open.position, close } as unknown as Omit<
      SyncedReadModel<T>,
      typeof Symbol.asyncDispose
    >,
    close,
  )
}
