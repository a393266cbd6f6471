/** The rows that a transaction stores, as records of their own or in packs. */
import { requested } from '../platform/indexeddb.js'
import type { Slices } from '../platform/slices.js'
import type { RowKey } from './keys.js'
import { rowStore } from './layout.js'
import { assertThere, isPacked, readPacks, readRows } from './packed-rows.js'
import { maxRemembered, repack, type PackChange, type RowChange, type Stored, type TablePacks } from './packs.js'
import type { RowChanges, Side } from './state.js'

/** How many rows are handed to the storage in one turn at most: each takes as much of the main thread as folding some ten events. */
const rowsPerTurn = 128
/** For how many rows a pack counts. */
const packEffort = 8
/** How many packs that are not remembered are read, changed and written at a time. */
const packsAtATime = 32

interface TableWrites {
  readonly table: string
  readonly store: IDBObjectStore
  readonly rows: readonly RowChange[]
  /** Only of a packed table; without, they are to be read first. */
  packs: TablePacks | undefined
  planned: readonly PackChange[] | undefined
  readonly stored: Stored[]
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
  plan(transaction: IDBTransaction, side: Side, changes: RowChanges): void {
    this.#tables = [...changes].map(([table, rows]) => {
      const store = transaction.objectStore(rowStore(side, table))
      const packs = isPacked(store) ? this.#remembered.get(table) : undefined
      return { table, store, rows: [...rows.values()], packs, planned: packs?.changesOf(rows.values()), stored: [] }
    })
  }

  /** All of it can be written in the turn that it is asked for: nothing has to be read before, and it is not too much. */
  fitsInTurn(besides: number): boolean {
    let effort = besides
    for (const { store, rows, packs, planned } of this.#tables) {
      if (!isPacked(store)) effort += rows.length
      else if (packs === undefined || planned === undefined) return false
      else if (planned.every(({ first }) => first === undefined || packs.rowsOf(first) !== undefined)) effort += planned.length * packEffort
      else return false
    }
    return effort <= rowsPerTurn
  }

  /**
   * Hands everything to the storage. With `slices` the page can paint and answer input in between: thousands of rows in one go would be a
   * long task. `shows` rejects where the storage answers with nothing what is there: packs that it did not show would be overwritten (H25).
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

  async #repack(writes: TableWrites, shows: () => Promise<unknown>, slices: Slices | undefined): Promise<void> {
    const { store, rows, table, stored } = writes
    const keyName = this.#keyNames.get(table) as string
    const packs = (writes.packs ??= (await Promise.all([readPacks(store), shows()]))[0])
    const planned = (writes.planned ??= packs.changesOf(rows))
    // Of more, only the places are remembered: a table may be larger than memory.
    const isRemembered = planned.length <= maxRemembered
    const readPart = (from: number): Promise<Map<RowKey, readonly unknown[]>> | undefined => {
      const firsts = planned.slice(from, from + packsAtATime).map(({ first }) => first).filter((first) => first !== undefined && packs.rowsOf(first) === undefined)
      if (firsts.length === 0) return undefined
      const found = new Map<RowKey, readonly unknown[]>()
      return Promise.all([readRows(store, packs, firsts, (first, rows) => void found.set(first, rows)), shows()]).then(([there]) => {
        assertThere(there, store)
        return found
      })
    }
    // Those of the next part are on their way while this one is written.
    let coming = readPart(0)
    for (let at = 0; at < planned.length; at += packsAtATime) {
      const read = await coming
      coming = readPart(at + packsAtATime)
      coming?.catch(() => {})
      for (const change of planned.slice(at, at + packsAtATime)) {
        const { first } = change
        const before = first === undefined ? [] : (packs.rowsOf(first) ?? read?.get(first) ?? [])
        const repacked = repack(keyName, before, change)
        stored.push(isRemembered ? repacked : { first, packs: repacked.packs.map((pack) => ({ first: pack.first })) })
        let last: IDBRequest | undefined
        if (first !== undefined && repacked.packs.length === 0) last = store.delete(first)
        for (const pack of repacked.packs) {
          if (last !== undefined && slices?.isOver === true) await turn(last, slices)
          last = store.put(pack.rows, pack.first)
        }
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
