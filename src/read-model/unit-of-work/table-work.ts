/**
 * One table in a unit of work: it finds rows for handlers and folds, and keeps what they write until the commit. A write
 * is laid over what is read from then on; the writes of an event that fails are taken back.
 */
import { InvalidArgumentError } from '../../errors.js'
import { say } from '../../messages.js'
import type { StandardSchema } from '../../events/schema.js'
import type { TableDefinition } from '../define.js'
import { IndexWatch } from '../index-watch.js'
import { assertKey, keyOfRow, compareKeys, copyOfKey, mapKeyOf, type RowKey, type MapKey } from '../keys.js'
import { optional } from '../../platform/promises.js'
import { getOrMake } from '../../platform/get-or-make.js'
import type { Asked } from '../dead-letters.js'
import { select, type Selectable, type Selection } from '../selection.js'
import type { RowSource } from '../storage.js'
import { rowCheck } from './row-check.js'
import { maxCachedRows, RowCache } from './row-cache.js'
import { hasUnique, UniqueKeys, type Load, type Question } from './unique-keys.js'
import { rowsWithin } from './row-size.js'
import { kept, taken, type Entry } from './rows.js'
import { isObject } from '../../platform/objects.js'

/**
 * After this many single reads of a table all of it is read, if it is not too large: a request costs more than a row.
 */
export const readsBeforeWhole = 16

/** Of a table that is remembered whole, up to this many rows are searched in memory: an index finds more as quickly. */
export const searchedInMemory = 1024

/** What is read together for later: more would keep the page waiting for longer than a frame or two, in bytes. */
const readAtRest = 4_194_304

/** The same where a handler waits for many rows: more would take too much memory, too. */
export const readAtOnce = 67_108_864

/** How many rows one request asks for: finding more takes longer than a page may be kept waiting. */
const keysAtOnce = 1024

/** Gets every question, with the answer of the storage. */
export type Answered = Pick<Asked[], 'push'>

export interface TableWorkOptions {
  /** The table has no rows. */
  readonly empty: boolean
  /** What warnings call the projection. */
  readonly owner?: string
  /** Every answer is added to it. Rows are then read one by one, and only those that are asked for. */
  readonly read?: Answered | undefined
}

export class TableWork {
  readonly #name: string
  /** Checks a row, and returns it as it is stored: see {@link rowCheck}. */
  readonly checked: (row: unknown) => unknown
  readonly #source: RowSource
  readonly definition: Selectable
  readonly #read: Answered | undefined
  readonly #cache: RowCache
  /**
   * Rows that the events of the page at work touch, as they are now, whatever is committed meanwhile. No more than the
   * page has events, and none between pages.
   */
  #prepared = new Map<MapKey, Entry>()
  readonly #keyOfRow: string
  readonly #indexes: IndexWatch | undefined
  /** What is to be committed, the event at work included. */
  #pending = new Map<MapKey, Entry>()
  /** What the rows were in `#pending` that the current event wrote, alternately with their map keys. */
  #before: (MapKey | Entry | undefined)[] = []
  readonly #unique: UniqueKeys | undefined
  #singleReads = 0
  /** The whole table is being read, or was and is too large. */
  #whole: Promise<void> | undefined
  /**
   * No key in the table comes after this one, if `#endIsKnown`: rows of new keys in ascending order need no reading,
   * however many there are.
   */
  #last: RowKey | undefined
  #endIsKnown: boolean
  /** How often rows were committed: what was read before is old. */
  #commits = 0

  constructor(
    name: string,
    definition: TableDefinition<unknown>,
    source: RowSource,
    { empty, owner = '', read }: TableWorkOptions,
  ) {
    this.#name = name
    this.definition = definition
    this.#read = read
    if (__DEV__ && definition.indexes !== undefined) this.#indexes = new IndexWatch(owner, name, definition.indexes)
    this.checked = rowCheck(name, definition.schema as StandardSchema | undefined)
    this.#source = source
    this.#cache = new RowCache(empty)
    this.#endIsKnown = empty
    if (hasUnique(definition))
      this.#unique = new UniqueKeys(name, definition, {
        pending: (mapKey) => this.#pending.get(mapKey),
        cache: this.#cache,
        select: async (selection) => {
          await this.#countRead()
          return this.knownSelection(selection) ?? this.select(selection)
        },
      })
    this.#keyOfRow = say`'${definition.key}' of a row of '${name}'`
  }

  /** @throws InvalidArgumentError for what is no key of this table */
  assertKey(key: unknown, what: string): asserts key is RowKey {
    assertKey(this.definition.key, key, what)
  }

  /** What is to be committed. */
  get pending(): ReadonlyMap<MapKey, Entry> {
    return this.#pending
  }

  /** What is not remembered is not in the table. */
  get isComplete(): boolean {
    return this.#cache.isComplete
  }

  /** A row that needs no reading; nothing where only the storage knows. */
  known(key: RowKey): Entry | undefined {
    const mapKey = mapKeyOf(key)
    return (
      this.#pending.get(mapKey) ??
      this.#prepared.get(mapKey) ??
      this.#cache.get(mapKey) ??
      (this.#cache.isComplete || (this.#endIsKnown && this.#isAfterLast(key))
        ? { key: copyOfKey(key), row: null }
        : undefined)
    )
  }

  /** Reads a row that is not known. */
  async load(key: RowKey): Promise<Entry> {
    const whole = this.#countRead()
    if (whole !== undefined) {
      await whole
      const known = this.known(key)
      if (known !== undefined) return known
    }
    const commits = this.#commits
    const [row] = await this.#source.rows(this.#name, [key])
    // A write or another read of the same row may have come first; if the handler did not wait for this read, also a
    // commit.
    return this.known(key) ?? (this.#commits === commits ? this.#remember(key, row) : this.load(key))
  }

  /** Reads those rows together that are not known. */
  async loadAll(keys: readonly RowKey[]): Promise<void> {
    let missing = keys.filter((key) => this.known(key) === undefined)
    if (missing.length > 0) this.#singleReads ||= 1
    if (missing.length >= readsBeforeWhole && this.#read === undefined) {
      await this.#readWhole()
      missing = missing.filter((key) => this.known(key) === undefined)
    }
    // Neighbours are stored together.
    missing.sort(compareKeys)
    const ask = (from: number) => {
      const keys = missing.slice(from, from + keysAtOnce)
      return { keys, rows: optional(keys.length === 0 ? Promise.resolve([]) : this.#source.rows(this.#name, keys)) }
    }
    // What fits is at hand for the pages after this one, too.
    const isFew = missing.length <= maxCachedRows / 2
    const commits = this.#commits
    let coming = ask(0)
    for (let next = keysAtOnce; coming.keys.length > 0; next += keysAtOnce) {
      const { keys, rows } = coming
      // The storage finds the next ones while these are taken in; the first of all find out where to look.
      if (next > keysAtOnce) coming = ask(next)
      const found = await rows
      // A handler that did not wait: what was read may be old.
      if (this.#commits !== commits) return
      if (next === keysAtOnce) coming = ask(next)
      for (const [at, key] of keys.entries()) {
        const entry = this.#entryOf(key, found[at])
        this.#prepared.set(mapKeyOf(key), entry)
        if (isFew) this.#cache.set(mapKeyOf(key), entry)
      }
    }
  }

  /**
   * Nothing is to be done: a small table of which a row had to be read is read whole, so that the next events wait for
   * no row.
   */
  rest(): void {
    if (this.#endIsKnown || this.#singleReads === 0) return
    // If rows are committed meanwhile, it is tried again after the next read.
    this.#singleReads = 0
    void this.#readAllOrLast(searchedInMemory, readAtRest).catch(() => {})
  }

  /** The next page begins: what was prepared for the last one is of no more use. */
  endPage(): void {
    if (this.#prepared.size > 0) this.#prepared = new Map()
  }

  /** The rows that a selection finds, as they are now; nothing where only the storage knows. */
  knownSelection(selection: Selection): Entry[] | undefined {
    return this.#cache.isComplete && this.#cache.size <= searchedInMemory
      ? this.#laidOver(selection, this.#cache.entries())
      : undefined
  }

  /** The same of stored rows, with those that are to be committed laid over. */
  async select(selection: Selection): Promise<Entry[]> {
    const { limit = Infinity } = selection
    for (let most = limit; ;) {
      const commits = this.#commits
      const asked = { ...selection, limit: most }
      const rows = await this.#source.select(this.#name, asked)
      if (this.#commits !== commits) continue
      const stored = rows.map((row) => this.#stored(row as object))
      this.#read?.push({
        table: this.#name,
        query: { kind: 'all', options: asked },
        answer: stored.map(({ row }) => row),
      })
      const found = this.#laidOver(selection, stored)
      // Of the stored rows some are deleted, or are somewhere else now: the next ones take their places.
      if (rows.length < most || stored.filter(({ key }) => !this.#pending.has(mapKeyOf(key))).length >= limit)
        return found
      most *= 2
    }
  }

  /**
   * Whether a row that will soon be asked for must be loaded. If not, it stays at hand, whatever is committed first.
   */
  needs(key: RowKey): boolean {
    const known = this.known(key)
    if (known !== undefined) this.#prepared.set(mapKeyOf(key), known)
    return known === undefined
  }

  /**
   * @param expected the key of the row that is updated
   * @throws InvalidArgumentError for a row without a proper key, one that the table's schema refuses, and one that
   * cannot be stored
   */
  put(row: unknown, expected?: RowKey): void {
    if (row === undefined && expected !== undefined)
      throw new InvalidArgumentError(say`update() of '${this.#name}'`, say`must return a row, or null to delete it.`)
    const checked = this.checked(row)
    const key = this.keyOf(checked)
    if (expected !== undefined && mapKeyOf(key) !== mapKeyOf(expected)) {
      throw new InvalidArgumentError(
        say`update() or patch() of '${this.#name}'`,
        say`made a row with another key. Delete the one and put the other.`,
      )
    }
    this.stage(key, checked as object)
  }

  /** Puts a row that was checked, and whose key is known. */
  stage(key: RowKey, row: object): void {
    const entry = taken(copyOfKey(key), row, this.#name)
    if (mapKeyOf(this.keyOf(entry.row)) !== mapKeyOf(key))
      throw new InvalidArgumentError(this.#keyOfRow, say`changes each time it is read.`)
    this.#source.assertKeeps?.(this.#name, entry.key, entry.row as object)
    if (__DEV__) this.#indexes?.look(entry.key, entry.row)
    this.#write(entry)
  }

  remove(key: RowKey): void {
    this.#write({ key: copyOfKey(key), row: null })
  }

  /**
   * Checks that nothing which the event at work wrote is in a unique index twice.
   *
   * @returns what is still to be asked
   * @throws UniqueConflictError, and so do the questions
   */
  checkUnique(load: Load): readonly Question[] {
    if (this.#unique === undefined || this.#before.length === 0) return []
    return this.#unique.check(new Set(this.#before.filter((_, at) => at % 2 === 0) as MapKey[]), load)
  }

  /** The event at work is done: its writes stay. */
  keep(): void {
    this.#unique?.keep()
    if (this.#before.length > 0) this.#before = []
  }

  /** The event at work failed: its writes never were. */
  discard(): void {
    this.#unique?.discard()
    for (let at = this.#before.length - 2; at >= 0; at -= 2) {
      const mapKey = this.#before[at] as MapKey
      const entry = this.#before[at + 1] as Entry | undefined
      if (entry === undefined) this.#pending.delete(mapKey)
      else this.#pending.set(mapKey, entry)
    }
    this.#before = []
  }

  /** The pending rows are stored now. */
  committed(): void {
    this.#commits += 1
    for (const { key, row } of this.#pending.values()) if (row !== null) this.#sawKey(key)
    this.#cache.setAll(this.#pending)
    if (this.#prepared.size > 0)
      for (const [mapKey, entry] of this.#pending) if (this.#prepared.has(mapKey)) this.#prepared.set(mapKey, entry)
    this.#pending = new Map()
    this.#unique?.committed()
  }

  keyOf(row: unknown): RowKey {
    if (!isObject(row) || Array.isArray(row))
      throw new InvalidArgumentError(say`A row of '${this.#name}'`, say`must be an object.`)
    return keyOfRow(this.definition.key, row, this.#keyOfRow)
  }

  #laidOver(selection: Selection, stored: Iterable<Entry>): Entry[] {
    const rows: Entry[] = []
    for (const entry of this.#pending.values()) if (entry.row !== null) rows.push(entry)
    for (const entry of stored) if (entry.row !== null && !this.#pending.has(mapKeyOf(entry.key))) rows.push(entry)
    return select(selection, this.definition, rows)
  }

  /** A row that was read with others; remembered, since it is likely to be changed next. */
  #stored(row: object): Entry {
    const key = this.keyOf(row)
    return getOrMake(this.#cache, mapKeyOf(key), () => kept(key, row, this.#name))
  }

  #write(entry: Entry): void {
    const mapKey = mapKeyOf(entry.key)
    this.#before.push(mapKey, this.#pending.get(mapKey))
    this.#pending.set(mapKey, entry)
  }

  #remember(key: RowKey, row: unknown): Entry {
    const entry = this.#entryOf(key, row)
    this.#cache.set(mapKeyOf(key), entry)
    return entry
  }

  /** A row as it was read. */
  #entryOf(key: RowKey, row: unknown): Entry {
    const own = copyOfKey(key)
    const entry: Entry = row === undefined ? { key: own, row: null } : kept(own, row as object, this.#name)
    this.#read?.push({ table: this.#name, query: { kind: 'get', key: own }, answer: entry.row })
    return entry
  }

  /** Counts a read of few rows. After many of them, the whole table is to be read instead, and waited for. */
  #countRead(): Promise<void> | undefined {
    this.#singleReads += 1
    return this.#singleReads < readsBeforeWhole || this.#read !== undefined ? undefined : this.#readWhole()
  }

  #readWhole(): Promise<void> {
    // Perhaps it is too much for one request: then rows are read one by one, and a real fault shows there.
    return (this.#whole ??= this.#readAllOrLast(maxCachedRows / 2, readAtOnce).catch(() => {}))
  }

  /** @param bytes judged by the rows that are remembered */
  async #readAllOrLast(most: number, bytes: number): Promise<void> {
    const commits = this.#commits
    const rows = await this.#source.wholeTable(this.#name, rowsWithin(bytes, this.#cache.entries(), most))
    if (this.#commits !== commits) return
    if (rows === undefined) {
      const last = await this.#source.lastKey(this.#name)
      if (last !== undefined) this.#sawKey(last)
    } else {
      for (const row of rows) {
        this.#sawKey(this.#stored(row as object).key)
      }
      this.#cache.markComplete()
    }
    this.#endIsKnown = true
  }

  #isAfterLast(key: RowKey): boolean {
    return this.#last === undefined || compareKeys(key, this.#last) > 0
  }

  #sawKey(key: RowKey): void {
    if (this.#isAfterLast(key)) this.#last = key
  }
}
