/** A list that grows page by page, and stays up to date. */
import { onlyKnown, wholeNumber } from '../platform/arguments.js'
import type { CountOptions, QueryOptions } from '../read-model/selection.js'
import type { Query } from '../read-model/storage.js'
import type { TableKeys } from '../read-model/table-keys.js'
import type { LiveQuery } from './live-query.js'
import type { Ask } from './table-readers.js'

/** Which rows a list has, and how many more there are each time. */
export type PageOptions<Keys extends TableKeys = TableKeys> = CountOptions<Keys> &
  Pick<QueryOptions, 'direction'> & {
    /** Rows per page: a whole number of at least 1. */
    readonly pageSize: number
  }

/** What a list shows. */
export interface LivePage<Row> {
  readonly rows: readonly Row[]
  /** There are more rows: `more()` shows the next page of them. */
  readonly hasMore: boolean
}

/** A live query whose list grows. */
export interface LivePages<Row> extends LiveQuery<LivePage<Row>> {
  /** Shows one more page. Changes nothing while the page before is being read, or where there are no more rows. */
  more(): void
}

/** What a list runs, and what it has in addition. */
export interface PagedQuery {
  readonly query: (tables: unknown, ask: Ask, again: () => void) => Promise<LivePage<object>>
  readonly extra: { more(): void }
}

const known = ['index', 'range', 'ranges', 'direction', 'pageSize']

/** Options as the app gave them, checked. `pageSize` is in `limit`. @throws InvalidArgumentError */
export function pagedOptions(given: PageOptions): QueryOptions & { readonly limit: number } {
  onlyKnown(given ?? null, known)
  const { pageSize, ...options } = given
  return { ...options, limit: wholeNumber(pageSize, 'pageSize', 1) }
}

/**
 * One window over the first pages, so that a row that moves from one page to another is neither missing nor there
 * twice.
 */
export function pagedQuery(table: string, question: Query & { readonly kind: 'all' }, pageSize: number): PagedQuery {
  let pages = 1
  /** Of how many pages the rows were read, if there are more of them. */
  let grows: number | undefined
  let again = () => {}
  return {
    async query(_, ask, rerun) {
      again = rerun
      const wanted = pages * pageSize
      const options = { ...question.options, limit: wanted + 1 < 2 ** 32 ? wanted + 1 : Infinity }
      const found = (await ask(table, { kind: 'all', options })) as readonly object[]
      const hasMore = found.length > wanted
      grows = hasMore ? wanted / pageSize : undefined
      return { rows: found.slice(0, wanted), hasMore }
    },
    extra: {
      more() {
        if (grows !== pages) return
        pages += 1
        again()
      },
    },
  }
}
