/** The tables of a view: what a reader asks once, and the same as live queries. */
import type { IndexOf, RowOf, Tables } from '../read-model/define.js'
import type { RowKey } from '../read-model/keys.js'
import type { QueryOptions } from '../read-model/selection.js'
import type { Query } from '../read-model/storage.js'
import { identityOf } from './identity.js'
import type { LiveQuery } from './live-query.js'
import { questionsTo, type CountOptions, type TableReader, type TableReaders } from './table-readers.js'

/**
 * A table of a view. Equal options return the same live query, as long as it is used: while it has subscribers, for 30 s
 * after that, and while the app holds it. So it may be made where it is shown, in every render.
 *
 * What a live query shows shares with what it showed before the parts that are the same, so it must not be changed. The
 * development build freezes it.
 */
export interface LiveTable<Row, Index extends string = string> extends TableReader<Row, Index> {
  /**
   * The rows that `getAll` returns, kept up to date.
   *
   * @throws InvalidArgumentError as `getAll`, but immediately
   *
   * @example
   * const largest = view.baskets.live({ index: 'byTotal', direction: 'prev', limit: 10 })
   */
  live(options?: QueryOptions<Index, Row>): LiveQuery<readonly Readonly<Row>[]>
  /** The row of a key, kept up to date. @throws InvalidArgumentError for what cannot be a key */
  liveRow(key: RowKey): LiveQuery<Readonly<Row> | undefined>
  /** How many rows there are, kept up to date. @throws InvalidArgumentError as `count`, but immediately */
  liveCount(options?: CountOptions<Index>): LiveQuery<number>
}

/** The tables of a view, by name. */
export type LiveTables<T extends Tables> = { readonly [N in keyof T]: LiveTable<RowOf<T[N]>, IndexOf<T[N]>> }

/** Puts a checked question to a table. */
export type Ask = (table: string, question: Query) => Promise<unknown>

/** Returns the live query of an identity; `query` is what it runs if there is none yet. */
export type LiveQueries = <V>(identity: string, query: (tables: unknown, ask: Ask) => V | Promise<V>) => LiveQuery<V>

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
