/** A read model in IndexedDB: rows, dead letters, and the checkpoint that commits with them. */
import { randomId } from '../../events/identifier.js'
import { commitWritten, requested } from '../../platform/indexeddb.js'
import type { OpenOptions } from '../../platform/opening-tries.js'
import { optional } from '../../platform/promises.js'
import { Slices } from '../../platform/slices.js'
import type { DeadLetterRecord } from '../../projection/target.js'
import { letterRemoved, type Replay } from '../dead-letters.js'
import type { Projection } from '../define.js'
import { equal } from '../equal.js'
import type { RowKey } from '../keys.js'
import { counted, type RowsMoved } from '../row-counts.js'
import {
  committed,
  workingSlot,
  type Commit,
  type RowChanges,
  type Slot,
  type StateRow,
  type Transition,
} from '../state.js'
import { stamped } from '../stamps.js'
import type { Answers, Moved, ReadModelStorage, TableQuery } from '../storage.js'
import { ReadModelDatabase } from './database.js'
import { everything, letterStore, rowStore, stateStore } from './layout.js'
import { leftOutBefore } from './old-versions.js'
import { PackMemory, packStampOf } from './pack-memory.js'
import { askRows, lettersAfter } from './questions.js'
import type { TablePacks } from './packs.js'
import { ordered, RowWrites, type OrderedChanges } from './row-writes.js'
import type { Found, TableLayout } from './table-layout.js'
import { say } from '../../messages.js'

/** How often the places of packs are read before rows are found without them. */
const maxTries = 4

/** One connection to a read model. */
export class IndexedDbStorage implements ReadModelStorage {
  readonly log: string
  readonly #store: string
  readonly #database: ReadModelDatabase
  readonly #key: string
  readonly #packs = new PackMemory()

  /** @param remake resolves if the log is there, so that a database that was lost may be created again and filled */
  constructor(storeName: string, definition: Projection, log: string, remake: () => Promise<unknown>) {
    this.log = log
    this.#store = storeName
    this.#database = new ReadModelDatabase(storeName, definition, log, remake)
    this.#key = this.#database.key
  }

  open(how?: OpenOptions): Promise<unknown> {
    return this.#database.open(how)
  }

  close(): void {
    this.#database.close()
  }

  state(): Promise<StateRow> {
    return this.#database.read(say`reading the state of '${this.#key}'`, [], (transaction) =>
      this.#database.state(transaction),
    )
  }

  async move(what: string, change: (before: StateRow) => Transition): Promise<Moved> {
    // Most changes take away no rows, and then only the state is locked.
    return (await this.#move(what, [], change)) ?? ((await this.#move(what, this.#everything, change)) as Moved)
  }

  async commit(change: Commit): Promise<Moved> {
    const { from, rows, letters, caughtUp } = change
    const slot = workingSlot(from)
    // Only what is written is locked; the end of a rebuild empties the slot that it leaves.
    const stores = from.rebuild !== undefined && caughtUp ? this.#everything : storesOf(slot, rows, letters.length > 0)
    // What the state will be, unless another run changed it.
    const expected = committed(this.#key, from, change)
    const drawn = randomId()
    const changes = await ordered(rows)
    const remembered = this.#packs.at(packStampOf(from, slot))
    let writes!: RowWrites
    const moved = await this.#database.write(say`committing to`, stores, async (transaction) => {
      // If a write were refused immediately, this one would have no listener (H5).
      const asked = optional(this.#database.state(transaction))
      writes = this.#writes(transaction, slot, changes, remembered)
      const put = (slices?: Slices) => {
        for (const letter of letters) transaction.objectStore(letterStore(slot)).put(letter)
        return writes.run(() => this.#database.state(transaction), slices)
      }
      if (expected.clear?.length || !writes.fitsInTurn(letters.length)) {
        const before = await asked
        const transition = committed(this.#key, before, change)
        await put(new Slices())
        return this.#finish(transaction, before, transition, drawn, { slot, added: writes.added() })
      }
      // In one turn with the question, since every turn costs a round trip. Its answer comes first, and takes
      // everything back if another run was there: nothing commits before. What fits in a turn waits for no request.
      await put()
      const rowsMoved = { slot, added: writes.added() }
      const after = counted(from, { ...expected, after: stamped(from, expected, drawn) }, false, rowsMoved)
      const last = transaction.objectStore(stateStore).put(after)
      const before = await asked
      const transition = committed(this.#key, before, change)
      if (!equal(before, from)) return this.#finish(transaction, before, transition, drawn, rowsMoved)
      await commitWritten(transaction, [last])
      return { before, after }
    })
    this.#packs.move(packStampOf(moved.after, slot), [...remembered, ...writes.packs()])
    return moved
  }

  async removeDeadLetter(position: number, replay?: Replay): Promise<Moved> {
    const { read = [], rows = new Map() } = replay ?? {}
    const changes = await ordered(rows)
    return this.#database.write(say`removing a dead letter of`, this.#everything, async (transaction) => {
      const before = await this.#database.state(transaction)
      const slot = before.shown
      const letters = transaction.objectStore(letterStore(slot))
      const letter = (await requested(letters.get(position))) as DeadLetterRecord | undefined
      const upToIt: DeadLetterRecord[] =
        letter?.holdsStream === true ? await requested(letters.getAll(IDBKeyRange.upperBound(position))) : []
      const now = await Promise.all(
        read.map(({ table, query }) => this.#database.table(transaction, slot, table).ask(query, true)),
      )
      const rowsAsRead = read.every(({ answer }, at) => equal(now[at] ?? null, answer))
      const after = letterRemoved(this.#key, before, { letter, upToIt, rowsAsRead }, replay?.from)
      const writes = this.#writes(transaction, slot, changes)
      await writes.run(() => this.#database.state(transaction), new Slices())
      letters.delete(position)
      const transition = { after, shows: replay !== undefined }
      return this.#finish(transaction, before, transition, randomId(), { slot, added: writes.added() })
    })
  }

  leftOutBefore(): Promise<readonly number[]> {
    return leftOutBefore(this.#store, this.#database.definition, this.log)
  }

  async rows(slot: Slot, table: string, keys: readonly RowKey[]): Promise<readonly unknown[]> {
    for (let tries = 1; ; tries += 1) {
      const memory = tries > maxTries ? undefined : this.#packs
      const rows = await this.#rowsOf(slot, table, (layout) => layout.rows(keys, memory))
      if (rows !== undefined) return rows
    }
  }

  async wholeTable(slot: Slot, table: string, most: number): Promise<readonly unknown[] | undefined> {
    const size = await this.#rowsOf(slot, table, (layout) => layout.size(this.#packs))
    if (size > most) return undefined
    const rows = await this.#rowsOf(slot, table, (layout) => layout.all(this.#packs))
    return rows.length > most ? undefined : rows
  }

  lastKey(slot: Slot, table: string): Promise<RowKey | undefined> {
    return this.#rowsOf(slot, table, async (layout) => {
      const key = await layout.lastKey()
      return () => key
    })
  }

  queries(asked: readonly TableQuery[], slot?: Slot): Promise<Answers> {
    return askRows(this.#database, asked, slot)
  }

  letters(after: number, limit: number, slot?: Slot): Promise<DeadLetterRecord[]> {
    return lettersAfter(this.#database, after, limit, slot)
  }

  get #everything(): readonly string[] {
    return everything(this.#database.definition.tables)
  }

  #writes(
    transaction: IDBTransaction,
    slot: Slot,
    changes: OrderedChanges,
    remembered?: ReadonlyMap<string, TablePacks>,
  ): RowWrites {
    return new RowWrites(changes, (table) => this.#database.table(transaction, slot, table), remembered)
  }

  /** Reads rows together with the state: a storage that shows neither has not said that a row is missing. */
  async #rowsOf<T>(slot: Slot, table: string, ask: (layout: TableLayout) => Promise<Found<T>>): Promise<T> {
    const [found, state] = await this.#database.read(say`reading '${table}'`, [rowStore(slot, table)], (transaction) =>
      // The state is asked last: as long as it shows, so did the rows.
      Promise.all([ask(this.#database.table(transaction, slot, table)), this.#database.state(transaction)]),
    )
    return found(packStampOf(state, slot))
  }

  /** Returns nothing if rows are to be taken away that are not among `stores`. */
  #move(what: string, stores: readonly string[], change: (before: StateRow) => Transition): Promise<Moved | undefined> {
    return this.#database.write(what, stores, async (transaction) => {
      const before = await this.#database.state(transaction)
      const transition = change(before)
      if (stores.length === 0 && transition.clear?.length) return undefined
      return this.#finish(transaction, before, transition, randomId())
    })
  }

  async #finish(
    transaction: IDBTransaction,
    before: StateRow,
    transition: Transition,
    drawn: string,
    moved?: RowsMoved,
  ): Promise<Moved> {
    const { clear = [] } = transition
    const countable = this.#database.countsRows(transaction, clear)
    const after = counted(before, { after: stamped(before, transition, drawn), clear }, countable, moved)
    for (const slot of clear) this.#database.clear(transaction, slot)
    this.#packs.move('')
    // The state comes last, so that its success speaks for every row before it.
    await commitWritten(transaction, [transaction.objectStore(stateStore).put(after)])
    return { before, after }
  }
}

const storesOf = (slot: Slot, rows: RowChanges, letters: boolean): readonly string[] => [
  ...[...rows.keys()].map((table) => rowStore(slot, table)),
  ...(letters ? [letterStore(slot)] : []),
]
