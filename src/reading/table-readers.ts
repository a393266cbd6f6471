/** The tables of a read model as a reader sees them: what it asks is checked, and put to the storage. */
import type { KeysOf, RowOf, Tables } from '../read-model/define.js'
import { say } from '../messages.js'
import { checkedKey, checkedKeys, type RowKey } from '../read-model/keys.js'
import { checkedSelection, type CountOptions, type QueryOptions } from '../read-model/selection.js'
import type { Answer, Query } from '../read-model/storage.js'
import type { TableKeys } from '../read-model/table-keys.js'

/** A table as a reader sees it. Rows are the reader's own copies; inside a live query they are shared, see `live`. */
export interface TableReader<Row, Keys extends TableKeys = TableKeys> {
  /**
   * The row of a key, or `undefined` if there is none.
   *
   * @throws InvalidArgumentError for what cannot be a key
   */
  get(key: RowKey): Promise<Row | undefined>
  /**
   * The rows of keys at one moment, in the order of the keys: `undefined` where there is none, and a row twice if its
   * key is named twice.
   *
   * @throws InvalidArgumentError for what is no list, and for a key in it that cannot be one
   *
   * @example
   * const [first, second] = await view.baskets.getMany(['basket-1', 'basket-2'])
   */
  getMany(keys: readonly RowKey[]): Promise<(Row | undefined)[]>
  /**
   * Rows in the order of the key, or of `index` and, where that is equal, of the key. A row is there once, also where an
   * index has it under several keys: where the query comes to the first of them.
   *
   * @throws InvalidArgumentError for an unknown option, an index that is not declared, a range or limit that makes no
   * sense, and an `after` without a key in the index
   *
   * @example
   * const largest = await view.baskets.getAll({ index: 'byTotal', direction: 'prev', limit: 10 })
   * const next = await view.baskets.getAll({ index: 'byTotal', direction: 'prev', limit: 10, after: largest.at(-1) })
   */
  getAll(options?: QueryOptions<Keys, Row>): Promise<Row[]>
  /**
   * How many rows `getAll` would return. Reads no rows, unless a table without indexes is asked for a range; of an index
   * with several keys for a row it reads those keys, unless it is asked for a single one.
   */
  count(options?: CountOptions<Keys>): Promise<number>
}

/** The tables of a read model as a reader sees them, by name. */
export type TableReaders<T extends Tables> = { readonly [N in keyof T]: TableReader<RowOf<T[N]>, KeysOf<T[N]>> }

/** The tables as a live query sees them. Its rows are shared with the answer before, so they must not be changed. */
export type QueryTables<T extends Tables> = {
  readonly [N in keyof T]: TableReader<Readonly<RowOf<T[N]>>, KeysOf<T[N]>>
}

/** Puts a checked question to a table. */
export type Ask = (table: string, question: Query) => Promise<unknown>

/** Makes the readers of a definition's tables. They read with `ask`. */
export function readers<T extends Tables>(
  tables: T,
  ask: (table: string, query: Query) => Promise<Answer>,
): TableReaders<T> {
  const reader = (name: string): TableReader<unknown> => {
    const questions = questionsTo(tables, name)
    const put = async <V>(query: Query | undefined, none: V): Promise<V> =>
      query === undefined ? none : ((await ask(name, query)).value as V)
    return {
      get: async (key) => put<unknown>(questions.get(key), undefined),
      getMany: async (keys) => put<unknown[]>(questions.many(keys), []),
      getAll: async (options) => put<unknown[]>(questions.all(options), []),
      count: async (options) => put(questions.count(options), 0),
    }
  }
  return Object.fromEntries(Object.keys(tables).map((name) => [name, reader(name)])) as unknown as TableReaders<T>
}

/** Checks what a table is asked. What can select no row is no question. */
export function questionsTo(tables: Tables, name: string) {
  const definition = tables[name] as Tables[string]
  const selected = (kind: 'all' | 'count', given: QueryOptions, known?: readonly string[]): Query | undefined => {
    const options = checkedSelection(name, definition, given, known)
    return options && { kind, options }
  }
  return {
    get: (key: RowKey): Query => ({ kind: 'get', key: checkedKey(definition.key, key, say`The key of '${name}'`) }),
    many(given: readonly RowKey[]): Query | undefined {
      const keys = checkedKeys(definition.key, given, name)
      return keys.length === 0 ? undefined : { kind: 'many', keys }
    },
    all: (given: QueryOptions = {}) => selected('all', given),
    count: (given: CountOptions = {}) => selected('count', given, ['index', 'range', 'ranges']),
  }
}
