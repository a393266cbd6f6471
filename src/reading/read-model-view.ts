/** Reading a read model from any tab, and live queries over it. */
import { ClosedError, InvalidArgumentError } from '../errors.js'
import { say } from '../messages.js'
import type { EventShape } from '../events/event.js'
import type { FitsStore, Reads } from '../events/fits.js'
import { storeInternals, type TidemarkStore } from '../log/open.js'
import { onlyKnown } from '../platform/arguments.js'
import { systemClock, type Clock } from '../platform/clock.js'
import { listenerSet } from '../platform/listeners.js'
import { lookOut } from '../platform/lookout.js'
import type { Signals } from '../platform/signals.js'
import { openStorage } from '../running/attach.js'
import {
  isDefinition,
  projectionKey,
  type IndexOf,
  type Projection,
  type RowOf,
  type Tables,
} from '../read-model/define.js'
import { equal } from '../read-model/equal.js'
import { assertKey, checkedRange, copyOfKey, isEmptyRange, type RowKey } from '../read-model/keys.js'
import { liveQuery, type LiveQuery, type LiveSource } from './live-query.js'
import { stampOf } from '../read-model/state.js'
import type { Answer, Query, QueryOptions, ReadModelStorage, Selection, TableQuery } from '../read-model/storage.js'

/** A table as a reader sees it. Rows are the reader's own copies. */
export interface TableReader<Row, Index extends string = string> {
  get(key: RowKey): Promise<Row | undefined>
  /**
   * Rows in the order of the key, or of `index`.
   *
   * @throws InvalidArgumentError for an unknown option, an index that is not declared, and a range or limit that makes no sense
   */
  getAll(options?: QueryOptions<Index>): Promise<Row[]>
  /** How many rows there are. Reads no rows, unless a table without indexes is asked for a range. */
  count(options?: Pick<QueryOptions<Index>, 'index' | 'range'>): Promise<number>
}

/** The tables of a read model as a reader sees them. */
export type TableReaders<T extends Tables> = { readonly [N in keyof T]: TableReader<RowOf<T[N]>, IndexOf<T[N]>> }

/** A read model, open for reading: its tables by name, and more. */
export type ReadModel<T extends Tables> = TableReaders<T> & {
  /** The tables by name, for code that does not know them. */
  readonly tables: TableReaders<T>
  /**
   * Runs the query now and after every commit that touched a table it read, in whichever tab. Everything that one run reads
   * belongs to one commit: where commits came between its reads it is run again, and until that succeeds the answer before stays.
   * Once the view is closed its snapshot says so: `'error'` with a ClosedError and the last value.
   */
  live<V>(query: (tables: TableReaders<T>) => V | Promise<V>): LiveQuery<V>
  /** Everything up to here is in the rows. */
  position(): Promise<number>
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/** What `openReadModel` takes. */
export interface ReadModelOptions {
  /** For tests: drives the pauses and limits of live queries. @default the clock of this context */
  readonly clock?: Clock
}

/** A lost hint is made up for within so many ms. */
const slowPoll = 5_000
/** How often one run of a live query is tried because a commit came between its reads. */
const maxTries = 3

/**
 * Opens the read model of a projection for reading. It need not be led by this tab, or be complete: see `position`.
 *
 * @throws InvalidArgumentError for what `defineProjection` did not make, and for an unknown option
 * @throws DefinitionChangedError if its tables, event types or filter were declared differently under the same version,
 *   or another definition of its name and version is in use in this context
 */
export async function openReadModel<E extends EventShape, T extends Tables>(
  store: TidemarkStore<E>,
  definition: Projection<E, T>,
  options?: ReadModelOptions,
): Promise<ReadModel<T>>
/** The same, for a definition that is typed by its own events: see `FitsStore`. */
export async function openReadModel<
  E extends EventShape,
  T extends Tables,
  Own extends EventShape = E,
  R extends Reads = Reads,
>(
  store: TidemarkStore<E>,
  definition: Projection<Own, T, R> & FitsStore<E, Own, R>,
  options?: ReadModelOptions,
): Promise<ReadModel<T>>
export async function openReadModel<E extends EventShape, T extends Tables>(
  store: TidemarkStore<E>,
  definition: Projection<E, T>,
  options: ReadModelOptions = {},
): Promise<ReadModel<T>> {
  onlyKnown(options, ['clock'])
  const { clock = systemClock } = options
  const { signals } = storeInternals(store)
  if (!isDefinition(definition)) throw new InvalidArgumentError('projection', say`must come from defineProjection.`)
  const key = projectionKey(definition)
  const { storage } = await openStorage(store, definition as unknown as Projection<E>)
  try {
    // The app asks: one try at once, whatever failed before.
    await storage.open({ urgent: true })
  } catch (error) {
    storage.close()
    throw error
  }
  let closed = false
  /** The live queries that have subscribers. */
  const watching = listenerSet()
  const closedError = () => new ClosedError(say`The read model '${key}'`)
  const ask = async (table: string, query: Query): Promise<Answer> => {
    if (closed) throw closedError()
    const { values, state } = await storage.queries([{ table, query }])
    return { value: values[0], state }
  }

  function live<V>(query: (tables: TableReaders<T>) => V | Promise<V>): LiveQuery<V> {
    if (typeof query !== 'function') throw new InvalidArgumentError('query', say`must be a function of the tables.`)
    let touched: ReadonlySet<string> = new Set()
    /** What the evaluation under way has read so far. */
    let reading: ReadonlySet<string> = new Set()
    const evaluate = async () => {
      /** What the last try asked, read at one moment: the next try, which asks the same, is not torn. */
      let known: Known[] = []
      for (let tries = 1; ; tries += 1) {
        const tables = new Set<string>()
        reading = tables
        const asked: TableQuery[] = []
        const stamps = new Map<string, number>()
        const value = await query(
          readers<T>(definition, async (table, question) => {
            tables.add(table)
            asked.push({ table, query: question })
            const at = known.findIndex((one) => one.table === table && equal(one.query, question))
            const answer = known.splice(at, at < 0 ? 0 : 1)[0]?.answer ?? (await ask(table, question))
            stamps.set(stampOf(answer.state, false), answer.state.position)
            return answer
          }),
        )
        // Another evaluation, if this one was given up meanwhile, knows better.
        if (reading === tables) touched = tables
        if (stamps.size < 2)
          return { data: value, position: [...stamps.values()][0] ?? (await storage.state()).position }
        if (tries === maxTries) return undefined
        const { values, state } = await storage.queries(asked)
        known = asked.map((one, at) => ({ ...one, answer: { value: values[at], state } }))
      }
    }
    const source: LiveSource<V> = {
      evaluate,
      end: () => (closed ? closedError() : undefined),
      watch(changed, ended) {
        // Nothing is known to be touched before the first answer.
        const stop = watchCommits(key, storage, signals, clock, (tables) => {
          if (
            touched.size === 0 ||
            tables === 'unknown' ||
            tables.some((table) => touched.has(table) || reading.has(table))
          )
            changed()
        })
        const remove = watching.add(ended)
        return () => {
          remove()
          stop()
        }
      },
    }
    return liveQuery(source, clock)
  }

  const tables = readers<T>(definition, ask)
  const view = {
    ...tables,
    tables,
    live,
    position: async () => (await storage.state()).position,
    async close() {
      closed = true
      watching.tell()
      storage.close()
    },
  }
  if (typeof Symbol.asyncDispose === 'symbol')
    Object.defineProperty(view, Symbol.asyncDispose, { value: () => view.close() })
  return view as unknown as ReadModel<T>
}

/** The tables of a definition, answered by `ask`. */
function readers<T extends Tables>(
  { tables }: { readonly tables: T },
  ask: (table: string, query: Query) => Promise<Answer>,
): TableReaders<T> {
  const selected = (
    name: string,
    options: QueryOptions,
    known: readonly string[],
  ): Selection & { readonly isEmpty: boolean } => {
    onlyKnown(options, known)
    const { index, direction, limit = Infinity } = options
    if (limit !== Infinity && !(Number.isInteger(limit) && limit >= 0))
      throw new InvalidArgumentError('limit', say`must be a whole number of at least 0, or Infinity.`)
    if (index !== undefined && !Object.hasOwn(tables[name]?.indexes ?? {}, index))
      throw new InvalidArgumentError('index', say`'${index}' is not declared for table '${name}'.`)
    if (direction !== undefined && direction !== 'next' && direction !== 'prev')
      throw new InvalidArgumentError('direction', say`must be 'next' or 'prev'.`)
    const range = checkedRange(options.range)
    // `getAll(range, 0)` would return everything (H15), and IndexedDB takes no count of 2 ** 32.
    return {
      index,
      range,
      direction,
      limit: limit < 2 ** 32 ? limit : Infinity,
      isEmpty: limit === 0 || isEmptyRange(range),
    }
  }
  const reader = (name: string): TableReader<unknown> => ({
    async get(key) {
      assertKey(key, say`The key of '${name}'`)
      return (await ask(name, { kind: 'get', key: copyOfKey(key) })).value
    },
    async getAll(given = {}) {
      const { isEmpty, ...options } = selected(name, given, ['index', 'range', 'direction', 'limit'])
      return isEmpty ? [] : ((await ask(name, { kind: 'all', options })).value as unknown[])
    },
    async count(given = {}) {
      const { isEmpty, ...options } = selected(name, given, ['index', 'range'])
      return isEmpty ? 0 : ((await ask(name, { kind: 'count', options })).value as number)
    },
  })
  return Object.fromEntries(Object.keys(tables).map((name) => [name, reader(name)])) as unknown as TableReaders<T>
}

/** An answer that was read beforehand. */
interface Known extends TableQuery {
  readonly answer: Answer
}

/** Tells of commits: by hints, and where those were lost by looking now and then. */
function watchCommits(
  key: string,
  storage: ReadModelStorage,
  signals: Signals,
  clock: Clock,
  changed: (tables: readonly string[] | 'unknown') => void,
): () => void {
  let seen: string | undefined
  const checkForCommit = async () => {
    // A first look that fails must not let the next one pass for it: what happened in between would be missed.
    const stamp = await storage.state().then(
      (state) => stampOf(state, false),
      () => seen ?? '',
    )
    if (stamp === seen) return
    const first = seen === undefined
    seen = stamp
    if (!first) changed('unknown')
  }
  void checkForCommit()
  const stopListening = signals.listen((hint) => {
    if (hint.kind !== 'committed' || hint.projection !== key) return
    changed(hint.tables)
  })
  const stopLooking = lookOut(clock, slowPoll, () => void checkForCommit())
  return () => {
    stopListening()
    stopLooking()
  }
}
