/**
 * One query over the tables of a read model, as the source of a live query: everything that one answer holds belongs to
 * one commit.
 */
import type { Tables } from '../read-model/define.js'
import { getOrMake } from '../platform/get-or-make.js'
import { equal } from '../read-model/equal.js'
import { atKeyPath, mapKeyOf, type MapKey, type RowKey } from '../read-model/keys.js'
import { seenIn, type Seen } from '../read-model/stamps.js'
import type { StateRow } from '../read-model/state.js'
import type { Answer, Query, TableQuery } from '../read-model/storage.js'
import { readOf, touches, type Read } from './dependencies.js'
import type { News, QueryEngine } from './engine.js'
import type { ShownState } from './laid-over.js'
import type { LiveSource } from './live-query.js'
import type { LiveAnswer } from './live-snapshot.js'
import { frozen, share } from './share.js'
import { readers, type Ask, type QueryTables } from './table-readers.js'

/** How often one run is tried because a commit came between its reads. */
const maxTries = 3
/** How many changes are kept until a run ends; more than that may have changed anything. */
const mostHeld = 64

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

/** A read, and what readers saw then. */
interface Made extends Read {
  readonly at?: Seen
  readonly pending?: boolean | undefined
}

/** One try of a run, as far as it has come. */
interface Attempt {
  readonly asked: TableQuery[]
  readonly reads: Made[]
  readonly rows: Rows
  /** What readers saw, by stamp: several if a commit came between its reads. */
  readonly states: Map<string, StateRow>
}

/** Puts what a try asks, with reads that were made beforehand. Rows that are the same as before are those objects. */
function asker(
  tables: Tables,
  ask: QueryPorts['ask'],
  known: Known[],
  before: Rows,
  { asked, reads, rows, states }: Attempt,
): QueryPorts['ask'] {
  const kept = (table: string, row: unknown): unknown => {
    if (row === undefined) return undefined
    const key = mapKeyOf(atKeyPath(row, (tables[table] as Tables[string]).key) as RowKey)
    const same = share(before.get(table)?.get(key), row)
    getOrMake(rows, table, () => new Map<MapKey, unknown>()).set(key, __DEV__ ? frozen(same) : same)
    return same
  }
  return async (table, question) => {
    asked.push({ table, query: question })
    // Until the result is there, a change of any row of the table counts.
    const place = reads.push({ table, keys: undefined }) - 1
    const at = known.findIndex((one) => one.table === table && equal(one.query, question))
    const before = known.splice(at, at < 0 ? 0 : 1)[0]
    const { value, state } = before?.answer ?? (await ask(table, question))
    const seen = seenIn(state)
    states.set(seen.stamp, state)
    const read = readOf(tables, table, question, value)
    const pending = (state as ShownState).pending?.has(before?.query ?? question)
    // A row that a list lacks for the time being is not among its keys.
    reads[place] = { ...read, keys: pending && read.selection ? undefined : read.keys, at: seen, pending }
    if (question.kind === 'count') return { value, state }
    return {
      value: Array.isArray(value) ? value.map((row) => kept(table, row)) : kept(table, value),
      state,
    }
  }
}

/** Whether a read saw these changes already. */
const isOfNews = ({ to, changes }: News, { at }: Made): boolean =>
  at !== undefined && (changes === 'unknown' ? to?.stamp === at.stamp : (to?.revision ?? Infinity) <= at.revision)

/** Whether a read may have another result since. */
const concerns = (news: News, read: Made): boolean => touches(read, news.changes) && !isOfNews(news, read)

/**
 * Runs the query until all that it read belongs to one commit; nothing if that does not succeed.
 *
 * @param begun called with each try
 */
async function ofOneCommit<T extends Tables, V>(
  tables: T,
  query: ModelQuery<T, V>,
  { engine, ask }: QueryPorts,
  before: Rows,
  again: () => void,
  begun: (one: Attempt) => void,
): Promise<(Pick<Attempt, 'rows' | 'reads'> & { readonly data: V; readonly state: StateRow }) | undefined> {
  /** What the last try asked, read at one moment: the next try, which asks the same, reads one commit. */
  let known: Known[] = []
  for (let tries = 1; ; tries += 1) {
    const one: Attempt = { asked: [], reads: [], rows: new Map(), states: new Map() }
    begun(one)
    const put = asker(tables, ask, known, before, one)
    const run = async () => query(readers(tables, put), async (...question) => (await put(...question)).value, again)
    const outcome = await run().then(
      (data) => ({ data }),
      (error: unknown) => ({ error }),
    )
    if (one.states.size < 2) {
      if ('error' in outcome) throw outcome.error
      const state = [...one.states.values()][0] ?? (await engine.ask([])).state
      return { ...one, data: outcome.data, state }
    }
    // What it threw may come of reads that do not belong together.
    if (tries === maxTries) return undefined
    const { values, state } = await engine.ask(one.asked)
    known = one.asked.map((asked, at) => ({ ...asked, answer: { value: values[at], state } }))
  }
}

/** Keeps a change. When there are too many, one stands for all: a read that saw the newest of them saw all of them. */
function hold(held: News[], news: News): void {
  if (held.push(news) > mostHeld) held.splice(0, Infinity, { ...news, changes: 'unknown' })
}

export function modelQuery<T extends Tables, V>(tables: T, query: ModelQuery<T, V>, ports: QueryPorts): LiveSource<V> {
  const { engine, onEnd, end } = ports
  /** What the last run was made of, and what readers saw then: the latter only if it came to an answer. */
  let last: { readonly reads: readonly Made[]; readonly at: Seen | undefined } | undefined
  /** The revision that the last run began with or came to, or that this query was notified of since. */
  let known = 0
  /** A commit touched what the last run read. */
  let isBehind = false
  let rows: Rows = new Map()
  /** What the run under way has read. */
  let reads: readonly Made[] = []
  /** What changed since the run under way began: only at its end it is known whether that touches it. */
  let held: News[] | undefined
  let changed = () => {}
  const isTouchedBy = (news: News): boolean => {
    // A run that failed is made again at any change. A state that it saw already is no change.
    if (last?.at === undefined) return !last?.reads.length || last.reads.some((read) => !isOfNews(news, read))
    if (news.changes === 'unknown') return news.to?.stamp !== last.at.stamp
    return last.reads.some((read) => concerns(news, read))
  }
  const compare = (news: News) => {
    if (last?.reads.some((read) => concerns(news, read)) === true) isBehind = true
  }
  /** The run ends. One that was given up knows less than the one that followed it. */
  const finish = (mine: News[], answer?: StateRow) => {
    if (held !== mine) return
    held = undefined
    const at = answer && seenIn(answer)
    known = Math.max(known, at?.revision ?? 0)
    last = { reads, at }
    isBehind = false
    mine.forEach(compare)
    if (mine.some(isTouchedBy)) changed()
  }
  const evaluate = async (mine: News[]): Promise<LiveAnswer<V> | undefined> => {
    const begun = (one: Attempt) => {
      if (held === mine) reads = one.reads
    }
    const found = await ofOneCommit(tables, query, ports, rows, () => changed(), begun)
    if (found === undefined) return undefined
    const { data, state } = found
    if (held === mine) rows = found.rows
    finish(mine, state)
    const pending = found.reads.some((read) => read.pending) || undefined
    return { data, position: state.position, isShared: true, pending }
  }
  return {
    end,
    isLate: () => held !== undefined && held.length > 0,
    isBehind: () => engine.newest() > known,
    givenUp() {
      if (held !== undefined) finish(held)
    },
    async evaluate() {
      const mine: News[] = (held = [])
      known = engine.newest()
      try {
        return await evaluate(mine)
      } finally {
        finish(mine)
      }
    },
    watch(tell, ended, published) {
      changed = tell
      last = undefined
      isBehind = false
      const stopEnd = onEnd(ended)
      const stop = engine.follow({
        notice(news) {
          known = news.to?.revision ?? known
          // Of hundreds of queries a commit touches few: each is compared once.
          if (held === undefined && !isTouchedBy(news)) return
          compare(news)
          if (held !== undefined) hold(held, news)
          else changed()
        },
        published() {
          const isTouched = isBehind || held?.some((news) => reads.some((read) => concerns(news, read))) === true
          return isTouched ? published() : undefined
        },
      })
      return () => {
        changed = () => {}
        stop()
        stopEnd()
      }
    },
  }
}
