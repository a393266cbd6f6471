/** The changes of a packed table: the packs that they belong to are read if need be, changed, and written back. */
import { optional } from '../../platform/promises.js'
import type { Slices } from '../../platform/slices.js'
import type { KeyPath, RowKey } from '../keys.js'
import { assertThere, readPacks, readRows } from './pack-records.js'
import {
  manyChanges,
  maxRemembered,
  repack,
  type PackChange,
  type RowChange,
  type Stored,
  type TablePacks,
} from './packs.js'
import { pageTurn } from './page-turn.js'
import type { TableWrites } from './table-layout.js'

/** For how many rows a pack counts. */
const packEffort = 8
/** How many packs that are not remembered are read, changed and written at a time. */
const packsAtATime = 128

/** Packs to change, and the rows of those that are not remembered, on their way. */
interface Part {
  readonly changes: readonly PackChange[]
  readonly reading: Promise<ReadonlyMap<RowKey, readonly unknown[]>> | undefined
}

export class PackWrites implements TableWrites {
  readonly #store: IDBObjectStore
  readonly #keyName: KeyPath
  readonly #changes: readonly RowChange[]
  /** If they are not known, they are read first. */
  #packs: TablePacks | undefined
  /** The packs to change, if they are known and the changes are few. */
  readonly #planned: readonly PackChange[] | undefined
  readonly #stored: Stored[] = []
  /**
   * The rows of this many more packs are remembered, of all others only the places: a table may be larger than memory.
   */
  #space = maxRemembered
  added = 0

  constructor(store: IDBObjectStore, keyName: KeyPath, changes: readonly RowChange[], packs: TablePacks | undefined) {
    this.#store = store
    this.#keyName = keyName
    this.#changes = changes
    this.#packs = packs
    if (packs !== undefined && changes.length <= manyChanges) this.#planned = [...packs.changesOf(changes)]
  }

  get effort(): number {
    return this.#planned?.every(({ first }) => this.#isAtHand(first)) === true
      ? this.#planned.length * packEffort
      : Infinity
  }

  async run(shows: () => Promise<unknown>, slices?: Slices): Promise<void> {
    const packs = (this.#packs ??= (await Promise.all([readPacks(this.#store), shows()]))[0])
    const planned = (this.#planned ?? packs.changesOf(this.#changes))[Symbol.iterator]()
    // The packs of the next part are on their way while this one is written.
    for (let coming = this.#nextPart(planned, packs, shows); coming.changes.length > 0;) {
      const { changes, reading } = coming
      const read = await reading
      coming = this.#nextPart(planned, packs, shows)
      for (const change of changes) {
        const { first } = change
        const last = await this.#write(
          change,
          first === undefined ? [] : (packs.rowsOf(first) ?? read?.get(first) ?? []),
          slices,
        )
        if (last !== undefined && slices?.isOver === true) await pageTurn(last, slices)
      }
    }
  }

  packs(): TablePacks | undefined {
    this.#packs?.stored(this.#stored)
    return this.#packs
  }

  #isAtHand(first: RowKey | undefined): boolean {
    return first === undefined || this.#packs?.rowsOf(first) !== undefined
  }

  #nextPart(planned: Iterator<PackChange>, packs: TablePacks, shows: () => Promise<unknown>): Part {
    const changes: PackChange[] = []
    for (let next; changes.length < packsAtATime && (next = planned.next()).done !== true;) changes.push(next.value)
    const firsts = changes.map(({ first }) => first).filter((first) => !this.#isAtHand(first)) as RowKey[]
    if (firsts.length === 0) return { changes, reading: undefined }
    const found = new Map<RowKey, readonly unknown[]>()
    const each = (first: RowKey, rows: readonly unknown[]) => void found.set(first, rows)
    const reading = Promise.all([readRows(this.#store, packs, firsts, each), shows()]).then(([there]) => {
      assertThere(there, this.#store)
      return found
    })
    return { changes, reading: optional(reading) }
  }

  /** Writes what becomes of one pack. @returns the last request */
  async #write(
    change: PackChange,
    before: readonly unknown[],
    slices: Slices | undefined,
  ): Promise<IDBRequest | undefined> {
    const { first } = change
    const packs: Stored['packs'][number][] = []
    this.added -= before.length
    let last: IDBRequest | undefined
    for (const pack of repack(this.#keyName, before, change)) {
      if (last !== undefined && slices?.isOver === true) await pageTurn(last, slices)
      last = this.#store.put(pack.rows, pack.first as IDBValidKey)
      this.added += pack.rows.length
      packs.push((this.#space -= 1) < 0 ? { first: pack.first } : pack)
    }
    if (first !== undefined && packs.length === 0) last = this.#store.delete(first as IDBValidKey)
    this.#stored.push({ first, packs })
    return last
  }
}
