/** Declaring a projection with its read model: tables, handlers, and the version that names its database. */
import { InvalidArgumentError } from '../errors.js'
import { say } from '../messages.js'
import { catalogueCore } from '../events/catalogue.js'
import type { EventCatalogue, EventOfType } from '../events/catalogue-types.js'
import type { StandardSchema } from '../events/schema.js'
import type { EventShape, RecordedEvent } from '../events/event.js'
import type { Reads } from '../events/fits.js'
import type { Literal, Literals } from '../events/literals.js'
import { eventType, projectionName } from '../events/names.js'
import type { EventFilter } from '../log/event-store.js'
import { compileFilter } from '../log/filter.js'
import { onlyKnown, wholeNumber } from '../platform/arguments.js'
import type { FailureContext, ReadModelFailureStrategy } from '../projection/target.js'
import type { CheckedIndexes, IndexPaths, TableKey } from './index-paths.js'
import { isKeyPath, type RowKey } from './keys.js'
import type { QueryOptions } from './selection.js'
import { assertTableName, type ReservedProblem } from './reserved-names.js'
import { isObject } from '../platform/objects.js'
import type { KeysIn, TableKeys } from './table-keys.js'

declare const rowType: unique symbol
declare const reads: unique symbol

/** A table of a read model: an object store. */
export interface TableDefinition<Row = Record<string, unknown>> {
  /**
   * The property that is the key, or several that are it together: a string, a finite number or a Date in every row.
   */
  readonly key: string | readonly string[]
  /**
   * Index name to the property it sorts by, or to several of them: strings, numbers, Dates or bytes. A row that lacks
   * one of the properties is not in the index. A boolean, `null` or an object leaves the row out as well, and a list is
   * found only as a whole: both are warned of in the console, once for each index. `{ path, multiEntry: true }` finds a
   * row by each item of a list, and `{ path, unique: true }` makes an event fail that leaves two rows with the same
   * there, whatever it does in between. Every row is then a record of its
   * own; without an index up to 64 neighbours share one, which makes commits of many rows several times as fast.
   * @default none
   */
  readonly indexes?: IndexPaths
  /**
   * Checks every row that is put, and gives it its type: a row that is put is of the type of the schema's output. It
   * may tidy the row (defaults, trimmed strings, keys left out), which is stored as it returns it, but must leave its
   * own output as it is, because rows that were read are put again. Must be synchronous. @default anything is accepted
   */
  readonly schema?: StandardSchema<unknown, Row>
  readonly [rowType]?: Row
}

/** Tables by name. */
export type Tables = { readonly [name: string]: TableDefinition<never> | TableDefinition<unknown> }

/** The type of the rows of a table: of its schema, or of `table<Row>`. */
export type RowOf<T> = T extends { readonly schema: StandardSchema<unknown, infer Row> }
  ? Row
  : T extends { readonly [rowType]?: infer Row }
    ? NonNullable<Row>
    : Record<string, unknown>

/** The types of the keys of a table and of its indexes, as far as they are known. */
export type KeysOf<T> = KeysIn<RowOf<T>, T>

/** A table whose rows and indexes are known. */
export type TypedTable<Row, Indexes = {}, Key = string | readonly string[]> = Omit<
  TableDefinition<Row>,
  'key' | 'indexes'
> & { readonly key: Key; readonly indexes: Indexes }

/** What `table<Row>()` takes. */
export interface TableSpec<Row, Indexes, Key = TableKey<Row>> {
  /** See {@link TableDefinition.key}. A row of several is found by the list of them: `get(['basket-1', 'A1'])`. */
  readonly key: Key
  /** See {@link TableDefinition.indexes}. */
  readonly indexes?: Indexes
  /** See {@link TableDefinition.schema}. */
  readonly schema?: StandardSchema<unknown, Row>
}

/**
 * Gives a table the type of its rows: `table<Airport>()({ key: 'code', indexes: { byDelay: 'delay' } })`, or, where
 * there are no indexes, `table<Airport>({ key: 'code' })`. A table with a `schema` needs neither: that says what its
 * rows are.
 */
// Two calls, because TypeScript infers all type parameters of a call or none: one gives the rows, the other finds the
// names of the indexes.
export function table<Row>(): <
  const Indexes extends CheckedIndexes<Row, Indexes> = {},
  const Key extends TableKey<Row> = TableKey<Row>,
>(
  definition: TableSpec<Row, Indexes, Key>,
) => TypedTable<Row, Indexes extends infer Known ? Known : never, Key>
export function table<Row>(definition: {
  readonly key: TableKey<Row>
  readonly schema?: StandardSchema<unknown, Row>
  readonly indexes?: 'Write table<Row>()({ key, indexes }), which knows the names of the indexes'
}): TypedTable<Row>
export function table(definition?: unknown): unknown {
  return definition ?? ((given: unknown) => given)
}

/** Tables whose names are free, and those with a schema compared with its rows. */
export type CheckedTables<T> = {
  readonly [N in keyof T]: [ReservedProblem<N>] extends [never]
    ? T[N] extends { readonly schema: StandardSchema<unknown, infer Row> }
      ? { readonly key: TableKey<Row> } & (T[N] extends { readonly indexes: infer Indexes }
          ? { readonly indexes: CheckedIndexes<Row, Indexes> }
          : unknown)
      : unknown
    : ReservedProblem<N>
}

/** Some properties of a row, without its key. */
export type ChangesOf<Row, Keys extends TableKeys = TableKeys> = Row extends unknown
  ? Readonly<Partial<string extends Keys['keyNames'] ? Row : Omit<Row, Keys['keyNames']>>>
  : never

/** A table as a handler sees it. Rows are frozen: put a changed copy. */
export interface TableWriter<Row, Keys extends TableKeys = TableKeys> {
  /** The row as earlier events and this one left it. */
  get(key: RowKey): Promise<Row | undefined>
  /** The rows of keys, in the order of the keys: `undefined` where there is none. */
  getMany(keys: readonly RowKey[]): Promise<(Row | undefined)[]>
  /**
   * Rows as earlier events and this one left them, in the order of the key or of `index`, as a reader's `getAll`. Reads
   * the storage, so declare an index for what many events ask.
   *
   * @throws InvalidArgumentError as a reader's `getAll`
   *
   * @example
   * CategoryRenamed: async ({ data }, { todos }) => {
   *   for (const todo of await todos.getAll({ index: 'byCategory', range: data.from }))
   *     todos.put({ ...todo, category: data.to })
   * }
   */
  getAll(options?: QueryOptions<Keys, Row>): Promise<Row[]>
  /**
   * Stores a copy of the row: it may be changed afterwards.
   *
   * @throws InvalidArgumentError for a row without a proper key, one that the table's schema refuses or would change
   * each time it is put, and one that cannot be stored, with the path of what is wrong in it
   */
  put(row: Row): void
  /** Puts what `change` makes of the row; deletes it if that is `null`. */
  update(key: RowKey, change: (row: Row | undefined) => Row | null): Promise<void>
  /**
   * Puts the row with some of its properties changed, as `{ ...row, ...changes }`: what is within a property is replaced
   * and not merged. Does nothing if there is no row. The key stays.
   *
   * @returns whether there is a row
   *
   * @example
   * Done: ({ data }, { todos }) => todos.patch(data.id, { done: 1 }),
   */
  patch(key: RowKey, changes: ChangesOf<Row, Keys>): Promise<boolean>
  delete(key: RowKey): void
}

/** The tables of a read model as a handler sees them. */
export type TableWriters<T extends Tables> = { readonly [N in keyof T]: TableWriter<RowOf<T[N]>, KeysOf<T[N]>> }

/** Handlers by event type. They may await anything: no transaction is open while they run. */
export type Handlers<E extends EventShape, T extends Tables> = {
  readonly [N in E['type']]?: (
    event: RecordedEvent<EventOfType<E, N>>,
    tables: TableWriters<T>,
  ) => void | Promise<unknown>
}

/** The short form for events that touch one row of a table: which row, and what becomes of it. */
export interface TableFold<E extends EventShape, Row, Next = Row | null> {
  /** The key of the row that an event touches; `undefined` if it touches none. */
  key(event: RecordedEvent<E>): RowKey | undefined
  /**
   * What becomes of the row (`undefined` if there is none yet). `null` deletes it; the same row back changes nothing.
   * Must not wait.
   */
  evolve(row: Row | undefined, event: RecordedEvent<E>): Next
}

/** What folds may make of the rows of tables. */
export type NextRows<T extends Tables> = { readonly [N in keyof T]: RowOf<T[N]> | null }

/** Folds by table. */
export type TableFolds<
  E extends EventShape,
  T extends Tables,
  Next extends { readonly [N in keyof T]: unknown } = NextRows<T>,
> = {
  readonly [N in keyof T]?: TableFold<E, RowOf<T[N]>, Next[N]>
}

/** What `defineProjection` takes. Needs `on`, `fold` or both; a fold runs before the handler of the same event. */
export interface ProjectionSpec<
  E extends EventShape,
  T extends Tables,
  Next extends { readonly [N in keyof T]: unknown } = NextRows<T>,
> {
  readonly name: string
  /**
   * Raise it when the tables, the handlers, the fold or the filter change: it is built next to the old one.
   * @default 1
   */
  readonly version?: number
  readonly tables: T
  readonly on?: Handlers<E, T>
  /** By table. */
  readonly fold?: TableFolds<E, T, Next>
  /**
   * Further narrows which events are read. @default the types of `on`; if there is a `fold`, every type that the
   * catalogue has definitions of, or every event where it has none
   */
  readonly filter?: EventFilter<E>
  /**
   * Asked at every failure. Where later events of a stream make no sense without the one that failed, `'park-stream'`
   * is the answer. Not asked about events that a newer build wrote (`EventUnreadableError.newer`): those stop the
   * projection here, and a tab with that build continues. @default 'fatal'
   */
  onFailure?(failure: FailureContext<E>): ReadModelFailureStrategy | Promise<ReadModelFailureStrategy>
}

/** What `defineProjection` returns. `R` says which events reach it. */
export interface Projection<E extends EventShape = EventShape, T extends Tables = Tables, R extends Reads = Reads> {
  readonly kind: 'projection'
  readonly name: string
  readonly version: number
  readonly tables: T
  readonly filter: EventFilter<E>
  /**
   * There is a `fold`, and no types were named: `filter` names those of the catalogue, if it has definitions. A
   * catalogue may grow under one version.
   */
  readonly readsAll?: true
  readonly on: Handlers<E, T>
  readonly fold: TableFolds<E, T>
  readonly onFailure?: (failure: FailureContext<E>) => ReadModelFailureStrategy | Promise<ReadModelFailureStrategy>
  /** Not there at runtime: carries the type. */
  readonly [reads]?: R
}

/** Which events reach a projection: a fold sees all that no filter and no catalogue keeps from it. */
export type ReadsOf<Fold, Filter, Known> = [keyof Fold] extends [never]
  ? 'own types'
  : Filter extends { readonly types: readonly unknown[] }
    ? 'own types'
    : [Known] extends [true]
      ? 'own types'
      : 'every event'

/** What names a projection's checkpoint, lock and database within its store. */
export const projectionKey = ({ name, version }: { readonly name: string; readonly version: number }): string =>
  `${name}@${version}`

/** Whether a value came from {@link defineProjection}. */
export const isDefinition = (value: unknown): value is Projection =>
  isObject(value) && (value as { kind?: unknown }).kind === 'projection'

/**
 * Declares a projection into a read model in IndexedDB, exactly once: rows and checkpoint commit together.
 *
 * @throws InvalidNameError, InvalidArgumentError for names, versions, keys and filters that are not allowed
 */
export function defineProjection<
  E extends EventShape,
  const T extends Tables & CheckedTables<T>,
  F extends TableFolds<E, T>,
  G extends TableFolds<E, T> = {},
  const X extends EventFilter<E> = {},
  Known extends boolean = boolean,
  L extends Literal = Literal,
  Next extends { readonly [N in keyof T]: (RowOf<T[N]> | null) & Literals<L> } = {
    readonly [N in keyof T]: (RowOf<T[N]> | null) & Literals<L>
  },
>(
  events: EventCatalogue<E, Known>,
  specification: ProjectionSpec<E, T, Next> & { readonly fold?: F } & {
    readonly fold?: G
    readonly filter?: X
  },
): Projection<E, T, ReadsOf<G, X, Known>> {
  const { name, version = 1, tables, on = {}, fold = {}, filter = {}, onFailure } = checkedSpec(specification)
  const handled = Object.keys(on).map(eventType)
  const folds = Object.keys(fold).length > 0
  if (handled.length === 0 && !folds)
    throw new InvalidArgumentError('projection', say`needs handlers in 'on', or a 'fold'.`)
  const readsAll = filter.types === undefined && folds
  const types = filter.types ?? (readsAll ? catalogueCore(events).types : handled)
  const narrowed: EventFilter<E> = { ...filter, ...(types === undefined ? {} : { types: [...types] }) }
  compileFilter(narrowed)
  return Object.freeze({
    kind: 'projection' as const,
    name,
    version,
    tables: tables as T,
    on: on as Handlers<E, T>,
    fold: fold as TableFolds<E, T>,
    filter: narrowed,
    ...(readsAll && { readsAll }),
    // Bound, and its text still tells one definition from another.
    ...(onFailure !== undefined && {
      onFailure: Object.assign(onFailure.bind(specification), { toString: () => String(onFailure) }),
    }),
  })
}

/** @throws InvalidArgumentError, InvalidNameError for the first thing that is wrong */
function checkedSpec<E extends EventShape>(given: unknown): ProjectionSpec<E, Tables> {
  const check = (right: boolean, what: string, problem: string) => {
    if (!right) throw new InvalidArgumentError(what, problem)
  }
  check(isObject(given), 'projection', say`must be { name, tables, on }.`)
  onlyKnown(given, ['name', 'version', 'tables', 'on', 'fold', 'filter', 'onFailure'], 'projection')
  const spec = given as ProjectionSpec<E, Tables>
  const { version = 1, tables, on = {}, fold = {}, filter = {}, onFailure } = spec
  for (const [part, value] of Object.entries({ on, fold, filter, tables }))
    check(isObject(value), part, say`must be an object.`)
  check(onFailure === undefined || typeof onFailure === 'function', 'onFailure', say`must be a function.`)
  projectionName(spec.name)
  wholeNumber(version, 'version', 1)
  for (const [name, table] of Object.entries(tables)) {
    assertTableName(name)
    checkTable(table, `tables.${name}`, check)
  }
  for (const [table, each] of Object.entries(fold) as [string, Partial<TableFold<E, unknown>> | undefined][]) {
    const what = `fold.${table}`
    check(Object.hasOwn(tables, table), what, say`names no table of this projection.`)
    onlyKnown(each ?? null, ['key', 'evolve'], what)
    check(typeof each?.key === 'function' && typeof each.evolve === 'function', what, say`must be { key, evolve }.`)
  }
  for (const [type, handler] of Object.entries(on))
    check(typeof handler === 'function', `on.${type}`, say`must be a function.`)
  return spec
}

function checkTable(
  table: Tables[string],
  path: string,
  check: (right: boolean, what: string, problem: string) => void,
): void {
  // Only the first call of `table<Row>()({ key, indexes })` was made.
  check(
    typeof table !== 'function',
    path,
    say`is not complete: write table<Row>()({ key, indexes }), or table<Row>({ key }).`,
  )
  onlyKnown(table ?? null, ['key', 'indexes', 'schema'], path)
  const { key, indexes = {}, schema } = table as TableDefinition
  check(isObject(indexes) && !Array.isArray(indexes), `${path}.indexes`, say`must be { name: property }.`)
  const isName = (name: unknown) => isKeyPath(name) && !name.includes('.')
  const names: readonly unknown[] = Array.isArray(key) ? Array.from(key as unknown[]) : [key]
  check(
    names.every(isName) && (!Array.isArray(key) || (key.length > 1 && new Set(names).size === key.length)),
    `${path}.key`,
    say`must name a property of the row, as an identifier, or be a list of at least two of them.`,
  )
  check(
    schema === undefined || typeof (schema as StandardSchema)['~standard']?.validate === 'function',
    `${path}.schema`,
    say`must be a Standard Schema, such as one of zod, valibot or arktype.`,
  )
  for (const [index, declared] of Object.entries(indexes)) checkIndex(declared, `${path}.indexes.${index}`, check)
}

function checkIndex(
  declared: unknown,
  what: string,
  check: (right: boolean, what: string, problem: string) => void,
): void {
  const isOptions = isObject(declared) && !Array.isArray(declared)
  if (isOptions) onlyKnown(declared, ['path', 'multiEntry', 'unique'], what)
  const options = isOptions ? declared : { path: declared }
  const { path, multiEntry = false, unique = false } = options as Record<string, unknown>
  // A list of one is an array key in some engines and a plain one in others (H12).
  const isList = Array.isArray(path) && path.length > 1 && path.every(isKeyPath)
  check(isKeyPath(path) || isList, what, say`must name a property of the row, or a list of at least two.`)
  for (const [name, value] of Object.entries({ multiEntry, unique }))
    check(typeof value === 'boolean', `${what}.${name}`, say`must be true or false.`)
  check(!(isList && multiEntry === true), what, say`has 'multiEntry', which takes one property, not several.`)
}
