/** The unit of work: handlers run on it in memory, and what they leave is committed together. */
import { InvalidArgumentError, describe } from '../errors.js'
import type { EventShape, RecordedEvent } from '../events/event.js'
import type { DeadLetterRecord, ProjectionTarget } from '../projection/target.js'
import type { Change, ProjectionDatabase } from './database.js'
import type { ProjectionDefinition, RowKey, TableWriter } from './define.js'

/** How many rows the leader keeps in memory besides those not yet committed. */
const maxCachedRows = 20_000

type Entry = { readonly key: RowKey; readonly row: unknown }
type Rows = Map<RowKey, Entry>

/** Where a row stands in a Map: a Date by its time, and no string can look like one. */
const slot = (key: RowKey): RowKey => (key instanceof Date ? `d${key.getTime()}` : typeof key === 'string' ? `s${key}` : key)

function assertKey(key: unknown, what: string): asserts key is RowKey {
  const fine = typeof key === 'string' || (typeof key === 'number' && Number.isFinite(key)) || (key instanceof Date && !Number.isNaN(key.getTime()))
  if (!fine) throw new InvalidArgumentError(what, `is ${describe(key)}; a key is a string, a finite number or a Date.`)
}

/** Nobody may change a row that the cache and later events rely on. */
function freeze(value: unknown, path: string): void {
  if (typeof value === 'function' || typeof value === 'symbol') throw new InvalidArgumentError(path, `is ${describe(value)}, which cannot be stored.`)
  if (typeof value !== 'object' || value === null || Object.isFrozen(value) || ArrayBuffer.isView(value)) return
  Object.freeze(value)
  for (const key of Object.keys(value)) freeze((value as Record<string, unknown>)[key], `${path}.${key}`)
}

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
  readonly #writers: Record<string, TableWriter<unknown>>

  constructor(definition: ProjectionDefinition<E>, database: ProjectionDatabase) {
    this.#definition = definition
    this.#database = database
    this.#writers = Object.fromEntries(Object.keys(definition.tables).map((name) => [name, this.#writer(name)]))
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
    let waiting: void | Promise<void>
    try {
      waiting = handler(event, this.#writers)
    } catch (error) {
      this.#staged = new Map()
      throw error
    }
    if (waiting === undefined) return this.#keep()
    return waiting.then(
      () => this.#keep(),
      (error: unknown) => {
        this.#staged = new Map()
        throw error
      },
    )
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

  #writer(name: string): TableWriter<unknown> {
    const keyName = this.#definition.tables[name]?.key as string
    const stage = (key: RowKey, row: unknown) => {
      let rows = this.#staged.get(name)
      if (rows === undefined) this.#staged.set(name, (rows = new Map()))
      rows.set(slot(key), { key, row })
    }
    const get = async (key: RowKey): Promise<unknown> => {
      assertKey(key, `The key of '${name}'`)
      const at = slot(key)
      const known = this.#staged.get(name)?.get(at) ?? this.#pending.get(name)?.get(at) ?? this.#cache.get(name)?.get(at)
      if (known !== undefined) return known.row ?? undefined
      if (this.#complete) return undefined
      const row = await this.#database.get(name, key)
      freeze(row, name)
      this.#remember(name, at, { key, row: row ?? null })
      return row
    }
    const put = (row: unknown) => {
      if (typeof row !== 'object' || row === null) throw new InvalidArgumentError(`A row of '${name}'`, 'must be an object.')
      const key = (row as Record<string, unknown>)[keyName]
      assertKey(key, `'${keyName}' of a row of '${name}'`)
      freeze(row, name)
      stage(key, row)
    }
    return {
      get,
      put,
      async update(key, change) {
        const row = change(await get(key))
        if (row === null) stage(key, null)
        else put(row)
      },
      delete(key) {
        assertKey(key, `The key of '${name}'`)
        stage(key, null)
      },
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
