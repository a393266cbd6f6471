/** The tables of a view: what a reader asks once, and the same as live queries. */
import type { KeysOf, RowOf, Tables } from '../read-model/define.js'
import type { RowKey } from '../read-model/keys.js'
import type { CountOptions, QueryOptions } from '../read-model/selection.js'
import type { Query } from '../read-model/storage.js'
import type { TableKeys } from '../read-model/table-keys.js'
import { identityOf } from './identity.js'
import { pagedOptions, pagedQuery, type LivePages, type PageOptions } from './live-pages.js'
import type { LiveQuery } from './live-query.js'
import { questionsTo, type Ask, type TableReader, type TableReaders } from './table-readers.js'

/**
 * A table of a view. Equal options return the same live query, as long as it is used: while it has subscribers, for 30 s
 * after that, and while the app holds it. So it may be made where it is shown, in every render.
 *
 * What a live query shows shares with what it showed before the parts that are the same, so it must not be changed. The
 * development build freezes it.
 */
export interface LiveTable<Row, Keys extends TableKeys = TableKeys> extends TableReader<Row, Keys> {
  /**
   * The rows that `getAll` returns, kept up to date.
   *
   * @throws InvalidArgumentError as `getAll`, but immediately
   *
   * @example
   * const largest = view.baskets.live({ index: 'byTotal', direction: 'prev', limit: 10 })
   */
  live(options?: QueryOptions<Keys, Row>): LiveQuery<readonly Readonly<Row>[]>
  /** The row of a key, kept up to date. @throws InvalidArgumentError for what cannot be a key */
  liveRow(key: RowKey): LiveQuery<Readonly<Row> | undefined>
  /** How many rows there are, kept up to date. @throws InvalidArgumentError as `count`, but immediately */
  liveCount(options?: CountOptions<Keys>): LiveQuery<number>
  /**
   * A list that grows by `pageSize` rows with each call of `more()`, and is kept up to date as a whole: no row is missing
   * or there twice. Once it is not used any more, see above, it begins with one page again.
   *
   * @throws InvalidArgumentError as `getAll`, but immediately
   *
   * @example
   * const list = view.baskets.livePages({ index: 'byTotal', direction: 'prev', pageSize: 20 })
   * const { rows, hasMore } = await list.ready()
   * if (hasMore) list.more()
   */
  livePages(options: PageOptions<Keys>): LivePages<Readonly<Row>>
}

/** The tables of a view, by name. */
export type LiveTables<T extends Tables> = {
  readonly [N in keyof T]: LiveTable<RowOf<T[N]>, KeysOf<T[N]>>
}

/** Returns the live query of an identity; `query` is what it runs if there is none yet. */
export type LiveQueries = <V, X = {}>(
  identity: string,
  query: (tables: unknown, ask: Ask, again: () => void) => V | Promise<V>,
  extra?: X,
) => LiveQuery<V> & X

/** Adds the live methods to readers. */
export function liveTables<T extends Tables>(tables: T, readable: TableReaders<T>, live: LiveQueries): LiveTables<T> {
  const table = (name: string): LiveTable<object> => {
    const questions = questionsTo(tables, name)
    const of = <V>(question: Query | undefined, none: V) =>
      question === undefined
        ? live(`none ${identityOf(none)}`, () => none)
        : live(`${name} ${identityOf(canonical(question))}`, (_, ask) => ask(name, question) as Promise<V>)
    return {
      ...(readable[name] as TableReader<object>),
      live: (options) => of<readonly object[]>(questions.all(options), []),
      liveRow: (key) => of<object | undefined>(questions.get(key), undefined),
      liveCount: (options) => of(questions.count(options), 0),
      livePages(given) {
        const options = pagedOptions(given)
        const question = questions.all(options)
        if (question?.kind !== 'all') return live('no pages', () => ({ rows: [], hasMore: false }), { more() {} })
        const { query, extra } = pagedQuery(name, question, options.limit)
        return live(`${name} pages ${identityOf(canonical(question))}`, query, extra)
      },
    }
  }
  return Object.fromEntries(Object.keys(tables).map((name) => [name, table(name)])) as unknown as LiveTables<T>
}

/** With the defaults filled in. */
function canonical(question: Query): object {
  if (!('options' in question)) return question
  const { direction = 'next', ranges = [{}], ...options } = question.options
  const spans = ranges.map(({ lower, upper, lowerOpen = false, upperOpen = false }) => ({
    lower,
    upper,
    lowerOpen,
    upperOpen,
  }))
  return { ...question, options: { ...options, direction, ranges: spans } }
}
