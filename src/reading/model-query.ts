/**
 * One query over the tables of a read model, as the source of a live query: everything that one answer holds belongs to
 * one commit.
 */
import type { Tables } from '../read-model/define.js'
import { equal } from '../read-model/equal.js'
import type { Answer, Query, ReadModelStorage, TableQuery } from '../read-model/storage.js'
import { commitStampOf } from './commits.js'
import type { LiveSource } from './live-query.js'
import type { LiveAnswer } from './live-snapshot.js'
import type { Ask } from './live-tables.js'
import { readers, type QueryTables } from './table-readers.js'

/** How often one run is tried because a commit came between its reads. */
const maxTries = 3

/** What a query works with. */
export interface QueryPorts {
  readonly storage: Pick<ReadModelStorage, 'state' | 'queries'>
  ask(table: string, query: Query): Promise<Answer>
  /** Calls `changed` after commits, and `ended` when the view is closed. Returns how to stop that. */
  watch(changed: (tables: readonly string[] | 'unknown') => void, ended: () => void): () => void
  /** Why there will never be another answer, if so. */
  end(): unknown
}

/** An answer that was read beforehand. */
interface Known extends TableQuery {
  readonly answer: Answer
}

/** What a live query runs. */
export type ModelQuery<T extends Tables, V> = (tables: QueryTables<T>, ask: Ask) => V | Promise<V>

export function modelQuery<T extends Tables, V>(
  tables: T,
  query: ModelQuery<T, V>,
  { storage, ask, watch, end }: QueryPorts,
): LiveSource<V> {
  /** The tables of the last answer, and of the run under way so far. */
  let touched: ReadonlySet<string> = new Set()
  let reading: ReadonlySet<string> = new Set()
  /** Runs the query once, with reads that were made beforehand. */
  const attempt = async (known: Known[]) => {
    const read = new Set<string>()
    reading = read
    const asked: TableQuery[] = []
    const stamps = new Map<string, number>()
    const asking = async (table: string, question: Query) => {
      read.add(table)
      asked.push({ table, query: question })
      const at = known.findIndex((one) => one.table === table && equal(one.query, question))
      const answer = known.splice(at, at < 0 ? 0 : 1)[0]?.answer ?? (await ask(table, question))
      stamps.set(commitStampOf(answer.state), answer.state.position)
      return answer
    }
    const data = await query(readers(tables, asking), async (...question) => (await asking(...question)).value)
    // A run that was given up knows less than the one that followed it.
    if (reading === read) touched = read
    return { data, asked, positions: [...stamps.values()] }
  }
  return {
    end,
    async evaluate(): Promise<LiveAnswer<V> | undefined> {
      /** What the last try asked, read at one moment: the next try, which asks the same, reads one commit. */
      let known: Known[] = []
      for (let tries = 1; ; tries += 1) {
        const { data, asked, positions } = await attempt(known)
        if (positions.length < 2) return { data, position: positions[0] ?? (await storage.state()).position }
        if (tries === maxTries) return undefined
        const { values, state } = await storage.queries(asked)
        known = asked.map((one, at) => ({ ...one, answer: { value: values[at], state } }))
      }
    },
    watch: (changed, ended) =>
      watch((changes) => {
        // Nothing is known to be touched before the first answer.
        if (
          touched.size === 0 ||
          changes === 'unknown' ||
          changes.some((table) => touched.has(table) || reading.has(table))
        )
          changed()
      }, ended),
  }
}
