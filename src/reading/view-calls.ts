/** What an app calls to query a read model, whether its view is open already or not. */
import { InvalidArgumentError } from '../errors.js'
import { say } from '../messages.js'
import type { Clock } from '../platform/clock.js'
import type { Tables } from '../read-model/define.js'
import { identityOf } from './identity.js'
import { KeyTexts } from './key-texts.js'
import type { LiveQuery } from './live-query.js'
import { liveTables, type LiveTables } from './live-tables.js'
import { Memo } from './memo.js'
import type { ModelQuery, QueryPorts } from './model-query.js'
import { readers } from './table-readers.js'
import { unkeyed } from './unkeyed.js'

/** What queries are put to. */
export interface ViewPorts<T extends Tables> {
  readonly ask: QueryPorts['ask']
  /**
   * Makes a live query. `rested` is called when it rests. `identity`: the same for the same query of code that was edited,
   * in the development build.
   */
  make<V>(query: ModelQuery<T, V>, rested?: () => void, identity?: string): LiveQuery<V>
}

/** The tables of a view, and its live queries. */
export interface ViewCalls<T extends Tables> {
  readonly tables: LiveTables<T>
  live<V>(...given: [query: ModelQuery<T, V>] | [key: readonly unknown[], query: ModelQuery<T, V>]): LiveQuery<V>
  /** Holds no query any more. */
  close(): void
}

/** @param model what warnings call the read model */
export function viewCalls<T extends Tables>(
  tables: T,
  model: string,
  { ask, make }: ViewPorts<T>,
  clock: Clock,
): ViewCalls<T> {
  const texts = __DEV__ ? new KeyTexts(model) : undefined
  const known = new Memo<LiveQuery<unknown>>(clock)
  const unnamed = __DEV__ ? ofText() : undefined
  const memoised = <V, X = {}>(identity: string, query: ModelQuery<T, V>, extra?: X, text?: string): LiveQuery<V> & X =>
    known.get(identity, (used) =>
      Object.assign(make(query, used, __DEV__ ? `${identity} ${text}` : undefined), extra),
    ) as LiveQuery<V> & X
  return {
    tables: liveTables(tables, readers(tables, ask), memoised),
    live(...given) {
      const query = given.at(-1)
      if (typeof query !== 'function') throw new InvalidArgumentError('query', say`must be a function of the tables.`)
      if (given.length === 1)
        return __DEV__ ? noticed(make(query, undefined, unnamed?.(query)), unkeyed(model, clock)) : make(query)
      if (!Array.isArray(given[0])) throw new InvalidArgumentError('key', say`must be a list.`)
      const identity = identityOf(given[0])
      if (__DEV__) texts?.compare(identity, query)
      return memoised(`live ${identity}`, query, undefined, __DEV__ ? String(query) : undefined)
    },
    close: () => known.close(),
  }
}

/** Names queries that have no key, by their text: those of one text are made in the same order when a module runs again. */
function ofText(): (query: unknown) => string {
  const times = new Map<string, number>()
  return (query) => {
    const text = String(query)
    const before = times.get(text) ?? 0
    times.set(text, before + 1)
    return `${before} ${text}`
  }
}

/** Calls back when something subscribes. */
const noticed = <V>(live: LiveQuery<V>, used: () => void): LiveQuery<V> => ({
  ...live,
  subscribe(listener) {
    used()
    return live.subscribe(listener)
  },
})
