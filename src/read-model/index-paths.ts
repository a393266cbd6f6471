/** For the compiler: what of a row IndexedDB takes as a key. */
import type { RowKey } from './keys.js'

/** What an index sorts by. */
type Indexable = string | number | Date | ArrayBuffer | ArrayBufferView

/** The properties that may be the key of a table: there in every row, and a string, a number or a Date. */
export type KeyOf<Row> = string extends keyof Row
  ? string
  : unknown extends Row
    ? string
    : { [K in keyof Row & string]-?: [Row[K]] extends [RowKey] ? K : never }[keyof Row & string]

/** What has properties that are no part of the row. */
type Opaque =
  | Indexable
  | boolean
  | bigint
  | symbol
  | readonly unknown[]
  | ((...given: never[]) => unknown)
  | RegExp
  | Error
  | Blob
  | ReadonlyMap<never, unknown>
  | ReadonlySet<never>
  | { readonly [Symbol.toStringTag]: string }

type IsAny<T> = 0 extends 1 & T ? true : false

/**
 * The type at a path, in a list of one; what some rows lack does not count. Only plain objects lead further, and `null`
 * does not.
 */
type At<Row, Path extends string> =
  IsAny<Row> extends true
    ? // oxlint-disable-next-line typescript/no-explicit-any -- whatever a row that may be anything has there
      [any]
    : Row extends undefined
      ? never
      : Row extends null
        ? [null]
        : Row extends Opaque
          ? never
          : Path extends keyof Row
            ? [Row[Path]]
            : Path extends `${infer First}.${infer Rest}`
              ? First extends keyof Row
                ? At<Row[First], Rest>
                : never
              : never

/** What is wrong with the value at the end of a path, if anything. */
type Problem<Found> =
  IsAny<Found> extends true
    ? never
    : unknown extends Found
      ? 'may be anything'
      : Found extends undefined | Indexable
        ? never
        : Found extends null
          ? 'may be null'
          : Found extends boolean
            ? 'is a boolean'
            : Found extends readonly unknown[]
              ? 'is a list'
              : 'is no string, number, Date or bytes'

/** The path, or what the compiler says of it. */
type Checked<Row, Path extends string> = [At<Row, Path>] extends [never]
  ? IndexableOf<Row>
  : [Problem<At<Row, Path>[0]>] extends [never]
    ? Path
    : `'${Path}' ${Problem<At<Row, Path>[0]>}: rows would be missing from the index`

/** The properties that an index may sort by, for suggestions. */
type IndexableOf<Row> = Row extends unknown
  ? { [K in keyof Row & string]-?: [Problem<Row[K]>] extends [never] ? K : never }[keyof Row & string]
  : never

type CheckedList<Row, Paths> = { readonly [K in keyof Paths]: Checked<Row, Paths[K] & string> }

/** An index as it is declared: what it sorts by, and how. */
export type IndexDefinition =
  | string
  | readonly string[]
  | {
      /** The property that it sorts by, or several of them. */
      readonly path: string | readonly string[]
      /** The property holds a list, and each item finds the row. @default false */
      readonly multiEntry?: boolean
      /** No two rows may have the same there. @default false */
      readonly unique?: boolean
    }

/** Indexes as they are declared, by name. */
export type IndexPaths = { readonly [index: string]: IndexDefinition }

/**
 * `Indexes` where each path leads, through objects, to a string, a number, a Date or bytes, and else what is wrong.
 * What some rows lack makes a sparse index: those rows are not in it. What may be `null` or a boolean is refused, since
 * IndexedDB leaves such rows out.
 */
export type CheckedIndexes<Row, Indexes> = {
  readonly [N in keyof Indexes]: Indexes[N] extends string
    ? Checked<Row, Indexes[N]>
    : Indexes[N] extends readonly [string, string, ...string[]]
      ? CheckedList<Row, Indexes[N]>
      : 'a property, or a list of at least two'
}
