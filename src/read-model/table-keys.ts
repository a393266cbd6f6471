/** For the compiler: which keys a table and its indexes have, so that ranges fit them. */
import type { At, IsAny } from './index-paths.js'
import type { IndexKey, KeyRange } from './keys.js'

/** The keys of a table, and those of its indexes by name; `unknown` where they are not known. */
export interface TableKeys {
  /** The properties that are the key of the table, `string` where they are not known. */
  readonly keyNames: string
  readonly key: unknown
  readonly indexes: { readonly [index: string]: unknown }
}

type Bytes = ArrayBuffer | ArrayBufferView

/** A value as a key: any bytes are the same key as others of the same content. */
type AsKey<Value> =
  IsAny<Value> extends true
    ? unknown
    : [Value] extends [never]
      ? unknown
      : unknown extends Value
        ? unknown
        : Value extends Bytes
          ? Bytes
          : Value

/** What a path leads to, in rows that have something there. */
type Found<Row, Path extends string> =
  At<Row, Path> extends infer Ends ? (Ends extends readonly [infer End] ? Exclude<End, undefined> : never) : never

type KeyAt<Row, Path> = [Path] extends [string]
  ? string extends Path
    ? unknown
    : AsKey<Found<Row, Path>>
  : Path extends readonly [string, string, ...string[]]
    ? { readonly [K in keyof Path]: KeyAt<Row, Path[K]> }
    : unknown

type ItemAt<Row, Path> = [Path] extends [string]
  ? Found<Row, Path> extends infer List
    ? IsAny<List> extends true
      ? unknown
      : List extends readonly (infer Item)[]
        ? AsKey<Item>
        : unknown
    : never
  : unknown

type IndexKeyOf<Row, Index> = Index extends { readonly path: infer Path; readonly multiEntry: true }
  ? ItemAt<Row, Path>
  : KeyAt<Row, Index extends { readonly path: infer Path } ? Path : Index>

type NamesIn<Path> = Path extends string ? Path : Path extends readonly (infer Name extends string)[] ? Name : string

/** The keys of a table whose rows are known, as far as its definition says what they are. */
export interface KeysIn<Row, Definition> {
  readonly keyNames: Definition extends { readonly key: infer Path } ? NamesIn<Path> : string
  readonly key: Definition extends { readonly key: infer Path } ? KeyAt<Row, Path> : unknown
  readonly indexes: Definition extends { readonly indexes: infer Indexes }
    ? { readonly [N in keyof Indexes & string]: IndexKeyOf<Row, Indexes[N]> }
    : 'indexes' extends keyof Definition
      ? { readonly [index: string]: unknown }
      : {}
}

/** A bound need not be the key of a row: it is only of the same kind. */
type Kind<Key> = unknown extends Key ? IndexKey : Key extends string ? string : Key extends number ? number : Key

/** A list, and what lists begin with; `[]` in it comes behind every other value. */
type Beginning<List extends readonly unknown[]> = List extends readonly [...infer Rest, unknown]
  ? { readonly [K in keyof List]: Kind<List[K]> | readonly [] } | Beginning<Rest>
  : readonly []

type Bound<Key> = unknown extends Key ? unknown : Key extends readonly unknown[] ? Beginning<Key> : Kind<Key>

/** A single key, or a span of keys. */
export type RangeOf<Key> = KeyRange<Bound<Key>> | (unknown extends Key ? IndexKey : Key)
