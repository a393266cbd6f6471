/** The unit of work: handlers run on it in memory, and what they leave is committed together. */
import { InvalidArgumentError } from '../errors.js'
import type { StandardResult, StandardSchema } from '../events/catalogue.js'
import type { EventShape, RecordedEvent } from '../events/event.js'
import { stackGuard, type StackGuard } from '../projection/stack-guard.js'
import type { ProjectionDefinition, TableFold, TableWriter } from './define.js'
import { assertKey, slotOf, type RowKey, type Slot } from './keys.js'
import { maxCachedRows, RowCache } from './row-cache.js'
import { handedOut, kept, type Entry } from './rows.js'
import type { RowChanges, RowsRead, Side } from './state.js'
import type { ReadModelStorage } from './storage.js'

type Rows = Map<Slot, Entry>
type Handler<E extends EventShape> = (event: RecordedEvent<E>, tables: unknown) => void | Promise<void>

/** After so many single reads of a table the whole of it is read at once, if it is not too large: a request costs more than a row. */
const readsBeforeWhole = 16

/** What was read of a table one row at a time. */
interface Reads {
  single: number
  /** The whole table is being read, or was and is too large. */
  whole: Promise<void> | undefined
}

/** Rows under the hands of one runner. */
export class UnitOfWork<E extends EventShape> {
  readonly #definition: ProjectionDefinition<E>
  readonly #storage: ReadModelStorage
  readonly #folds: readonly (readonly [string, TableFold<E, unknown>])[]
  readonly #tables: readonly string[]
  readonly #writers: WriterFactory
  readonly #handlers = stackGuard()
  #side: Side = 0
  #cache: RowCache
  #reads = new Map<string, Reads>()
  #pending = new Map<string, Rows>()
  #staged = new Map<string, Rows>()
  readonly #storageErrors = new WeakSet<object>()
  /** The storage failed to answer the handler that is at work: whatever it makes of that is worth nothing. */
  #unanswered: { readonly error: unknown } | undefined
  /** Every row that was read of the storage, for one who asked for that. */
  readonly #read: { table: string; key: RowKey; row: unknown }[] | undefined
  /** Copies every row that is put, so that one that cannot be stored fails its own event; see `distrust`. */
  #careful = false

  constructor(definition: ProjectionDefinition<E>, storage: ReadModelStorage, options: { readonly remembersReads?: boolean } = {}) {
    if (options.remembersReads === true) this.#read = []
    this.#definition = definition
    this.#storage = storage
    this.#tables = Object.keys(definition.tables)
    this.#folds = Object.entries(definition.fold) as unknown as (readonly [string, TableFold<E, unknown>])[]
    this.#writers = writerFactory(this.#tables, (table, scope) => this.#writer(table, scope))
    this.#cache = new RowCache(this.#tables, false)
  }

  /** Forgets everything, and works on a side from here on. `empty`: nothing is in its tables. */
  reset(side: Side, empty: boolean): void {
    this.#side = side
    this.#cache = new RowCache(this.#tables, empty)
    this.#reads = new Map()
    this.#pending = new Map()
    this.#staged = new Map()
  }

  /** Whether a handler asks; see `StackGuard`. */
  caller(): ReturnType<StackGuard['caller']> {
    return this.#handlers.caller()
  }

  /** The error is not the handler's: the storage failed to answer it. */
  isStorageFailure(error: unknown): boolean {
    return typeof error === 'object' && error !== null && this.#storageErrors.has(error)
  }

  /** A row could not be stored. From here on each is tried when it is put: slower, but then its event is to blame, not the commit. */
  distrust(): void {
    this.#careful = true
  }

  /** What is to be committed. */
  get pending(): RowChanges {
    return this.#pending
  }

  /** What was read of the storage, if it was to be remembered. */
  get read(): RowsRead {
    return this.#read ?? []
  }

  /** The pending rows are stored now. */
  committed(): void {
    for (const [table, rows] of this.#pending) {
      for (const [slot, entry] of rows) this.#cache.set(table, slot, entry)
    }
    this.#pending = new Map()
  }

  /** Loads together the rows that the folds of these events touch. */
  async prepare(events: readonly RecordedEvent<E>[]): Promise<void> {
    for (const [table, fold] of this.#folds) {
      const missing = this.#missing(table, fold, events)
      if (missing.length >= readsBeforeWhole) await this.#readWhole(table)
      const still = this.#cache.isComplete(table) ? [] : missing.filter((key) => this.#known(table, slotOf(key)) === undefined)
      if (still.length === 0) continue
      const rows = await this.#asked(this.#storage.rows(this.#side, table, still))
      still.forEach((key, at) => this.#remember(table, key, rows[at]))
    }
  }

  /** Runs the folds and the handler of an event; what they wrote counts only if all of it succeeds (N17). */
  apply(event: RecordedEvent<E>): void | Promise<void> {
    const { on } = this.#definition
    const handler = Object.hasOwn(on, event.type) ? ((on as Record<string, unknown>)[event.type] as Handler<E> | undefined) : undefined
    if (handler === undefined && this.#folds.length === 0) return
    const scope = { open: true }
    this.#unanswered = undefined
    const finish = () => {
      // A handler may have caught it, or taken the row for missing.
      if (this.#unanswered !== undefined) return discard(this.#unanswered.error)
      scope.open = false
      this.#handlers.leave()
      this.#keep()
    }
    const discard = (error: unknown): never => {
      scope.open = false
      this.#handlers.leave()
      this.#staged = new Map()
      throw error
    }
    const handle = (): void | Promise<void> => (handler === undefined ? undefined : this.#handlers.call(() => handler(event, this.#writers(scope))))
    let waiting: void | Promise<void>
    try {
      const folding = this.#fold(event)
      waiting = folding === undefined ? handle() : folding.then(handle)
    } catch (error) {
      return discard(error)
    }
    return waiting === undefined ? finish() : waiting.then(finish, discard)
  }

  /** Waits only for rows that were not prepared. */
  #fold(event: RecordedEvent<E>): void | Promise<void> {
    for (const [at, [table, fold]] of this.#folds.entries()) {
      const key = fold.key(event)
      if (key === undefined) continue
      assertKey(key, `The key of fold '${table}'`)
      const known = this.#known(table, slotOf(key))
      if (known === undefined && !this.#cache.isComplete(table)) return this.#foldSlowly(event, at)
      this.#evolve(table, fold, key, known, event)
    }
  }

  async #foldSlowly(event: RecordedEvent<E>, from: number): Promise<void> {
    for (const [table, fold] of this.#folds.slice(from)) {
      const key = fold.key(event)
      if (key !== undefined) this.#evolve(table, fold, key, await this.#load(table, key), event)
    }
  }

  #evolve(table: string, fold: TableFold<E, unknown>, key: RowKey, entry: Entry | undefined, event: RecordedEvent<E>): void {
    const before = entry === undefined ? undefined : handedOut(entry)
    const after = fold.evolve(before, event)
    if (after === before && after !== undefined && entry?.copied !== true) return
    if (after === null) {
      if (before !== undefined) this.#stage(table, { key, row: null })
      return
    }
    const row = this.#checked(table, after)
    if (slotOf(this.#keyOf(table, row)) !== slotOf(key)) throw new InvalidArgumentError(`fold.${table}.evolve`, "answered a row with another key than 'key' did.")
    this.#stage(table, this.#kept(key, row as object, table))
  }

  #kept(key: RowKey, row: object, table: string): Entry {
    const entry = kept(key, row, table)
    if (this.#careful) {
      try {
        structuredClone(row)
      } catch (cause) {
        throw new InvalidArgumentError(`A row of '${table}'`, `cannot be stored: ${(cause as Error).message} Put plain copies, not proxies or objects of the page.`)
      }
    }
    return entry
  }

  #missing(table: string, fold: TableFold<E, unknown>, events: readonly RecordedEvent<E>[]): RowKey[] {
    if (this.#cache.isComplete(table)) return []
    const missing = new Map<Slot, RowKey>()
    for (const event of events) {
      let key: RowKey | undefined
      try {
        key = fold.key(event)
        if (key === undefined) continue
        assertKey(key, '')
      } catch {
        // The event fails when its turn comes, and then its policy is asked.
        continue
      }
      const slot = slotOf(key)
      if (!missing.has(slot) && this.#known(table, slot) === undefined) missing.set(slot, key)
    }
    return [...missing.values()]
  }

  #keep(): void {
    if (this.#staged.size === 0) return
    for (const [table, rows] of this.#staged) {
      let pending = this.#pending.get(table)
      if (pending === undefined) this.#pending.set(table, (pending = new Map()))
      for (const [slot, entry] of rows) pending.set(slot, entry)
    }
    this.#staged = new Map()
  }

  #stage(table: string, entry: Entry): void {
    let rows = this.#staged.get(table)
    if (rows === undefined) this.#staged.set(table, (rows = new Map()))
    rows.set(slotOf(entry.key), entry)
  }

  #known(table: string, slot: Slot): Entry | undefined {
    return this.#staged.get(table)?.get(slot) ?? this.#pending.get(table)?.get(slot) ?? this.#cache.get(table, slot)
  }

  #remember(table: string, key: RowKey, row: unknown): Entry {
    const entry: Entry = row === undefined ? { key, row: null } : kept(key, row as object, table)
    this.#read?.push({ table, key, row: entry.row })
    this.#cache.set(table, slotOf(key), entry)
    return entry
  }

  async #load(table: string, key: RowKey): Promise<Entry> {
    const slot = slotOf(key)
    const absent: Entry = { key, row: null }
    const known = this.#known(table, slot)
    if (known !== undefined) return known
    if (this.#cache.isComplete(table)) return absent
    const reads = this.#readsOf(table)
    reads.single += 1
    if (reads.single >= readsBeforeWhole && this.#read === undefined) await this.#readWhole(table)
    const row = this.#cache.isComplete(table) ? undefined : await this.#asked(this.#storage.row(this.#side, table, key))
    // A write or another read of the same row may have come first.
    return this.#known(table, slot) ?? (row === undefined && this.#cache.isComplete(table) ? absent : this.#remember(table, key, row))
  }

  #readsOf(table: string): Reads {
    let reads = this.#reads.get(table)
    if (reads === undefined) this.#reads.set(table, (reads = { single: 0, whole: undefined }))
    return reads
  }

  #readWhole(table: string): Promise<void> {
    const reads = this.#readsOf(table)
    const cache = this.#cache
    return (reads.whole ??= this.#storage.wholeTable(this.#side, table, maxCachedRows / 2).then(
      (rows) => {
        if (rows === undefined) return
        for (const row of rows) {
          const key = this.#keyOf(table, row)
          if (cache.get(table, slotOf(key)) === undefined) cache.set(table, slotOf(key), kept(key, row as object, table))
        }
        cache.markComplete(table)
      },
      // Too much for one answer, perhaps: then it goes on row by row, and what is really wrong shows there.
      () => {},
    ))
  }

  /** Remembers that a failure was the storage's, so that no event is blamed for it. */
  #asked<T>(answer: Promise<T>): Promise<T> {
    return answer.catch((error: unknown) => {
      if (typeof error === 'object' && error !== null) this.#storageErrors.add(error)
      this.#unanswered = { error }
      throw error
    })
  }

  #keyOf(table: string, row: unknown): RowKey {
    const name = this.#definition.tables[table]?.key as string
    if (typeof row !== 'object' || row === null) throw new InvalidArgumentError(`A row of '${table}'`, 'must be an object.')
    const key = (row as Record<string, unknown>)[name]
    assertKey(key, `'${name}' of a row of '${table}'`)
    return key
  }

  #checked(table: string, row: unknown): unknown {
    const schema = this.#definition.tables[table]?.schema as StandardSchema | undefined
    if (schema === undefined) return row
    const result = schema['~standard'].validate(row) as StandardResult<unknown> | Promise<unknown>
    if (result instanceof Promise) throw new InvalidArgumentError(`tables.${table}.schema`, 'answers later; a row must be checked at once.')
    if (result.issues !== undefined) {
      throw new InvalidArgumentError(`A row of '${table}'`, `does not fit its schema: ${result.issues.map(({ message }) => message).join('; ')}`)
    }
    return result.value
  }

  #writer(table: string, scope: { readonly open: boolean }): TableWriter<unknown> {
    const assertOpen = () => {
      // Its event is done with: a write now would be counted to another one.
      if (!scope.open) throw new InvalidArgumentError(`Table '${table}'`, 'is used after its handler ended. Await everything inside the handler.')
    }
    const read = async (key: RowKey): Promise<Entry> => {
      assertOpen()
      assertKey(key, `The key of '${table}'`)
      const known = this.#known(table, slotOf(key))
      if (known !== undefined) return known
      const entry = await this.#load(table, key)
      if (scope.open) this.#handlers.resume()
      return entry
    }
    const put = (row: unknown) => {
      assertOpen()
      const checked = this.#checked(table, row)
      this.#stage(table, this.#kept(this.#keyOf(table, checked), checked as object, table))
    }
    const remove = (key: RowKey) => {
      assertOpen()
      assertKey(key, `The key of '${table}'`)
      this.#stage(table, { key, row: null })
    }
    return {
      get: async (key) => handedOut(await read(key)),
      put,
      update: async (key, change) => {
        const loaded = await read(key)
        // Updates of one row side by side: each goes on from what the one before it left.
        const row = change(handedOut(this.#known(table, slotOf(key)) ?? loaded))
        if (row === null) remove(key)
        else put(row)
      },
      delete: remove,
    }
  }
}

const scopeOf = Symbol('scope')
const madeOf = Symbol('made')
interface Writers {
  [scopeOf]: { readonly open: boolean }
  [madeOf]: Record<string, TableWriter<unknown>>
}
type WriterFactory = (scope: { readonly open: boolean }) => object

/** Makes the `tables` argument of handlers. A writer is made when a handler first names its table: most touch few of them. */
function writerFactory(tables: readonly string[], make: (table: string, scope: { readonly open: boolean }) => TableWriter<unknown>): WriterFactory {
  const prototype = Object.create(null) as Writers
  for (const table of tables) {
    Object.defineProperty(prototype, table, {
      enumerable: true,
      get(this: Writers) {
        return (this[madeOf][table] ??= make(table, this[scopeOf]))
      },
    })
  }
  return (scope) => {
    const writers = Object.create(prototype) as Writers
    writers[scopeOf] = scope
    writers[madeOf] = Object.create(null) as Record<string, TableWriter<unknown>>
    return writers
  }
}
