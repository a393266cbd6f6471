/** Reading a read model from any tab, and live queries over it. */
import { ClosedError, InvalidArgumentError } from '../errors.js'
import type { EventShape } from '../events/event.js'
import { storeInternals, type TidemarkStore } from '../log/open.js'
import { ProjectionDatabase, type QueryOptions } from './database.js'
import type { ProjectionDefinition, RowKey, RowOf, Tables } from './define.js'

export interface TableReader<Row> {
  get(key: RowKey): Promise<Row | undefined>
  /** Rows in the order of the key, or of `index`. */
  getAll(options?: QueryOptions): Promise<Row[]>
}

export type TableReaders<T extends Tables> = { readonly [N in keyof T]: TableReader<RowOf<T[N]>> }

/** What a live query shows. */
export type LiveSnapshot<V> =
  | { readonly state: 'loading' }
  | { readonly state: 'ready'; readonly value: V; /** The checkpoint it was read at. */ readonly position: number }
  | { readonly state: 'error'; readonly error: unknown }

/** Fits `useSyncExternalStore(live.subscribe, live.getSnapshot)`. Runs while somebody is subscribed. */
export interface LiveQuery<V> {
  subscribe(listener: () => void): () => void
  /** The same object as long as the answer is the same. */
  getSnapshot(): LiveSnapshot<V>
}

export type ReadModel<T extends Tables> = TableReaders<T> & {
  /** Runs the query now and after every commit that touched a table it read, in whichever tab. */
  live<V>(query: (tables: TableReaders<T>) => V | Promise<V>): LiveQuery<V>
  /** Everything up to here is in the rows. */
  position(): Promise<number>
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/** A lost hint is made up for within so many ms (H66). */
const slowPoll = 5_000

/**
 * Opens the read model of a projection for reading. It need not be led by this tab, or be complete: see `position`.
 *
 * @throws ProjectionError with code 'definition-changed' if its tables were declared differently under the same version
 */
export async function openReadModel<E extends EventShape, T extends Tables>(store: TidemarkStore<E>, definition: ProjectionDefinition<E, T>): Promise<ReadModel<T>> {
  const { signals, incarnation } = storeInternals(store)
  if (incarnation === undefined) throw new InvalidArgumentError('store', 'keeps its log in memory, which cannot hold read models yet. Use a plain projector or liveProjection.')
  const database = new ProjectionDatabase(store.name, definition as unknown as ProjectionDefinition, await incarnation())
  const key = `${definition.name}@${definition.version}`
  await database.state()
  let closed = false
  const stops = new Set<() => void>()
  const readers = (touch: (table: string) => void) => Object.fromEntries(Object.keys(definition.tables).map((name) => [name, {
    get: (rowKey: RowKey) => (touch(name), database.get(name, rowKey)),
    getAll: (options: QueryOptions = {}) => (touch(name), database.getAll(name, options)),
  }])) as unknown as TableReaders<T>

  function live<V>(query: (tables: TableReaders<T>) => V | Promise<V>): LiveQuery<V> {
    let snapshot: LiveSnapshot<V> = { state: 'loading' }
    const listeners = new Set<() => void>()
    let touched = new Set<string>()
    let running = false
    let again = false
    let stop: (() => void) | undefined
    const set = (next: LiveSnapshot<V>) => {
      snapshot = next
      for (const listener of [...listeners]) listener()
    }
    const run = async () => {
      again = true
      if (running) return
      running = true
      try {
        while (again && stop !== undefined) {
          again = false
          const reads = new Set<string>()
          try {
            const { position } = await database.state()
            const value = await query(readers((table) => void reads.add(table)))
            touched = reads
            if (stop === undefined) return
            if (snapshot.state !== 'ready' || !same(snapshot.value, value)) set({ state: 'ready', value, position })
          } catch (error) {
            if (stop !== undefined) set({ state: 'error', error })
          }
        }
      } finally {
        running = false
      }
    }
    const start = () => {
      if (closed) throw new ClosedError(`The read model '${key}'`)
      let seen = -1
      const check = async () => {
        const { position } = await database.state().catch(() => ({ position: seen }))
        if (position !== seen) {
          seen = position
          void run()
        }
      }
      const unlisten = signals.listen((hint) => {
        if (hint.kind !== 'committed' || hint.projection !== key) return
        seen = Math.max(seen, hint.position)
        if (running || hint.tables.some((table) => touched.has(table))) void run()
      })
      const timer = setInterval(() => void check(), slowPoll)
      const shown = () => void check()
      globalThis.addEventListener?.('pageshow', shown)
      stop = () => {
        unlisten()
        clearInterval(timer)
        globalThis.removeEventListener?.('pageshow', shown)
        stops.delete(stop as () => void)
        stop = undefined
      }
      stops.add(stop)
      void run()
    }
    return {
      subscribe(listener) {
        const own = () => listener()
        listeners.add(own)
        if (stop === undefined) start()
        return () => {
          listeners.delete(own)
          if (listeners.size === 0) stop?.()
        }
      },
      getSnapshot: () => snapshot,
    }
  }

  const view = {
    ...readers(() => {}),
    live,
    position: async () => (await database.state()).position,
    async close() {
      closed = true
      for (const stop of [...stops]) stop()
      database.close()
    },
  }
  if (typeof Symbol.asyncDispose === 'symbol') Object.defineProperty(view, Symbol.asyncDispose, { value: () => view.close() })
  return view as unknown as ReadModel<T>
}

/** Equal in every part, for rows and lists of rows. */
function same(left: unknown, right: unknown): boolean {
  if (Object.is(left, right)) return true
  if (typeof left !== 'object' || typeof right !== 'object' || left === null || right === null) return false
  if (left instanceof Date && right instanceof Date) return left.getTime() === right.getTime()
  if (Array.isArray(left) !== Array.isArray(right)) return false
  const prototype = Object.getPrototypeOf(left) as unknown
  if (prototype !== Object.getPrototypeOf(right) || (prototype !== Object.prototype && !Array.isArray(left))) return false
  const keys = Object.keys(left)
  return keys.length === Object.keys(right).length
    && keys.every((key) => Object.hasOwn(right, key) && same((left as Record<string, unknown>)[key], (right as Record<string, unknown>)[key]))
}
