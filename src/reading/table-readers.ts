/** The tables of a read model as a reader sees them: what it asks is checked, and put to the storage. */
import { InvalidArgumentError } from '../errors.js'
import { say } from '../messages.js'
import { onlyKnown } from '../platform/arguments.js'
import type { IndexOf, RowOf, Tables } from '../read-model/define.js'
import { assertKey, checkedRange, copyOfKey, isEmptyRange, type RowKey } from '../read-model/keys.js'
import type { Answer, Query, QueryOptions, Selection } from '../read-model/storage.js'

/** A table as a reader sees it. Rows are the reader's own copies; inside a live query they are shared, see `live`. */
export interface TableReader<Row, Index extends string = string> {
  /**
   * The row of a key, or `undefined` if there is none.
   *
   * @throws InvalidArgumentError for what cannot be a key
   */
  get(key: RowKey): Promise<Row | undefined>
  /**
   * Rows in the order of the key, or of `index`.
   *
   * @throws InvalidArgumentError for an unknown option, an index that is not declared, and a range or limit that makes
   * no sense
   *
   * @example
   * const largest = await view.baskets.getAll({ index: 'byTotal', direction: 'prev', limit: 10 })
   */
  getAll(options?: QueryOptions<Index>): Promise<Row[]>
  /** How many rows there are. Reads no rows, unless a table without indexes is asked for a range. */
  count(options?: CountOptions<Index>): Promise<number>
}

/** Which rows are counted. */
export type CountOptions<Index extends string = string> = Pick<QueryOptions<Index>, 'index' | 'range'>

/** The tables of a read model as a reader sees them, by name. */
export type TableReaders<T extends Tables> = { readonly [N in keyof T]: TableReader<RowOf<T[N]>, IndexOf<T[N]>> }

/** The tables as a live query sees them. Its rows are shared with the answer before, so they must not be changed. */
export type QueryTables<T extends Tables> = {
  readonly [N in keyof T]: TableReader<Readonly<RowOf<T[N]>>, IndexOf<T[N]>>
}

/** Makes the readers of a definition's tables. They read with `ask`. */
export function readers<T extends Tables>(
  tables: T,
  ask: (table: string, query: Query) => Promise<Answer>,
): TableReaders<T> {
  const reader = (name: string): TableReader<unknown> => {
    const { get, all, count } = questions(tables, name)
    return {
      get: async (key) => (await ask(name, get(key))).value,
      async getAll(options) {
        const query = all(options)
        return query === undefined ? [] : ((await ask(name, query)).value as unknown[])
      },
      async count(options) {
        const query = count(options)
        return query === undefined ? 0 : ((await ask(name, query)).value as number)
      },
    }
  }
  return Object.fromEntries(Object.keys(tables).map((name) => [name, reader(name)])) as unknown as TableReaders<T>
}

/** Checks what a table is asked. What can select no row is no question. */
export function questions(tables: Tables, name: string) {
  const indexes = tables[name]?.indexes ?? {}
  return {
    get(key: unknown): Query {
      assertKey(key, say`The key of '${name}'`)
      return { kind: 'get', key: copyOfKey(key) }
    },
    all(given: QueryOptions = {}): Query | undefined {
      const options = selected(name, indexes, given, ['index', 'range', 'direction', 'limit'])
      return options && { kind: 'all', options }
    },
    count(given: CountOptions = {}): Query | undefined {
      const options = selected(name, indexes, given, ['index', 'range'])
      return options && { kind: 'count', options }
    },
  }
}

/** Checked options, or nothing if they can select no row. */
function selected(
  table: string,
  indexes: object,
  options: QueryOptions,
  known: readonly string[],
): Selection | undefined {
  onlyKnown(options, known)
  const { index, direction, limit = Infinity } = options
  if (limit !== Infinity && !(Number.isInteger(limit) && limit >= 0))
    throw new InvalidArgumentError('limit', say`must be a whole number of at least 0, or Infinity.`)
  if (index !== undefined && !Object.hasOwn(indexes, index))
    throw new InvalidArgumentError('index', say`'${index}' is not declared for table '${table}'.`)
  if (direction !== undefined && direction !== 'next' && direction !== 'prev')
    throw new InvalidArgumentError('direction', say`must be 'next' or 'prev'.`)
  const range = checkedRange(options.range)
  // `getAll(range, 0)` would return everything (H15), and IndexedDB takes no count of 2 ** 32.
  return limit === 0 || isEmptyRange(range)
    ? undefined
    : { index, range, direction, limit: limit < 2 ** 32 ? limit : Infinity }
}
