/** A table whose rows lie in packs. */
import { readBackwards } from '../../platform/backwards.js'
import { getOrMake } from '../../platform/get-or-make.js'
import { requestedAll } from '../../platform/indexeddb.js'
import { compareKeys, inRange, type KeyPath, type KeyRange, type RowKey } from '../keys.js'
import { rangesOf, type Selection } from '../selection.js'
import type { Query } from '../storage.js'
import { nativeRange } from './native-range.js'
import { ofRanges } from './records.js'
import type { PackMemory } from './pack-memory.js'
import { assertThere, packOf, readPacks, readRows, rowsIn } from './pack-records.js'
import { PackWrites } from './pack-writes.js'
import { keyIn, maxRemembered, rowIn, rowsPerPack, type RowChange, type TablePacks } from './packs.js'
import type { Found, TableLayout, TableWrites } from './table-layout.js'

/**
 * The most packs read by one request, if not all rows are wanted together: its result is taken out in one task of the
 * page.
 */
const packsPerAnswer = 256
/** How many rows a pack has at least, as a guess: most are half full. */
const rowsExpected = rowsPerPack / 2

export class PackedTable implements TableLayout {
  readonly #store: IDBObjectStore
  readonly #table: string
  readonly #keyName: KeyPath

  /** @param keyName the property that is the key of its rows, or several */
  constructor(store: IDBObjectStore, table: string, keyName: KeyPath) {
    this.#store = store
    this.#table = table
    this.#keyName = keyName
  }

  async row(key: unknown): Promise<unknown> {
    return rowIn(await packOf(this.#store, key), this.#keyName, key)
  }

  async rows(keys: readonly RowKey[], memory: PackMemory | undefined): Promise<Found<readonly unknown[] | undefined>> {
    if (memory === undefined) {
      const rows = await Promise.all(keys.map((key) => this.row(key)))
      return () => rows
    }
    const { stamp } = memory
    // Where the packs begin must be known before they can be asked for, and another context may change that in between.
    const packs = memory.at(stamp).get(this.#table)
    if (packs === undefined) {
      const found = await readPacks(this.#store)
      return (now) => void memory.remember(now, this.#table, found)
    }
    const { found, recent, there } = await this.#known(keys, packs)
    return (now) => {
      if (now !== stamp) return void memory.move(now)
      assertThere(there, this.#store)
      if (memory.stamp === stamp) for (const [first, pack] of recent) packs.remember(first, pack)
      return found
    }
  }

  async size(memory: PackMemory): Promise<Found<number>> {
    const packs = await readPacks(this.#store)
    return (now) => {
      memory.remember(now, this.#table, packs)
      return packs.firsts.length * rowsExpected
    }
  }

  async all(memory: PackMemory): Promise<Found<readonly unknown[]>> {
    const lists = (await requestedAll<unknown>(this.#store.getAll())).map((record) => rowsIn(record, this.#store))
    return (now) => {
      const packs = memory.at(now).get(this.#table)
      if (packs?.firsts.length === lists.length)
        for (const [at, rows] of lists.entries()) packs.remember(packs.firsts[at] as RowKey, rows)
      return lists.flat()
    }
  }

  async lastKey(): Promise<RowKey | undefined> {
    const row = (await packOf(this.#store)).at(-1)
    return row === undefined ? undefined : (keyIn(row, this.#keyName) as RowKey)
  }

  async ask(query: Query, counting: boolean): Promise<unknown> {
    if (query.kind === 'get') return this.row(query.key)
    if (query.kind === 'many') return Promise.all(query.keys.map((key) => this.row(key)))
    const { options } = query
    if (query.kind === 'all') return ofRanges(options, (range, limit) => this.#select(range, limit, options.direction))
    const ranges = rangesOf(options)
    if (!counting && ranges.some((range) => nativeRange(range) === null)) return undefined
    return (await Promise.all(ranges.map((range) => this.#count(range)))).reduce((sum, count) => sum + count, 0)
  }

  writes(changes: readonly RowChange[], packs: TablePacks | undefined): TableWrites {
    return new PackWrites(this.#store, this.#keyName, changes, packs)
  }

  /** Rows of packs whose places are known, and the packs that were read. */
  async #known(keys: readonly RowKey[], packs: TablePacks) {
    const found = Array.from<unknown>({ length: keys.length })
    const recent: [RowKey, readonly unknown[]][] = []
    /** Which of the keys belong to a pack. */
    const wanted = new Map<RowKey, number[]>()
    for (const [index, key] of keys.entries()) {
      const first = packs.firstFor(key)
      if (first !== undefined) getOrMake(wanted, first, () => []).push(index)
    }
    const there = await readRows(this.#store, packs, wanted.keys(), (first, pack) => {
      for (const index of wanted.get(first) ?? []) found[index] = rowIn(pack, this.#keyName, keys[index])
      if (recent.length < maxRemembered) recent.push([first, pack])
    })
    return { found, recent, there }
  }

  async #select(range: KeyRange, limit: number, direction: Selection['direction']): Promise<unknown[]> {
    if (limit !== Infinity) return direction === 'prev' ? this.#lastRows(range, limit) : this.#firstRows(range, limit)
    const { rows } = await this.#packsOf(range)
    const found = this.#within(rows, range)
    return direction === 'prev' ? found.reverse() : found
  }

  #within(rows: readonly unknown[], range: KeyRange): unknown[] {
    return rows.filter((row) => inRange(keyIn(row, this.#keyName), range))
  }

  /**
   * The rows of the packs of a range: the one that its lower end belongs to, and those that begin after that, `most` of
   * them.
   */
  async #packsOf({ lower, upper, upperOpen = false }: KeyRange, most?: number, after = false) {
    const isOne = lower !== undefined && upper !== undefined && compareKeys(lower, upper) === 0
    const [first, rest] = await Promise.all([
      lower === undefined || after ? [] : packOf(this.#store, lower),
      isOne
        ? []
        : requestedAll<unknown>(this.#store.getAll(nativeRange({ lower, upper, lowerOpen: true, upperOpen }), most)),
    ])
    const rows = [first, ...rest.map((record) => rowsIn(record, this.#store))].flat()
    return { rows, isEnd: isOne || rest.length !== most }
  }

  async #firstRows(range: KeyRange, limit: number): Promise<unknown[]> {
    const rows: unknown[] = []
    await this.#inOrder(range, Math.ceil(limit / rowsExpected) + 1, (found) => {
      for (const row of found) rows.push(row)
      return rows.length < limit
    })
    return rows.slice(0, limit)
  }

  async #count(range: KeyRange): Promise<number> {
    let count = 0
    await this.#inOrder(range, 16, (found) => {
      count += found.length
      return true
    })
    return count
  }

  /**
   * Calls `take` with the rows of a range in order, those of a few packs at a time, until it wants no more. In several
   * turns.
   */
  async #inOrder(range: KeyRange, packs: number, take: (rows: readonly unknown[]) => boolean): Promise<void> {
    const { upper } = range
    let rest: KeyRange | undefined
    for (let most = packs; ; most = Math.min(2 * most, packsPerAnswer)) {
      const { rows, isEnd } = await this.#packsOf(rest ?? range, most, rest !== undefined)
      if (!take(this.#within(rows, range)) || isEnd || rows.length === 0) return
      const lower = keyIn(rows.at(-1), this.#keyName)
      if (upper !== undefined && compareKeys(lower, upper) >= 0) return
      // The next pack begins after the last row of this one.
      rest = { ...range, lower }
    }
  }

  /** In several turns. */
  async #lastRows(range: KeyRange, limit: number): Promise<unknown[]> {
    const { lower, upper, upperOpen = false } = range
    const span = nativeRange({ upper, upperOpen })
    // If the guess was too low, reading them again is as quick as finding out where to continue.
    for (let packs = Math.ceil(limit / rowsExpected) + 1; ; packs *= 2) {
      const found = (await readBackwards(this.#store, span, packs)).map((record) => rowsIn(record, this.#store))
      const rows = found.flatMap((pack) => this.#within(pack, range).reverse())
      const first = found.at(-1)?.[0]
      const isEnd =
        found.length < packs ||
        (lower !== undefined && first !== undefined && compareKeys(keyIn(first, this.#keyName), lower) < 0)
      if (isEnd || rows.length >= limit) return rows.slice(0, limit)
    }
  }
}
