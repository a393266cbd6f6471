/**
 * One query over the tables of a read model, as the source of a live query: everything that one answer holds belongs to
 * one commit.
 */
import type { Tables } from '../read-model/define.js'
import { equal } from '../read-model/equal.js'
import { atKeyPath, mapKeyOf, type MapKey, type RowKey } from '../read-model/keys.js'
import { seenIn, type Seen } from '../read-model/stamps.js'
import type { StateRow } from '../read-model/state.js'
import type { Answer, Query, TableQuery } from '../read-model/storage.js'
import { readOf, touches, type Read } from './dependencies.js'
import type { News, QueryEngine } from './engine.js'
import type { LiveSource } from './live-query.js'
import type { LiveAnswer } from './live-snapshot.js'
import { frozen, share } from './share.js'
import { readers, type Ask, type QueryTables } from './table-readers.js'

/** How often one run is tried because a commit came between its reads. */
const maxTries = 3

/** What a query works with. */
export interface QueryPorts {
  readonly engine: QueryEngine
  ask(table: string, query: Query): Promise<Answer>
  /** Calls back when the view is closed. Returns how to stop that. */
  onEnd(ended: () => void): () => void
  /** Why there will never be another answer, if so. */
  end(): unknown
}

/** What a live query runs. `again` makes it run once more. */
export type ModelQuery<T extends Tables, V> = (tables: QueryTables<T>, ask: Ask, again: () => void) => V | Promise<V>

/** An answer that was read beforehand. */
interface Known extends TableQuery {
  readonly answer: Answer
}

/** Rows by table and key. */
type Rows = Map<string, Map<MapKey, unknown>>

/** One try of a run. */
interface Attempt<V> {
  readonly data: V
  readonly asked: readonly TableQuery[]
  readonly reads: readonly Read[]
  readonly rows: Rows
  /** What readers saw, by stamp: several if a commit came between its reads. */
  readonly states: ReadonlyMap<string, StateRow>
}

/** Runs the query once, with reads that were made beforehand. Rows that are the same as before are those objects. */
async function attempt<T extends Tables, V>(
  tables: T,
  query: ModelQuery<T, V>,
  ask: QueryPorts['ask'],
  known: Known[],
  before: Rows,
  again: () => void,
): Promise<Attempt<V>> {
  const asked: TableQuery[] = []
  const reads: Read[] = []
  const states = new Map<string, StateRow>()
  const rows: Rows = new Map()
  const kept = (table: string, row: unknown): unknown => {
    if (row === undefined) return undefined
    const key = mapKeyOf(atKeyPath(row, (tables[table] as Tables[string]).key) as RowKey)
    const same = share(before.get(table)?.get(key), row)
    const all = rows.get(table) ?? new Map<MapKey, unknown>()
    rows.set(table, all.set(key, __DEV__ ? frozen(same) : same))
    return same
  }
  const put = async (table: string, question: Query): Promise<Answer> => {
    asked.push({ table, query: question })
    const at = known.findIndex((one) => one.table === table && equal(one.query, question))
    const { value, state } = known.splice(at, at < 0 ? 0 : 1)[0]?.answer ?? (await ask(table, question))
    states.set(seenIn(state).stamp, state)
    reads.push(readOf(tables, table, question, value))
    if (question.kind === 'count') return { value, state }
    return {
      value: Array.isArray(value) ? value.map((row) => kept(table, row)) : kept(table, value),
      state,
    }
  }
  const data = await query(readers(tables, put), async (...question) => (await put(...question)).value, again)
  return { data, asked, reads, rows, states }
}

export function modelQuery<T extends Tables, V>(
  tables: T,
  query: ModelQuery<T, V>,
  { engine, ask, onEnd, end }: QueryPorts,
): LiveSource<V> {
  /** What the last answer was made of, and what readers saw then. Absent while that is not known. */
  let last: { readonly reads: readonly Read[]; readonly at: Seen } | undefined
  let rows: Rows = new Map()
  /** What changed since the run under way began: only at its end it is known whether that touches it. */
  let held: News[] | undefined
  let changed = () => {}
  const isTouchedBy = ({ to, changes }: News): boolean => {
    if (last === undefined) return true
    if (changes === 'unknown') return to?.stamp !== last.at.stamp
    return (to?.revision ?? Infinity) > last.at.revision && last.reads.some((read) => touches(read, changes))
  }
  /** The run ends. One that was given up knows less than the one that followed it. */
  const finish = (mine: News[], answer?: { readonly reads: readonly Read[]; readonly state: StateRow }) => {
    if (held !== mine) return
    held = undefined
    last = answer && { reads: answer.reads, at: seenIn(answer.state) }
    if (mine.some(isTouchedBy)) changed()
  }
  const evaluate = async (mine: News[]): Promise<LiveAnswer<V> | undefined> => {
    /** What the last try asked, read at one moment: the next try, which asks the same, reads one commit. */
    let known: Known[] = []
    for (let tries = 1; ; tries += 1) {
      const {
        data,
        asked,
        reads,
        rows: found,
        states,
      } = await attempt(tables, query, ask, known, rows, () => changed())
      if (states.size < 2) {
        const state = [...states.values()][0] ?? (await engine.ask([])).state
        if (held === mine) rows = found
        finish(mine, { reads, state })
        return { data, position: state.position, isShared: true }
      }
      if (tries === maxTries) return undefined
      const { values, state } = await engine.ask(asked)
      known = asked.map((one, at) => ({ ...one, answer: { value: values[at], state } }))
    }
  }
  return {
    end,
    isLate: () => held !== undefined && held.length > 0,
    async evaluate() {
      const mine: News[] = (held = [])
      try {
        return await evaluate(mine)
      } finally {
        finish(mine)
      }
    },
    watch(tell, ended, published) {
      changed = tell
      last = undefined
      const stopEnd = onEnd(ended)
      const stop = engine.follow({
        notice(news) {
          if (held !== undefined) held.push(news)
          else if (isTouchedBy(news)) changed()
        },
        published,
      })
      return () => {
        changed = () => {}
        stop()
        stopEnd()
      }
    },
  }
}
