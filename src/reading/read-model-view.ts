/** `openReadModel`: reading a read model in any context, and live queries over it. */
import { InvalidArgumentError } from '../errors.js'
import type { EventShape } from '../events/event.js'
import type { FitsStore, Reads } from '../events/fits.js'
import { storeInternals, type TidemarkStore } from '../log/open.js'
import { say } from '../messages.js'
import { onlyKnown } from '../platform/arguments.js'
import { systemClock, type Clock } from '../platform/clock.js'
import { disposable } from '../platform/disposable.js'
import { isDefinition, projectionKey, type Projection, type Tables } from '../read-model/define.js'
import type { LiveQuery } from './live-query.js'
import type { LiveTables } from './live-tables.js'
import { openView, type OpenView } from './open-view.js'
import type { QueryTables } from './table-readers.js'
import { viewCalls, type ViewCalls } from './view-calls.js'

/** What a read model has in addition to its tables. */
export interface ReadModelView<T extends Tables> {
  /**
   * The tables once more, for generic code: `view.tables.baskets` is `view.baskets`.
   *
   * @example
   * for (const [name, table] of Object.entries(view.tables)) console.log(name, await table.count())
   */
  readonly tables: LiveTables<T>
  /**
   * A query over several tables, or with code of its own, that runs while it is used, and after every commit that touched
   * what it read, in any context. For the rows of one table `view.table.live(options)` is shorter. Everything that one
   * run reads belongs to one commit: if commits came between its reads, it runs again, and until that succeeds the
   * answer before stays, `stale`. Once the view is closed, its snapshot is an `'error'` with a ClosedError and the last
   * answer.
   *
   * Each call makes a query, so call it outside of components, or with a key.
   *
   * @param query reads the tables that it is given; what it returns should be plain data, so that equal parts can stay
   * the same objects
   *
   * @example
   * const both = view.live(async ({ baskets, totals }) => ({ open: await baskets.count(), all: await totals.getAll() }))
   */
  live<V>(query: (tables: QueryTables<T>) => V | Promise<V>): LiveQuery<Readonly<V>>
  /**
   * The same, anywhere: equal keys return the same live query as long as it is used, see `LiveTable`. The first call
   * decides what it runs, so the key must hold every value that `query` takes from around it.
   *
   * @param key a list of strings, numbers, booleans, Dates, bytes, and of lists and plain objects of those
   * @throws InvalidArgumentError for anything else in the key
   *
   * @example
   * const summary = view.live(['summary', id], async ({ baskets }) => summaryOf(await baskets.get(id)))
   */
  live<V>(key: readonly unknown[], query: (tables: QueryTables<T>) => V | Promise<V>): LiveQuery<Readonly<V>>
  /** Every event up to this position is in the rows. */
  position(): Promise<number>
  /** Ends reading and every live query of this view. */
  close(): Promise<void>
  /** The same as `close`, for `await using`. */
  [Symbol.asyncDispose](): Promise<void>
}

/** A read model, open for reading: its tables by name, and more. */
export type ReadModel<T extends Tables> = LiveTables<T> & ReadModelView<T>

/** What `openReadModel` takes. */
export interface ReadModelOptions {
  /** For tests: drives the pauses and limits of live queries. @default the clock of this context */
  readonly clock?: Clock
}

/**
 * Opens the read model of a projection for reading. Any context may run the projection, and the rows need not be
 * complete: see `position`.
 *
 * @throws InvalidArgumentError for what `defineProjection` did not make, and for an unknown option
 * @throws DefinitionChangedError if its tables, event types or filter were declared differently under the same version,
 * or another definition of its name and version is in use in this context
 *
 * @example
 * const view = await openReadModel(store, basket)
 * const row = await view.baskets.get('basket-1')
 * const open = view.live(({ baskets }) => baskets.count())
 */
export async function openReadModel<E extends EventShape, T extends Tables>(
  store: TidemarkStore<E>,
  definition: Projection<E, T>,
  options?: ReadModelOptions,
): Promise<ReadModel<T>>
/** The same, for a definition that is typed by its own events: see `FitsStore`. */
export async function openReadModel<
  E extends EventShape,
  T extends Tables,
  Own extends EventShape = E,
  R extends Reads = Reads,
>(
  store: TidemarkStore<E>,
  definition: Projection<Own, T, R> & FitsStore<E, Own, R>,
  options?: ReadModelOptions,
): Promise<ReadModel<T>>
export async function openReadModel<E extends EventShape, T extends Tables>(
  store: TidemarkStore<E>,
  definition: Projection<E, T>,
  options: ReadModelOptions = {},
): Promise<ReadModel<T>> {
  return openWith(store, definition, options)
}

/**
 * What every `openReadModel` does: checks, opens, and gives the app its members.
 *
 * @param more members that a view of this kind has in addition
 */
export async function openWith<E extends EventShape, T extends Tables, View extends ReadModelView<T>>(
  store: TidemarkStore<E>,
  definition: Projection<E, T>,
  options: ReadModelOptions,
  more?: (open: OpenView<T>, calls: ViewCalls<T>) => object,
): Promise<View> {
  onlyKnown(options, ['clock'])
  const { clock = systemClock } = options
  storeInternals(store)
  if (!isDefinition(definition)) throw new InvalidArgumentError('projection', say`must come from defineProjection.`)
  const open = await openView(store, definition, clock)
  const calls = viewCalls(definition.tables, projectionKey(definition), open, clock)
  const { tables, live } = calls
  const close = async () => {
    calls.close()
    open.close()
  }
  return disposable<View>(
    { ...tables, tables, live, position: open.position, close, ...more?.(open, calls) } as unknown as Omit<
      View,
      typeof Symbol.asyncDispose
    >,
    close,
  )
}
