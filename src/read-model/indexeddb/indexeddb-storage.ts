/** The database of one projection version: rows, dead letters, and the checkpoint that commits with them. */
import { StorageDamagedError, StorageFailedError } from '../../errors.js'
import { say } from '../../messages.js'
import { databaseName } from '../../events/names.js'
import { readBackwards } from '../../platform/backwards.js'
import { readsBackwards } from '../../platform/engine-quirks.js'
import { Connection } from '../../platform/connection.js'
import { commitWritten, requested, requestedAll, transact } from '../../platform/indexeddb.js'
import type { OpenOptions } from '../../platform/opening-tries.js'
import { Slices } from '../../platform/slices.js'
import type { DeadLetterRecord, FaultOutcome, StoredFault } from '../../projection/target.js'
import { projectionKey, type Projection } from '../define.js'
import { equal } from '../equal.js'
import { assertSameDefinition, handledBy, mayBePacked, storedFingerprintOf } from '../fingerprint.js'
import { nativeRange, type RowKey } from '../keys.js'
import { letterStore, missingParts, rowStore, slots, stateStore } from './layout.js'
import { leftOutBefore } from './old-versions.js'
import { PackMemory, packStampOf } from './pack-memory.js'
import {
  askPacked,
  assertThere,
  isPacked,
  lastPackedKey,
  packedRow,
  readPacks,
  readRows,
  rowsOf,
} from './packed-rows.js'
import { maxRemembered, rowIn, rowsPerPack } from './packs.js'
import { counted, countedRows, type RowsMoved } from '../row-counts.js'
import { ordered, RowWrites } from './row-writes.js'
import {
  assertPossible,
  committed,
  emptyState,
  faulted,
  faultOutcome,
  letterBefore,
  looksBack,
  pausedOrNot,
  rebuildStarted,
  replayed,
  skipped,
  takeOver,
  tried,
  withoutLetter,
  workingSlot,
  type Commit,
  type RowChanges,
  type RowsRead,
  type Slot,
  type StateRow,
  type TakeOver,
  type Transition,
} from '../state.js'
import type { Answer, Query, ReadModelStorage, TableQuery } from '../storage.js'

/** How often the places of packs are asked for before rows are found without. */
const maxTries = 4
/** Dead letters that are read at once. */
const lettersAtOnce = 1024

/** No state is never "from the beginning", nor "lost": some engines answer reads with nothing while a page goes away. */
const silent = (key: string) =>
  new StorageFailedError(
    say`The read model '${key}' does not show its state: this page is going away, or it was damaged. Retry; if it goes on, raise 'version'.`,
    { outcome: 'not-written' },
  )

/** One connection to that database. */
export class IndexedDbStorage implements ReadModelStorage {
  readonly #store: string
  readonly #definition: Projection
  readonly #log: string
  readonly #connection: Connection
  readonly #key: string
  /** The name of the key of each table. */
  readonly #keyNames: ReadonlyMap<string, string>
  readonly #mayBePacked: ReadonlySet<string>
  readonly #packs = new PackMemory()
  /** Where readers were sent last; only the transaction knows where they belong. */
  #activeSlot: Slot = 0

  /** `remake` resolves while the log is there, so that rows can be folded again. */
  constructor(storeName: string, definition: Projection, log: string, remake: () => Promise<unknown>) {
    this.#store = storeName
    this.#definition = definition
    this.#log = log
    this.#key = projectionKey(definition)
    this.#keyNames = new Map(Object.entries(definition.tables).map(([name, { key }]) => [name, key]))
    this.#mayBePacked = new Set(
      Object.keys(definition.tables).filter((name) => mayBePacked(definition.tables[name] ?? {})),
    )
    const fingerprint = storedFingerprintOf(definition)
    this.#connection = new Connection({
      name: databaseName(storeName, this.#key),
      version: 1,
      label: say`The read model '${this.#key}'`,
      remake,
      upgrade: (database) => {
        for (const slot of slots) {
          for (const [name, { key, indexes = {} }] of Object.entries(definition.tables)) {
            const store = database.createObjectStore(
              rowStore(slot, name),
              this.#mayBePacked.has(name) ? {} : { keyPath: key },
            )
            for (const [index, keyPath] of Object.entries(indexes))
              store.createIndex(index, keyPath as string | string[])
          }
          database.createObjectStore(letterStore(slot), { keyPath: 'position' })
        }
        // By chance, so that no runner takes a database that was made again for the one before it.
        const epoch = Math.floor(Math.random() * 2 ** 32)
        const state = { ...emptyState(log, fingerprint, handledBy(definition)), epoch }
        database
          .createObjectStore(stateStore, { keyPath: 'key' })
          .put(counted(state, { after: state, clear: slots }, true))
          .catch(() => {})
      },
      verify: async (database) => {
        const damaged = (part: string) =>
          new StorageDamagedError(
            say`The read model '${this.#key}' lacks its ${part}, also after it was made again. Reload the page; raise 'version' if it goes on.`,
          )
        // Before anything is asked of the others: they may be those of another declaration.
        if (!database.objectStoreNames.contains(stateStore)) throw damaged('state')
        const row = (await transact(
          database,
          { stores: [stateStore], mode: 'readonly', what: say`opening '${this.#key}'` },
          (transaction) => requested(transaction.objectStore(stateStore).get('state')),
        )) as StateRow | undefined
        if (row === undefined) throw silent(this.#key)
        assertSameDefinition(definition, assertPossible(this.#key, row))
        const [part] = missingParts(database, definition.tables)
        if (part !== undefined) throw damaged(part)
        this.#activeSlot = row.shown
      },
    })
  }

  open(how?: OpenOptions): Promise<unknown> {
    return this.#connection.open(how)
  }

  state(): Promise<StateRow> {
    return this.#read(say`reading the state of '${this.#key}'`, [], (transaction) => this.#state(transaction))
  }

  async begin(how: TakeOver): Promise<StateRow> {
    const definition = this.#definition
    // Where they cannot be read a later run looks again.
    const carried = looksBack(how.seen, definition.version)
      ? await leftOutBefore(this.#store, definition, this.#log).catch(() => undefined)
      : undefined
    return this.#move(say`taking over '${this.#key}'`, (before) => {
      // A run of another definition may have been the first one to say which events it handles.
      assertSameDefinition(definition, before)
      return takeOver(before, this.#log, { ...how, handles: handledBy(definition), carried })
    })
  }

  tries(from: StateRow, position?: number): Promise<StateRow> {
    return this.#change(say`noting which event '${this.#key}' applies`, (before) =>
      tried(this.#key, before, from, position),
    )
  }

  async commit(change: Commit): Promise<StateRow> {
    const { from, rows, letters, caughtUp } = change
    const slot = workingSlot(from)
    // Only what is written is locked; the end of a rebuild empties the slot that it leaves.
    const stores =
      from.rebuild !== undefined && caughtUp ? this.#everything : this.#storesOf(slot, rows, letters.length > 0)
    // What the state will be, unless somebody touched it.
    const expected = committed(this.#key, from, change)
    const changes = await ordered(rows)
    const remembered = this.#packs.at(packStampOf(from, slot))
    const writes = new RowWrites(remembered, this.#keyNames)
    const after = await this.#write(say`committing to '${this.#key}'`, stores, async (transaction) => {
      const asked = this.#state(transaction)
      // Were a write refused at once, nobody would hear of this one (H5).
      asked.catch(() => {})
      writes.plan(transaction, slot, changes)
      const put = (slices?: Slices) => {
        for (const letter of letters) transaction.objectStore(letterStore(slot)).put(letter)
        return writes.run(() => this.#state(transaction), slices)
      }
      if (expected.clear.length > 0 || !writes.fitsInTurn(letters.length)) {
        const before = await asked
        const transition = committed(this.#key, before, change)
        await put(new Slices())
        return this.#finish(transaction, before, transition, { slot, added: writes.added() })
      }
      // In one turn with the question, since every turn costs a round trip. Its answer comes first, and takes everything back
      // if another run was there: nothing commits before. What fits in a turn waits for no request.
      await put()
      const moved = { slot, added: writes.added() }
      const after = counted(from, expected, false, moved)
      const last = transaction.objectStore(stateStore).put(after)
      const before = await asked
      const transition = committed(this.#key, before, change)
      if (!equal(before, from)) return this.#finish(transaction, before, transition, moved)
      await commitWritten(transaction, [last])
      return after
    })
    this.#packs.move(packStampOf(after, slot), [...remembered, ...writes.stored()])
    return after
  }

  async replay(from: StateRow, read: RowsRead, rows: RowChanges, letter: number): Promise<void> {
    const changes = await ordered(rows)
    const stores = new Set([
      ...read.map(({ table }) => rowStore(from.shown, table)),
      ...this.#storesOf(from.shown, rows, true),
    ])
    await this.#write(say`replaying a dead letter of '${this.#key}'`, [...stores], async (transaction) => {
      const before = await this.#state(transaction)
      const letters = transaction.objectStore(letterStore(from.shown))
      const found = (await requested(letters.get(letter))) as DeadLetterRecord | undefined
      const others =
        found?.holdsStream === true
          ? ((await requested(letters.getAll(IDBKeyRange.upperBound(letter)))) as DeadLetterRecord[])
          : []
      const now = await Promise.all(
        read.map(({ table, key }) => this.#row(transaction.objectStore(rowStore(from.shown, table)), table, key)),
      )
      const rowsAsRead = read.every(({ row }, at) => equal(now[at] ?? null, row ?? null))
      const after = replayed(this.#key, before, from, {
        letter: found !== undefined,
        waitsFor: letterBefore(found, others),
        rowsAsRead,
      })
      const writes = new RowWrites(new Map(), this.#keyNames)
      writes.plan(transaction, from.shown, changes)
      await writes.run(() => this.#state(transaction), new Slices())
      letters.delete(letter)
      return this.#finish(transaction, before, { after, clear: [] }, { slot: from.shown, added: writes.added() })
    })
  }

  async rebuild(): Promise<void> {
    await this.#move(say`rebuilding '${this.#key}'`, rebuildStarted)
  }

  async fault(from: StateRow, fault: StoredFault, survived?: number): Promise<FaultOutcome> {
    return faultOutcome(
      await this.#move(say`recording why '${this.#key}' stopped`, (before) => faulted(before, from, fault, survived)),
      fault,
    )
  }

  async skip(position: number): Promise<void> {
    await this.#change(say`skipping an event of '${this.#key}'`, (before) => skipped(before, position))
  }

  async setPaused(paused: boolean): Promise<void> {
    await this.#change(`${paused ? 'pausing' : 'resuming'} '${this.#key}'`, (before) => pausedOrNot(before, paused))
  }

  async row(slot: Slot, table: string, key: RowKey): Promise<unknown> {
    return (await this.rows(slot, table, [key]))[0]
  }

  async rows(slot: Slot, table: string, keys: readonly RowKey[]): Promise<unknown[]> {
    // Where the packs begin must be known before they can be asked for, and somebody may change that in between.
    for (let tries = 1; ; tries += 1) {
      const { stamp } = this.#packs
      const packs = this.#packs.at(stamp).get(table)
      const rows = await this.#rowsOf(slot, table, async (store, state) => {
        if (!isPacked(store) || tries > maxTries) return Promise.all(keys.map((key) => this.#row(store, table, key)))
        if (packs === undefined) {
          const [at, found] = await Promise.all([state, readPacks(store)])
          this.#packs.remember(packStampOf(at, slot), table, found)
          return undefined
        }
        const found = Array.from<unknown>({ length: keys.length })
        const recent: [RowKey, readonly unknown[]][] = []
        /** Which of the keys belong to a pack. */
        const wanted = new Map<RowKey, number[]>()
        for (const [index, key] of keys.entries()) {
          const first = packs.firstFor(key)
          if (first === undefined) continue
          const others = wanted.get(first)
          if (others === undefined) wanted.set(first, [index])
          else others.push(index)
        }
        const read = readRows(store, packs, wanted.keys(), (first, pack) => {
          for (const index of wanted.get(first) ?? [])
            found[index] = rowIn(pack, this.#keyNames.get(table) as string, keys[index])
          if (recent.length < maxRemembered) recent.push([first, pack])
        })
        const [at, there] = await Promise.all([state, read])
        if (packStampOf(at, slot) !== stamp) {
          this.#packs.move(packStampOf(at, slot))
          return undefined
        }
        assertThere(there, store)
        if (this.#packs.stamp === stamp) for (const [first, pack] of recent) packs.remember(first, pack)
        return found
      })
      if (rows !== undefined) return rows
    }
  }

  async wholeTable(slot: Slot, table: string, most: number): Promise<unknown[] | undefined> {
    const [records, packs, stamp] = await this.#rowsOf(slot, table, async (store, state) => {
      if (!isPacked(store)) return [await requested(store.count())] as const
      const [at, found] = await Promise.all([state, readPacks(store)])
      return [found.firsts.length * (rowsPerPack / 2), found, packStampOf(at, slot)] as const
    })
    if (records > most) return undefined
    const rows = await this.#rowsOf(slot, table, async (store, state) => {
      if (packs === undefined) return requestedAll(store.getAll())
      const [at, found] = await Promise.all([state, requestedAll(store.getAll())])
      const lists = found.map((record) => rowsOf(record, store))
      if (packStampOf(at, slot) === stamp) {
        for (const [index, first] of packs.firsts.entries()) packs.remember(first, lists[index] ?? [])
        this.#packs.remember(stamp, table, packs)
      }
      return lists.flat()
    })
    return rows.length > most ? undefined : rows
  }

  lastKey(slot: Slot, table: string): Promise<RowKey | undefined> {
    return this.#rowsOf(slot, table, async (store) => {
      if (isPacked(store)) return lastPackedKey(store, this.#keyNames.get(table) as string)
      return (await requested(store.openKeyCursor(null, 'prev')))?.primaryKey as RowKey | undefined
    })
  }

  async query(table: string, query: Query): Promise<Answer> {
    if (query.kind === 'count' && this.#mayBePacked.has(table) && nativeRange(query.options.range ?? {}) === null) {
      const keyName = this.#keyNames.get(table) as string
      const {
        state,
        values: [value],
      } = await this.#activeRows(
        say`reading '${table}'`,
        (slot) => [rowStore(slot, table)],
        (stores) => Promise.all(stores.map((rows) => (isPacked(rows) ? undefined : ask(rows, keyName, query)))),
        'one',
      )
      const count = value ?? countedRows(state, table)
      if (count !== undefined) return { state, value: count }
    }
    const {
      values: [value],
      state,
    } = await this.queries([{ table, query }])
    return { value, state }
  }

  async queries(asked: readonly TableQuery[]): Promise<{ values: unknown[]; state: StateRow }> {
    const turns = asked.some(({ table, query }) => this.#turnsOf(table, query) === 'several') ? 'several' : 'one'
    return this.#activeRows(
      say`reading '${asked[0]?.table}'`,
      (slot) => asked.map(({ table }) => rowStore(slot, table)),
      (stores) =>
        Promise.all(
          asked.map(({ table, query }, at) =>
            ask(stores[at] as IDBObjectStore, this.#keyNames.get(table) as string, query),
          ),
        ),
      turns,
    )
  }

  async letters(after: number, limit: number): Promise<DeadLetterRecord[]> {
    if (limit === 0) return []
    const { values } = await this.#activeRows(
      say`reading dead letters of '${this.#key}'`,
      (slot) => [letterStore(slot)],
      ([letters]) => requested((letters as IDBObjectStore).getAll(IDBKeyRange.lowerBound(after, true), limit)),
    )
    return values as DeadLetterRecord[]
  }

  async blockedStreams(slot: Slot): Promise<ReadonlySet<string>> {
    const blocked = new Set<string>()
    for (let after = 0, page: DeadLetterRecord[]; ; after = (page.at(-1) as DeadLetterRecord).position) {
      page = (await this.#read(say`reading dead letters of '${this.#key}'`, [letterStore(slot)], (transaction) =>
        requested(
          transaction.objectStore(letterStore(slot)).getAll(IDBKeyRange.lowerBound(after, true), lettersAtOnce),
        ),
      )) as DeadLetterRecord[]
      for (const { stream, holdsStream } of page) if (holdsStream === true) blocked.add(stream)
      if (page.length < lettersAtOnce) return blocked
    }
  }

  async discardLetter(position: number): Promise<void> {
    await this.#write(say`discarding a dead letter of '${this.#key}'`, slots.map(letterStore), async (transaction) => {
      const before = await this.#state(transaction)
      const letters = transaction.objectStore(letterStore(before.shown))
      const letter = (await requested(letters.get(position))) as DeadLetterRecord | undefined
      letters.delete(position)
      return this.#finish(transaction, before, {
        after: letter === undefined ? before : withoutLetter(before, letter.holdsStream === true),
        clear: [],
      })
    })
  }

  close(): void {
    this.#connection.close()
  }

  /** How many turns a question takes: a cursor needs this page for every record, a limit counts rows, not packs, and many rows are counted in parts. */
  #turnsOf(table: string, query: Query): 'one' | 'several' {
    if (query.kind === 'get') return 'one'
    const mayBePacked = this.#mayBePacked.has(table)
    if (query.kind === 'count') return mayBePacked ? 'several' : 'one'
    const { direction, limit = Infinity } = query.options
    return (direction === 'prev' && !readsBackwards()) || (limit !== Infinity && mayBePacked) ? 'several' : 'one'
  }

  /** Asks what readers see, in one turn with the state; asks again only if a rebuild was completed since the last time. */
  async #activeRows(
    what: string,
    storesOf: (slot: Slot) => readonly string[],
    work: (stores: IDBObjectStore[]) => Promise<unknown[]>,
    turns?: 'one' | 'several',
  ): Promise<{ values: unknown[]; state: StateRow }> {
    for (;;) {
      const slot = this.#activeSlot
      const names = storesOf(slot)
      const [state, values] = await this.#read(
        what,
        names,
        (transaction) =>
          Promise.all([this.#state(transaction), work(names.map((name) => transaction.objectStore(name)))]),
        turns,
      )
      if (state.shown === slot) return { values, state }
      this.#activeSlot = state.shown
    }
  }

  /** Asks for rows together with the state: a storage that shows neither has not said that a row is missing. */
  async #rowsOf<T>(
    slot: Slot,
    table: string,
    work: (rows: IDBObjectStore, state: Promise<StateRow>) => Promise<T>,
  ): Promise<T> {
    const [value] = await this.#read(say`reading '${table}'`, [rowStore(slot, table)], (transaction) => {
      let answer: (state: Promise<StateRow>) => void = () => {}
      const state = new Promise<StateRow>((resolve) => (answer = resolve))
      const value = work(transaction.objectStore(rowStore(slot, table)), state)
      // Asked last: as long as it shows, so did the rows.
      answer(this.#state(transaction))
      return Promise.all([value, state])
    })
    return value
  }

  /** One row, by one request. */
  #row(store: IDBObjectStore, table: string, key: RowKey): Promise<unknown> {
    return isPacked(store) ? packedRow(store, this.#keyNames.get(table) as string, key) : requested(store.get(key))
  }

  get #everything(): readonly string[] {
    return slots.flatMap((slot) => [
      ...[...this.#keyNames.keys()].map((table) => rowStore(slot, table)),
      letterStore(slot),
    ])
  }

  #storesOf(slot: Slot, rows: RowChanges, letters: boolean): readonly string[] {
    return [...[...rows.keys()].map((table) => rowStore(slot, table)), ...(letters ? [letterStore(slot)] : [])]
  }

  /** A change of the state alone. */
  #change(what: string, change: (before: StateRow) => StateRow): Promise<StateRow> {
    return this.#move(what, (before) => ({ after: change(before), clear: [] }), [])
  }

  /** A change of the state that brings no rows, but may take some away. */
  #move(what: string, transition: (before: StateRow) => Transition, stores = this.#everything): Promise<StateRow> {
    return this.#write(what, stores, async (transaction) => {
      const before = await this.#state(transaction)
      return this.#finish(transaction, before, transition(before))
    })
  }

  async #finish(
    transaction: IDBTransaction,
    before: StateRow,
    transition: Transition,
    moved?: RowsMoved,
  ): Promise<StateRow> {
    const { clear } = transition
    // Read models that are older than packs have rows that nothing counts.
    const countable = clear.every((slot) =>
      [...this.#mayBePacked].every((table) => isPacked(transaction.objectStore(rowStore(slot, table)))),
    )
    const after = counted(before, transition, countable, moved)
    for (const slot of clear) {
      for (const table of this.#keyNames.keys()) transaction.objectStore(rowStore(slot, table)).clear()
      transaction.objectStore(letterStore(slot)).clear()
    }
    this.#packs.move('')
    // The state comes last, so that its success speaks for every row before it.
    await commitWritten(transaction, [transaction.objectStore(stateStore).put(after)])
    return after
  }

  async #state(transaction: IDBTransaction): Promise<StateRow> {
    const row = (await requested(transaction.objectStore(stateStore).get('state'))) as StateRow | undefined
    if (row === undefined) throw silent(this.#key)
    return assertPossible(this.#key, row)
  }

  #read<T>(
    what: string,
    stores: readonly string[],
    work: (transaction: IDBTransaction) => Promise<T>,
    turns: 'one' | 'several' = 'one',
  ): Promise<T> {
    return this.#connection.transact({ stores: [...stores, stateStore], mode: 'readonly', turns, what }, work)
  }

  #write<T>(what: string, stores: readonly string[], work: (transaction: IDBTransaction) => Promise<T>): Promise<T> {
    // What is derived can be derived again, so it need not be flushed (H18).
    return this.#connection.transact(
      { stores: [...stores, stateStore], mode: 'readwrite', durability: 'relaxed', what },
      work,
    )
  }
}

function ask(store: IDBObjectStore, keyName: string, query: Query): Promise<unknown> {
  if (isPacked(store)) return askPacked(store, keyName, query)
  if (query.kind === 'get') return requested(store.get(query.key))
  const { index, range = {}, direction = 'next', limit = Infinity } = query.options
  const source = index === undefined ? store : store.index(index)
  const span = nativeRange(range)
  if (query.kind === 'count') return requested(source.count(span ?? undefined))
  return direction === 'next'
    ? requestedAll(source.getAll(span, limit === Infinity ? undefined : limit))
    : readBackwards(source, span, limit)
}
