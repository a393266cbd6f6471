/** The unit of work: handlers run on it in memory, and what they leave is committed together. */
import { InvalidArgumentError, describe } from '../errors.js'
import type { EventShape, RecordedEvent } from '../events/event.js'
import type { DeadLetterRecord, ProjectionTarget } from '../projection/target.js'
import type { Change, ProjectionDatabase } from './database.js'
import type { ProjectionDefinition, RowKey, TableWriter } from './define.js'

/** How many rows the leader keeps in memory besides those not yet committed. */
const maxCachedRows = 20_000

type Entry = { readonly key: RowKey; readonly row: unknown; /** The row holds what cannot be frozen. */ readonly copied?: true }
type Rows = Map<RowKey, Entry>

/** Where a row stands in a Map: a Date by its time, and no string can look like one. */
const slot = (key: RowKey): RowKey => (key instanceof Date ? `d${key.getTime()}` : typeof key === 'string' ? `s${key}` : key)

function assertKey(key: unknown, what: string): asserts key is RowKey {
  const fine = typeof key === 'string' || (typeof key === 'number' && Number.isFinite(key)) || (key instanceof Date && !Number.isNaN(key.getTime()))
  if (!fine) throw new InvalidArgumentError(what, `is ${describe(key)}; a key is a string, a finite number or a Date.`)
}

/** Objects seen by {@link seal}, and whether something in them can be changed although it is frozen. */
const sealed = new WeakMap<object, boolean>()

/**
 * Freezes a row in depth: nobody may change what the cache and later events rely on. Answers whether something in it
 * cannot be frozen (a Date, a Map, bytes): such a row is handed out as a copy.
 */
function seal(value: unknown, path: string): boolean {
  if (typeof value === 'function' || typeof value === 'symbol') throw new InvalidArgumentError(path, `is ${describe(value)}, which cannot be stored.`)
  if (typeof value !== 'object' || value === null) return false
  const known = sealed.get(value)
  if (known !== undefined) return known
  const prototype = Object.getPrototypeOf(value) as object | null
  if (!Array.isArray(value) && prototype !== null && Object.getPrototypeOf(prototype) !== null) return true
  // Set before going deeper, so that an object which contains itself ends the walk.
  sealed.set(value, false)
  Object.freeze(value)
  let changeable = false
  for (const key of Object.keys(value)) changeable = seal((value as Record<string, unknown>)[key], `${path}.${key}`) || changeable
  if (changeable) sealed.set(value, true)
  return changeable
}

/** A row as the cache may keep it. */
function kept(key: RowKey, row: unknown, table: string): Entry {
  if (!seal(row, table)) return { key, row }
  return { key, row: structuredClone(row), copied: true }
}

/** A row as a handler may have it. */
const handedOut = ({ row, copied }: Entry): unknown => (copied === true ? structuredClone(row) : (row ?? undefined))

/** Rows under the hands of one runner. */
export class UnitOfWork<E extends EventShape> {
  readonly #definition: ProjectionDefinition<E>
  readonly #database: ProjectionDatabase
  #cache = new Map<string, Rows>()
  #cached = 0
  /** Nothing was in the tables at the start and nothing was forgotten since: what is not in memory is not there. */
  #complete = false
  #pending = new Map<string, Rows>()
  #staged = new Map<string, Rows>()
  readonly #tables: readonly string[]

  constructor(definition: ProjectionDefinition<E>, database: ProjectionDatabase) {
    this.#definition = definition
    this.#database = database
    this.#tables = Object.keys(definition.tables)
  }

  /** Forgets everything. `empty` says that the tables are. */
  reset(empty: boolean): void {
    this.#cache = new Map()
    this.#cached = 0
    this.#complete = empty
    this.#pending = new Map()
    this.#staged = new Map()
  }

  /** Runs the handler; what it wrote counts only if it succeeds (N17). */
  apply(event: RecordedEvent<E>): void | Promise<void> {
    const handlers = this.#definition.on as Record<string, ((event: RecordedEvent<E>, tables: unknown) => void | Promise<void>) | undefined>
    const handler = Object.hasOwn(handlers, event.type) ? handlers[event.type] : undefined
    if (handler === undefined) return
    const scope = { open: true }
    const writers = Object.fromEntries(this.#tables.map((name) => [name, this.#writer(name, scope)]))
    const finish = () => {
      scope.open = false
      this.#keep()
    }
    const discard = (error: unknown): never => {
      scope.open = false
      this.#staged = new Map()
      throw error
    }
    let waiting: void | Promise<void>
    try {
      waiting = handler(event, writers)
    } catch (error) {
      return discard(error)
    }
    return waiting === undefined ? finish() : waiting.then(finish, discard)
  }

  /** What is to be committed. */
  get pending(): Change['rows'] {
    return this.#pending
  }

  /** The pending rows are stored now. */
  committed(): void {
    for (const [name, rows] of this.#pending) {
      for (const [key, entry] of rows) this.#remember(name, key, entry)
    }
    this.#pending = new Map()
  }

  #keep(): void {
    for (const [name, rows] of this.#staged) {
      let pending = this.#pending.get(name)
      if (pending === undefined) this.#pending.set(name, (pending = new Map()))
      for (const [key, entry] of rows) pending.set(key, entry)
    }
    if (this.#staged.size > 0) this.#staged = new Map()
  }

  #remember(name: string, key: RowKey, entry: Entry): void {
    if (this.#cached >= maxCachedRows) {
      // Simple and bounded: start the cache again rather than keep order for every read.
      this.#cache = new Map()
      this.#cached = 0
      this.#complete = false
    }
    let rows = this.#cache.get(name)
    if (rows === undefined) this.#cache.set(name, (rows = new Map()))
    if (!rows.has(key)) this.#cached += 1
    rows.set(key, entry)
  }

  #known(name: string, at: RowKey): Entry | undefined {
    return this.#staged.get(name)?.get(at) ?? this.#pending.get(name)?.get(at) ?? this.#cache.get(name)?.get(at)
  }

  async #load(name: string, key: RowKey): Promise<Entry> {
    const at = slot(key)
    const known = this.#known(name, at)
    if (known !== undefined) return known
    if (this.#complete) return { key, row: null }
    const row = await this.#database.get(name, key)
    // A write or another read of the same row may have come first.
    const meanwhile = this.#known(name, at)
    if (meanwhile !== undefined) return meanwhile
    const entry: Entry = row === undefined ? { key, row: null } : kept(key, row, name)
    this.#remember(name, at, entry)
    return entry
  }

  #writer(name: string, scope: { readonly open: boolean }): TableWriter<unknown> {
    const keyName = this.#definition.tables[name]?.key as string
    const assertOpen = () => {
      // Its event is done with: a write now would be counted to another one.
      if (!scope.open) throw new InvalidArgumentError(`Table '${name}'`, 'is used after its handler ended. Await everything inside the handler.')
    }
    const stage = (key: RowKey, entry: Entry) => {
      let rows = this.#staged.get(name)
      if (rows === undefined) this.#staged.set(name, (rows = new Map()))
      rows.set(slot(key), entry)
    }
    const put = (row: unknown) => {
      assertOpen()
      if (typeof row !== 'object' || row === null) throw new InvalidArgumentError(`A row of '${name}'`, 'must be an object.')
      const key = (row as Record<string, unknown>)[keyName]
      assertKey(key, `'${keyName}' of a row of '${name}'`)
      stage(key, kept(key, row, name))
    }
    const remove = (key: RowKey) => {
      assertOpen()
      assertKey(key, `The key of '${name}'`)
      stage(key, { key, row: null })
    }
    return {
      get: async (key) => {
        assertOpen()
        assertKey(key, `The key of '${name}'`)
        return handedOut(await this.#load(name, key))
      },
      put,
      update: async (key, change) => {
        assertOpen()
        assertKey(key, `The key of '${name}'`)
        const loaded = await this.#load(name, key)
        // Updates of one row side by side: each goes on from what the one before it left.
        const row = change(handedOut(this.#known(name, slot(key)) ?? loaded))
        if (row === null) remove(key)
        else put(row)
      },
      delete: remove,
    }
  }
}

/** A read model as what the runner drives. */
export function readModelTarget<E extends EventShape>(
  definition: ProjectionDefinition<E>,
  database: ProjectionDatabase,
  options: { readonly head: () => Promise<number>; readonly committed: (position: number, tables: readonly string[]) => void },
): ProjectionTarget<E> {
  const work = new UnitOfWork(definition, database)
  let expected = { position: 0, epoch: 0 }
  let letters: DeadLetterRecord[] = []
  return {
    name: definition.name,
    key: `${definition.name}@${definition.version}`,
    filter: definition.filter,
    transactional: true,
    onError: (failure) => definition.onError?.(failure) ?? 'fatal',
    async begin(owner) {
      const state = await database.begin(owner, await options.head())
      expected = { position: state.position, epoch: state.epoch }
      letters = []
      work.reset(state.position === 0)
      return state
    },
    apply: (event) => work.apply(event),
    park: (letter) => void letters.push(letter),
    async commit(position) {
      const rows = work.pending
      const state = await database.commit({ expected, position, rows, letters })
      expected = { position, epoch: expected.epoch }
      letters = []
      const tables = [...rows.keys()]
      work.committed()
      options.committed(position, tables)
      return { paused: state.paused }
    },
    reset() {
      letters = []
      work.reset(false)
    },
    state: () => database.state(),
    recordFault: (fault) => database.change({ fault }),
    setPaused: (paused) => database.change({ paused }),
    close() {},
  }
}

/** Applies a parked event again and takes its letter away in the same transaction; the checkpoint stays (N20). */
export async function replayLetter<E extends EventShape>(definition: ProjectionDefinition<E>, database: ProjectionDatabase, event: RecordedEvent<E>): Promise<readonly string[]> {
  for (let attempt = 1; ; attempt += 1) {
    const state = await database.state()
    const work = new UnitOfWork(definition, database)
    work.reset(false)
    await work.apply(event)
    try {
      await database.commit({ expected: state, position: state.position, rows: work.pending, letters: [], removeLetter: event.position })
      return [...work.pending.keys()]
    } catch (error) {
      // The projection went on in between: its rows are newer than those this replay started from.
      if ((error as { code?: string }).code !== 'leadership-lost' || attempt >= 10) throw error
    }
  }
}
