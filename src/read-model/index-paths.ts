/** For the compiler: what of a row IndexedDB takes as a key. */
import type { KeyPart } from './keys.js'

/** What an index sorts by. */
type Indexable = string | number | Date | ArrayBuffer | ArrayBufferView

/** The properties that may be the key of a table: there in every row, and a string, a number or a Date. */
export type KeyOf<Row> = string extends keyof Row
  ? string
  : unknown extends Row
    ? string
    : { [K in keyof Row & string]-?: [Row[K]] extends [KeyPart] ? K : never }[keyof Row & string]

/** What may be the key of a table: such a property, or several of them. */
export type TableKey<Row> = KeyOf<Row> | readonly [KeyOf<Row>, KeyOf<Row>, ...KeyOf<Row>[]]

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

/** Whether a type is `any`. */
export type IsAny<T> = 0 extends 1 & T ? true : false

/**
 * The type at a path, in a list of one; what some rows lack does not count. Only plain objects lead further, and `null`
 * does not.
 */
export type At<Row, Path extends string> =
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

/** What is wrong with a value whose items an index is to have, if anything. */
type ItemProblem<Found> =
  IsAny<Found> extends true
    ? never
    : unknown extends Found
      ? 'may be anything'
      : Found extends undefined
        ? never
        : Found extends readonly (infer Item)[]
          ? [Problem<Item>] extends [never]
            ? never
            : `has an item that ${Problem<Item>}`
          : 'may be no list'

/** The path to a list, or what the compiler says of it. */
type CheckedItems<Row, Path extends string> = [At<Row, Path>] extends [never]
  ? ListOf<Row>
  : [ItemProblem<At<Row, Path>[0]>] extends [never]
    ? Path
    : `'${Path}' ${ItemProblem<At<Row, Path>[0]>}: rows would be missing from the index`

/** The properties whose items an index may have, for suggestions. */
type ListOf<Row> = Row extends unknown
  ? { [K in keyof Row & string]-?: [ItemProblem<Row[K]>] extends [never] ? K : never }[keyof Row & string]
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
 * IndexedDB leaves such rows out. With `multiEntry` the path leads to a list of what an index may sort by.
 */
export type CheckedIndexes<Row, Indexes> = {
  readonly [N in keyof Indexes]: Indexes[N] extends { readonly path: infer Path }
    ? CheckedOptions<Row, Indexes[N], Path>
    : CheckedPath<Row, Indexes[N]>
}

type CheckedPath<Row, Path> = Path extends string
  ? Checked<Row, Path>
  : Path extends readonly [string, string, ...string[]]
    ? CheckedList<Row, Path>
    : 'a property, or a list of at least two'

type CheckedOptions<Row, Options, Path> = {
  readonly [K in keyof Options]: K extends 'path'
    ? Options extends { readonly multiEntry: true }
      ? Path extends string
        ? CheckedItems<Row, Path>
        : 'one property, which holds a list'
      : CheckedPath<Row, Path>
    : K extends 'multiEntry' | 'unique'
      ? boolean
      : never
}
