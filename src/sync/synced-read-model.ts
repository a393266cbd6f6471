/** The read model of a synced store, with what is pending in it. */
import type { EventShape } from '../events/event.js'
import type { FitsStore, Reads } from '../events/fits.js'
import type { TidemarkStore } from '../log/open.js'
import type { Projection, Tables } from '../read-model/define.js'
import type { Query } from '../read-model/storage.js'
import { openWith, type ReadModelOptions, type ReadModelView } from '../reading/read-model-view.js'
import { readers, type TableReaders } from '../reading/table-readers.js'
import type { ViewCalls } from '../reading/view-calls.js'
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
  return openWith(store as unknown as TidemarkStore<E>, definition, options, (open, { tables, live }) => {
    addPendingRows(tables, { ask: open.ask, live: live as ViewCalls<Tables>['live'] })
    const ofLog = (query: Query): OwnQuery => ({ ...query, confirmed: true })
    return { tables, confirmed: readers(definition.tables, (table, query) => open.ask(table, ofLog(query))) }
  })
}
