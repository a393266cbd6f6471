/** The tables of a read model as a reader sees them: what it asks is checked, and put to the storage. */
import type { IndexOf, RowOf, Tables } from '../read-model/define.js'
import { say } from '../messages.js'
import { checkedKey, checkedKeys, type RowKey } from '../read-model/keys.js'
import { checkedSelection, type QueryOptions } from '../read-model/selection.js'
import type { Answer, Query } from '../read-model/storage.js'

/** A table as a reader sees it. Rows are the reader's own copies. */
export interface TableReader<Row, Index extends string = string> {
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
  getAll(options?: QueryOptions<Index, Row>): Promise<Row[]>
  /**
   * How many rows `getAll` would return. Reads no rows, unless a table without indexes is asked for a range; of an index
   * with several keys for a row it reads those keys, unless it is asked for a single one.
   */
  count(options?: Pick<QueryOptions<Index, Row>, 'index' | 'range' | 'ranges'>): Promise<number>
}

/** The tables of a read model as a reader sees them, by name. */
export type TableReaders<T extends Tables> = { readonly [N in keyof T]: TableReader<RowOf<T[N]>, IndexOf<T[N]>> }

/** Makes the readers of a definition's tables. They read with `ask`. */
export function readers<T extends Tables>(
  tables: T,
  ask: (table: string, query: Query) => Promise<Answer>,
): TableReaders<T> {
  const reader = (name: string): TableReader<unknown> => {
    const definition = tables[name] as Tables[string]
    const selected = (given: QueryOptions, known?: readonly string[]) =>
      checkedSelection(name, definition, given, known)
    return {
      async get(key) {
        return (await ask(name, { kind: 'get', key: checkedKey(key, say`The key of '${name}'`) })).value
      },
      async getMany(given) {
        const keys = checkedKeys(given, name)
        return keys.length === 0 ? [] : ((await ask(name, { kind: 'many', keys })).value as unknown[])
      },
      async getAll(given = {}) {
        const options = selected(given)
        return options === undefined ? [] : ((await ask(name, { kind: 'all', options })).value as unknown[])
      },
      async count(given = {}) {
        const options = selected(given, ['index', 'range', 'ranges'])
        return options === undefined ? 0 : ((await ask(name, { kind: 'count', options })).value as number)
      },
    }
  }
  return Object.fromEntries(Object.keys(tables).map((name) => [name, reader(name)])) as unknown as TableReaders<T>
}
