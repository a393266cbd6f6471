/** The rows that a transaction stores, as records of their own or in packs. */
import { requested } from '../../platform/indexeddb.js'
import { Slices } from '../../platform/slices.js'
import type { RowKey } from '../keys.js'
import { rowStore } from './layout.js'
import { assertThere, isPacked, readPacks, readRows } from './packed-rows.js'
import {
  manyChanges,
  maxRemembered,
  repack,
  type PackChange,
  type RowChange,
  type Stored,
  type TablePacks,
} from './packs.js'
import { inKeyOrder } from './row-order.js'
import type { RowChanges, Slot } from '../state.js'

/** How many rows are handed to the storage in one turn at most: each takes as much of the main thread as folding some ten events. */
const rowsPerTurn = 128
/** For how many rows a pack counts. */
const packEffort = 8
/** How many packs that are not remembered are read, changed and written at a time. */
const packsAtATime = 32

/** Changes of rows by table, each in the order of their keys. */
export type OrderedChanges = ReadonlyMap<string, readonly RowChange[]>

interface TableWrites {
  readonly table: string
  readonly store: IDBObjectStore
  readonly rows: readonly RowChange[]
  /** Only of a packed table; without, they are to be read first. */
  packs: TablePacks | undefined
  /** Where they are few. */
  readonly planned: readonly PackChange[] | undefined
  readonly stored: Stored[]
  /** How many rows more the table holds. */
  added: number
}

/** @returns the changes in order. Many take some of the page's turns. */
export async function ordered(changes: RowChanges): Promise<OrderedChanges> {
  const slices = new Slices()
  const tables = new Map<string, readonly RowChange[]>()
  for (const [table, rows] of changes) tables.set(table, await inKeyOrder(rows.values(), slices))
  return tables
}

/** The rows of one commit: planned, then handed over, then remembered. A transaction that is run again plans anew. */
export class RowWrites {
  readonly #remembered: ReadonlyMap<string, TablePacks>
  readonly #keyNames: ReadonlyMap<string, string>
  #tables: readonly TableWrites[] = []

  /** `remembered`: packs as they are, if the transaction finds the state that it expects. */
  constructor(remembered: ReadonlyMap<string, TablePacks>, keyNames: ReadonlyMap<string, string>) {
    this.#remembered = remembered
    this.#keyNames = keyNames
  }

  /** Begins, or begins again in another transaction. */
  plan(transaction: IDBTransaction, slot: Slot, changes: OrderedChanges): void {
    this.#tables = [...changes].map(([table, rows]) => {
      const store = transaction.objectStore(rowStore(slot, table))
      const packs = isPacked(store) ? this.#remembered.get(table) : undefined
      return {
        table,
        store,
        rows,
        packs,
        planned: packs !== undefined && rows.length <= manyChanges ? [...packs.changesOf(rows)] : undefined,
        stored: [],
        added: 0,
      }
    })
  }

  /** All of it can be written in the turn that it is asked for: nothing has to be read before, and it is not too much. */
  fitsInTurn(besides: number): boolean {
    let effort = besides
    for (const { store, rows, packs, planned } of this.#tables) {
      if (!isPacked(store)) effort += rows.length
      else if (packs === undefined || planned === undefined) return false
      else if (planned.every(({ first }) => first === undefined || packs.rowsOf(first) !== undefined))
        effort += planned.length * packEffort
      else return false
    }
    return effort <= rowsPerTurn
  }

  /**
   * Hands everything to the storage. With `slices` the page can paint and answer input in between: thousands of rows in one go would be a
   * long task. `shows` rejects where the storage answers with nothing what is there: packs that it did not show would be overwritten.
   */
  async run(shows: () => Promise<unknown>, slices?: Slices): Promise<void> {
    for (const writes of this.#tables) {
      if (isPacked(writes.store)) await this.#repack(writes, shows, slices)
      else {
        for (const { key, row } of writes.rows) {
          const request: IDBRequest = row === null ? writes.store.delete(key) : writes.store.put(row)
          if (slices?.isOver === true) await turn(request, slices)
        }
      }
    }
  }

  /** What is remembered of the tables once all of that is committed. */
  stored(): [string, TablePacks][] {
    return this.#tables.flatMap(({ table, packs, stored }) => {
      if (packs === undefined) return []
      packs.stored(stored)
      return [[table, packs]]
    })
  }

  /** How many rows more each packed table holds. */
  added(): [string, number][] {
    return this.#tables.flatMap(({ table, packs, added }) =>
      packs === undefined || added === 0 ? [] : [[table, added]],
    )
  }

  async #repack(writes: TableWrites, shows: () => Promise<unknown>, slices: Slices | undefined): Promise<void> {
    const { store, rows, table, stored } = writes
    const keyName = this.#keyNames.get(table) as string
    const packs = (writes.packs ??= (await Promise.all([readPacks(store), shows()]))[0])
    const planned = (writes.planned ?? packs.changesOf(rows))[Symbol.iterator]()
    // Of more packs, only the places are remembered: a table may be larger than memory.
    let room = maxRemembered
    const readPart = () => {
      const changes: PackChange[] = []
      for (let next; changes.length < packsAtATime && (next = planned.next()).done !== true;) changes.push(next.value)
      const firsts = changes
        .map(({ first }) => first)
        .filter((first) => first !== undefined && packs.rowsOf(first) === undefined)
      if (firsts.length === 0) return { changes }
      const found = new Map<RowKey, readonly unknown[]>()
      const reading = Promise.all([
        readRows(store, packs, firsts, (first, rows) => void found.set(first, rows)),
        shows(),
      ]).then(([there]) => {
        assertThere(there, store)
        return found
      })
      reading.catch(() => {})
      return { changes, reading }
    }
    // Those of the next part are on their way while this one is written.
    for (let coming = readPart(); coming.changes.length > 0;) {
      const { changes, reading } = coming
      const read = await reading
      coming = readPart()
      for (const change of changes) {
        const { first } = change
        const before = first === undefined ? [] : (packs.rowsOf(first) ?? read?.get(first) ?? [])
        const kept: Stored['packs'][number][] = []
        writes.added -= before.length
        let last: IDBRequest | undefined
        for (const pack of repack(keyName, before, change)) {
          if (last !== undefined && slices?.isOver === true) await turn(last, slices)
          last = store.put(pack.rows, pack.first)
          writes.added += pack.rows.length
          kept.push((room -= 1) < 0 ? { first: pack.first } : pack)
        }
        if (first !== undefined && kept.length === 0) last = store.delete(first)
        stored.push({ first, packs: kept })
        if (last !== undefined && slices?.isOver === true) await turn(last, slices)
      }
    }
  }
}

/** The page's turn: only a request keeps the transaction open meanwhile. */
async function turn(request: IDBRequest, slices: Slices): Promise<void> {
  await requested(request as IDBRequest<unknown>)
  slices.began()
}
