/** Declaring a projection with its read model: tables, handlers, and the version that names its database. */
import { InvalidArgumentError } from '../errors.js'
import type { EventCatalogue } from '../events/catalogue.js'
import type { EventShape, RecordedEvent } from '../events/event.js'
import { eventType, projectionName, tableName } from '../events/names.js'
import type { EventFilter } from '../log/event-store.js'
import { wholeNumber } from '../log/prepare.js'
import type { FailureContext, FailureStrategy } from '../projection/target.js'

declare const rowType: unique symbol

/** A table of a read model: an object store with real indexes. */
export interface TableDefinition<Row = Record<string, unknown>> {
  /** The property that is the key; a string, a finite number or a Date in every row. */
  readonly key: string
  /** Index name to the property it sorts by, or to several of them. */
  readonly indexes?: { readonly [index: string]: string | readonly string[] }
  readonly [rowType]?: Row
}

export type Tables = { readonly [name: string]: TableDefinition<never> | TableDefinition<unknown> }
/** The type of the rows of a table. */
export type RowOf<T> = T extends { readonly [rowType]?: infer Row } ? NonNullable<Row> : Record<string, unknown>
/** What identifies a row. */
export type RowKey = string | number | Date

/** Gives a table the type of its rows: `table<Airport>({ key: 'code' })`. */
export function table<Row>(definition: { readonly key: keyof Row & string; readonly indexes?: TableDefinition['indexes'] }): TableDefinition<Row> {
  return definition as TableDefinition<Row>
}

/** A table as a handler sees it. Rows are frozen: put a changed copy. */
export interface TableWriter<Row> {
  /** The row as earlier events and this one left it. */
  get(key: RowKey): Promise<Row | undefined>
  put(row: Row): void
  /** Puts what `change` makes of the row; deletes it if that is `null`. */
  update(key: RowKey, change: (row: Row | undefined) => Row | null): Promise<void>
  delete(key: RowKey): void
}

export type TableWriters<T extends Tables> = { readonly [N in keyof T]: TableWriter<RowOf<T[N]>> }
type OfType<E extends EventShape, T> = E extends { readonly type: T } ? E : never
/** Handlers by event type. They may await anything: no transaction is open while they run (H1). */
export type Handlers<E extends EventShape, T extends Tables> = {
  readonly [N in E['type']]?: (event: RecordedEvent<OfType<E, N>>, tables: TableWriters<T>) => void | Promise<void>
}

export interface ProjectionSpecification<E extends EventShape, T extends Tables> {
  readonly name: string
  /** Raise it when the tables or the fold change: it is built beside the old one. @default 1 */
  readonly version?: number
  readonly tables: T
  readonly on: Handlers<E, T>
  /** Further narrows which streams are read. */
  readonly filter?: Pick<EventFilter, 'streamPrefix' | 'streamPattern'>
  /** Asked at every failure. @default 'fatal' */
  onError?(failure: FailureContext<E>): FailureStrategy | Promise<FailureStrategy>
}

/** What `defineProjection` returns. */
export interface ProjectionDefinition<E extends EventShape = EventShape, T extends Tables = Tables> {
  readonly kind: 'projection'
  readonly name: string
  readonly version: number
  readonly tables: T
  readonly filter: EventFilter
  readonly on: Handlers<E, T>
  readonly onError?: (failure: FailureContext<E>) => FailureStrategy | Promise<FailureStrategy>
}

/**
 * Declares a projection into a read model in IndexedDB, exactly once: rows and checkpoint commit together.
 *
 * @throws InvalidNameError, InvalidArgumentError for names, versions and keys that are not allowed
 */
export function defineProjection<E extends EventShape, const T extends Tables>(
  _events: EventCatalogue<E>, specification: ProjectionSpecification<E, T>,
): ProjectionDefinition<E, T> {
  const { name, version = 1, tables, on, filter = {} } = specification
  projectionName(name)
  wholeNumber(version, 'version', 1)
  for (const [key, definition] of Object.entries(tables)) {
    tableName(key)
    if (typeof definition.key !== 'string' || definition.key === '') throw new InvalidArgumentError(`tables.${key}.key`, 'must name a property of the row.')
  }
  const types = Object.keys(on).map(eventType)
  return Object.freeze({
    kind: 'projection' as const, name, version, tables, on, filter: { ...filter, types },
    ...(specification.onError === undefined ? {} : { onError: specification.onError.bind(specification) }),
  })
}
