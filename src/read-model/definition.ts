/** What a read model is: its tables, and how events change them. */
import { InvalidArgumentError } from '../errors.js'
import { catalogueCore, type EventCatalogue, type EventOfType, type StandardSchema } from '../events/catalogue.js'
import type { EventShape, RecordedEvent } from '../events/event.js'
import { projectionName, tableName } from '../events/names.js'
import type { EventFilter } from '../log/event-store.js'
import { compileFilter } from '../log/filter.js'
import type { FailureContext, FailureStrategy } from '../projection/target.js'
import type { KeyPath } from './keys.js'

/** Where a table's rows have their key, and which indexes it has. */
export interface TableOptions {
  /** The property of a row that is its key, such as `'code'` or `'at.city'`; several make a compound key. */
  readonly key: KeyPath
  /** By index name: the property, or properties, that it sorts by. Rows without a valid key there are not in the index. @default none */
  readonly indexes?: Readonly<Record<string, KeyPath>>
}

/** A table whose rows get their type from a Standard Schema. Rows are not validated: your own code makes them. */
export interface SchemaTable extends TableOptions {
  readonly schema: StandardSchema<unknown, unknown>
}

declare const row: unique symbol

/** A table whose rows have a type. See {@link table}. */
export interface TypedTable<Row extends object> extends TableOptions {
  /** Not there at runtime: carries the type. */
  readonly [row]: Row
}

/** Tables by name. */
export interface TableDefinitions {
  readonly [table: string]: TableOptions | SchemaTable | TypedTable<object>
}

/** What the rows of a declared table are. */
export type RowOf<T> =
  T extends TypedTable<infer Row> ? Row
  : T extends { readonly schema: StandardSchema<unknown, infer Output> } ? (Output extends object ? Output : Record<string, unknown>)
  : Record<string, unknown>

/**
 * Declares a table with the type of its rows.
 *
 * @example
 * tables: { airports: table<Airport>({ key: 'code', indexes: { byDelay: 'averageDelay' } }) }
 */
export function table<Row extends object>(options: TableOptions): TypedTable<Row> {
  return options as TypedTable<Row>
}

/** One table as a handler sees it: with what it wrote itself, and everything before. */
export interface TableWriter<Row extends object = Record<string, unknown>> {
  /** The row of that key. It is frozen: make a new one to change it. @throws InvalidArgumentError for what cannot be a key */
  get(key: IDBValidKey): Promise<Row | undefined>
  /** Stores a row under the key that it has in itself, over any old one. @throws InvalidArgumentError for what cannot be stored */
  put(row: Row): void
  /** Stores what `change` makes of the row, or deletes the row for `null`. `change` must be synchronous. */
  update(key: IDBValidKey, change: (row: Row | undefined) => Row | null): Promise<void>
  /** Deletes the row of that key, if there is one. */
  delete(key: IDBValidKey): void
}

/** The tables as a handler sees them. Only valid until the handler ends. */
export type TableWriters<T extends TableDefinitions> = { readonly [Name in keyof T]: TableWriter<RowOf<T[Name]>> }

/** Changes tables by one event of its type. May await anything; what it throws undoes its own writes (N17). */
export type Handler<E extends EventShape, T extends TableDefinitions> = (event: RecordedEvent<E>, tables: TableWriters<T>) => void | Promise<void>

/** The short form where each event changes one row of a table: no `get`, and rows are loaded together. */
export interface Fold<E extends EventShape, Row extends object> {
  /** Which events. @default every event that the filter lets through */
  readonly types?: readonly E['type'][]
  /** Which row; `undefined` for an event that changes none. Synchronous. */
  key(event: RecordedEvent<E>): IDBValidKey | undefined
  /** The new row, or `null` to delete it. Synchronous; `row` is frozen. */
  evolve(row: Row | undefined, event: RecordedEvent<E>): Row | null
}

/** What {@link defineProjection} takes. */
export interface ProjectionOptions<E extends EventShape, T extends TableDefinitions> {
  /** Part of the database's name: give each projection of a store its own. */
  readonly name: string
  /** Raise it when tables or handlers change: the new version is built beside the old one. @default 1 */
  readonly version?: number
  readonly tables: T
  /** Narrows the events further than the handled types do. @default only by the handled types */
  readonly filter?: EventFilter
  /** Handlers by event type. */
  readonly on?: { readonly [Type in E['type']]?: Handler<EventOfType<E, Type>, T> }
  /** Folds by table. They run before the handler of the same event. */
  readonly fold?: { readonly [Name in keyof T]?: Fold<E, RowOf<T[Name]>> }
  /** What to do about an event that failed. @default 'fatal' */
  readonly onError?: (failure: FailureContext<E>) => FailureStrategy | Promise<FailureStrategy>
}

/** A table after its definition was checked. */
export interface TableShape {
  readonly key: KeyPath
  readonly indexes: Readonly<Record<string, KeyPath>>
}

/** A handler as the unit of work calls it. */
export type AnyHandler = (event: RecordedEvent, tables: never) => unknown
/** A fold as the unit of work calls it. */
export interface AnyFold {
  readonly table: string
  key(event: RecordedEvent): unknown
  evolve(row: object | undefined, event: RecordedEvent): unknown
}

/** A checked read model. Made by {@link defineProjection}; changing what it was made of changes nothing. */
export interface ProjectionDefinition<E extends EventShape = EventShape, T extends TableDefinitions = TableDefinitions> {
  readonly name: string
  readonly version: number
  /** `name@version`: the key of its lock and part of its database's name. */
  readonly key: string
  /** Differs when tables, keys or indexes do. */
  readonly fingerprint: string
  /** Has no prototype: any table name is a safe key. */
  readonly tables: { readonly [Name in keyof T]: TableShape }
  readonly filter: EventFilter
  readonly on: NonNullable<ProjectionOptions<E, T>['on']>
  readonly fold: NonNullable<ProjectionOptions<E, T>['fold']>
  // A method, so that a definition for some events is also one for any.
  onError(failure: FailureContext<E>): FailureStrategy | Promise<FailureStrategy>
  /** For the unit of work: what to run for an event type. */
  readonly plan: (type: string) => EventPlan
}

/** What runs for events of one type. */
export interface EventPlan {
  readonly folds: readonly AnyFold[]
  readonly handler: AnyHandler | undefined
}

const knownOptions: ReadonlySet<PropertyKey> = new Set(['name', 'version', 'tables', 'filter', 'on', 'fold', 'onError'])

/**
 * Defines a read model: tables in IndexedDB that follow the events, each event exactly once.
 *
 * @throws InvalidNameError for a bad name of the projection or a table
 * @throws InvalidArgumentError for anything else that cannot work
 *
 * @example
 * const board = defineProjection(events, {
 *   name: 'airport-board',
 *   tables: { airports: table<Airport>({ key: 'code' }) },
 *   on: { FlightLanded: (event, { airports }) => airports.update(event.data.to, (row) => land(row, event)) },
 * })
 */
export function defineProjection<E extends EventShape, const T extends TableDefinitions>(
  events: EventCatalogue<E>,
  options: ProjectionOptions<E, T>,
): ProjectionDefinition<E, T> {
  if (!isObject(options)) throw new InvalidArgumentError('options', 'must be an object with name, tables and on or fold.')
  const odd = Reflect.ownKeys(options).find((key) => !knownOptions.has(key))
  if (odd !== undefined) throw new InvalidArgumentError('options', `has no property '${String(odd)}'. It may have ${[...knownOptions].join(', ')}.`)
  const known = catalogueCore(events as EventCatalogue).types
  const name = projectionName(options.name)
  const version = options.version ?? 1
  if (!Number.isSafeInteger(version) || version < 1) throw new InvalidArgumentError('version', 'must be 1, 2, 3 …')
  const tables = readTables(options.tables)
  const handlers = readHandlers(options.on, known)
  const folds = readFolds(options.fold as Readonly<Record<string, unknown>> | undefined, tables, known)
  if (handlers.size === 0 && folds.length === 0) throw new InvalidArgumentError('on', "or 'fold' must handle at least one event type.")
  if (options.onError !== undefined && typeof options.onError !== 'function') throw new InvalidArgumentError('onError', 'must be a function.')
  const { onError } = options
  const plans = new Map<string, EventPlan>()

  return Object.freeze({
    name,
    version,
    key: `${name}@${version}`,
    fingerprint: JSON.stringify({ version, tables: Object.entries(tables).sort(([a], [b]) => (a < b ? -1 : 1)).map(([tableKey, shape]) => [tableKey, shape.key, Object.entries(shape.indexes).sort(([a], [b]) => (a < b ? -1 : 1))]) }),
    tables: tables as ProjectionDefinition<E, T>['tables'],
    filter: readFilter(options.filter, handlers, folds),
    on: Object.freeze({ ...options.on }) as ProjectionDefinition<E, T>['on'],
    fold: Object.freeze({ ...options.fold }) as ProjectionDefinition<E, T>['fold'],
    onError: (failure: FailureContext<E>) => (onError === undefined ? 'fatal' : onError(failure)),
    plan: (type: string) => {
      let plan = plans.get(type)
      if (plan === undefined) {
        plan = { handler: handlers.get(type), folds: folds.filter(({ types }) => types === undefined || types.has(type)).map(({ fold }) => fold) }
        // Types come from the log: without a bound a strange log could fill the memory.
        if (plans.size < 10_000) plans.set(type, plan)
      }
      return plan
    },
  })
}

function readTables(tables: unknown): Record<string, TableShape> {
  if (!isObject(tables)) throw new InvalidArgumentError('tables', "must be an object such as { airports: { key: 'code' } }.")
  const shapes: Record<string, TableShape> = Object.create(null)
  for (const [name, options] of Object.entries(tables)) {
    const at = `tables.${tableName(name)}`
    if (!isObject(options)) throw new InvalidArgumentError(at, "must be { key, indexes? } or table<Row>({ key, indexes? }).")
    const { key, indexes = {} } = options as { key?: unknown; indexes?: unknown }
    if (!isObject(indexes)) throw new InvalidArgumentError(`${at}.indexes`, 'must be properties of rows by index name.')
    const checked: Record<string, KeyPath> = Object.create(null)
    for (const [index, path] of Object.entries(indexes)) {
      if (index === '') throw new InvalidArgumentError(`${at}.indexes`, 'must not have an empty name.')
      checked[index] = readKeyPath(path, `${at}.indexes.${index}`)
    }
    shapes[name] = Object.freeze({ key: readKeyPath(key, `${at}.key`), indexes: Object.freeze(checked) })
  }
  if (Object.keys(shapes).length === 0) throw new InvalidArgumentError('tables', 'must have at least one table.')
  return Object.freeze(shapes)
}

// What IndexedDB takes as a key path, without the empty one.
const keyPath = /^[\p{ID_Start}$_][\p{ID_Continue}$_\u200c\u200d]*(\.[\p{ID_Start}$_][\p{ID_Continue}$_\u200c\u200d]*)*$/u

function readKeyPath(path: unknown, at: string): KeyPath {
  const isPath = (part: unknown): part is string => typeof part === 'string' && keyPath.test(part)
  if (isPath(path)) return path
  if (Array.isArray(path) && path.length > 0 && path.length <= 16 && path.every(isPath)) return Object.freeze([...path])
  throw new InvalidArgumentError(at, "must be a property of the row, such as 'code' or 'at.city', or a list of them.")
}

function readHandlers(on: unknown, known: ReadonlySet<string> | undefined): Map<string, AnyHandler> {
  const handlers = new Map<string, AnyHandler>()
  if (on === undefined) return handlers
  if (!isObject(on)) throw new InvalidArgumentError('on', 'must be handlers by event type.')
  // Own properties only: an event of type `constructor` must not find Object's (H48).
  for (const [type, handler] of Object.entries(on)) {
    if (handler === undefined) continue
    if (typeof handler !== 'function') throw new InvalidArgumentError(`on.${type}`, 'must be a function.')
    assertKnown(type, known, `on.${type}`)
    handlers.set(type, handler as AnyHandler)
  }
  return handlers
}

interface ReadFold {
  readonly types: ReadonlySet<string> | undefined
  readonly fold: AnyFold
}

function readFolds(folds: unknown, tables: Readonly<Record<string, TableShape>>, known: ReadonlySet<string> | undefined): ReadFold[] {
  if (folds === undefined) return []
  if (!isObject(folds)) throw new InvalidArgumentError('fold', 'must be { key, evolve } by table.')
  return Object.entries(folds).filter(([, fold]) => fold !== undefined).map(([name, fold]) => {
    const at = `fold.${name}`
    if (!Object.hasOwn(tables, name)) throw new InvalidArgumentError(at, `is for no table. There are ${Object.keys(tables).join(', ')}.`)
    const { types, key, evolve } = (fold ?? {}) as { types?: unknown; key?: unknown; evolve?: unknown }
    if (typeof key !== 'function' || typeof evolve !== 'function') throw new InvalidArgumentError(at, "must have the functions 'key' and 'evolve'.")
    if (types !== undefined && (!Array.isArray(types) || types.some((type) => typeof type !== 'string'))) throw new InvalidArgumentError(`${at}.types`, 'must be a list of event types.')
    for (const type of (types as string[] | undefined) ?? []) assertKnown(type, known, `${at}.types`)
    return {
      types: types === undefined ? undefined : new Set(types as string[]),
      fold: { table: name, key: (key as AnyFold['key']).bind(fold), evolve: (evolve as AnyFold['evolve']).bind(fold) },
    }
  })
}

function readFilter(filter: EventFilter | undefined, handlers: ReadonlyMap<string, unknown>, folds: readonly ReadFold[]): EventFilter {
  if (filter !== undefined) compileFilter(filter)
  const { types: wanted, ...streams } = filter ?? {}
  const handled = new Set<string>(handlers.keys())
  for (const { types } of folds) for (const type of types ?? []) handled.add(type)
  const open = folds.some(({ types }) => types === undefined)
  if (wanted !== undefined) {
    const left = [...handled].find((type) => !wanted.includes(type))
    if (left !== undefined) throw new InvalidArgumentError('filter.types', `leaves out '${left}', which 'on' or 'fold' handles. Add it, or leave 'types' out.`)
  }
  const types = open ? wanted : [...handled]
  return Object.freeze({ ...streams, ...(types === undefined ? {} : { types: Object.freeze([...types]) }) })
}

function assertKnown(type: string, known: ReadonlySet<string> | undefined, at: string): void {
  if (known !== undefined && !known.has(type)) throw new InvalidArgumentError(at, `handles '${type}', which the catalogue does not have. Add it to 'defineEvents'.`)
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
