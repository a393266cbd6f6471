/**
 * What own events read of the stored rows while they are laid over these. Once the rows moved, the same reads are made
 * again in one transaction: with the same results what is laid over stays as it is, and with other results the events are
 * applied again without further reads.
 */
import type { Clock } from '../../platform/clock.js'
import { Slices } from '../../platform/slices.js'
import type { Tables } from '../../read-model/define.js'
import { equal } from '../../read-model/equal.js'
import {
  atKeyPath,
  compareKeys,
  copyOfKey,
  keyText,
  mapKeyOf,
  type MapKey,
  type RowKey,
} from '../../read-model/keys.js'
import { select, type Query, type Selectable, type Selection, type TableQuery } from '../../read-model/selection.js'
import type { RowSource } from '../../read-model/storage.js'
import { maxCachedRows } from '../../read-model/unit-of-work/row-cache.js'
import { rowsWithin } from '../../read-model/unit-of-work/row-size.js'
import { kept, type Entry } from '../../read-model/unit-of-work/rows.js'
import { readAtOnce, readsBeforeWhole, searchedInMemory } from '../../read-model/unit-of-work/table-work.js'
import type { KnownRows } from './merged.js'

/** Who reads more rows than this is not asked about again: own events are applied again whenever the rows move. */
const mostRemembered = 10_000
/** How many rows are compared between two looks at the time. */
const comparedTogether = 64

/** Questions of a fold, and what one transaction returned for them. */
export interface AskedAgain {
  readonly questions: readonly TableQuery[]
  readonly values: readonly unknown[]
}

/** Stored rows of a table, as far as they are known. */
class KnownTable extends Map<MapKey, unknown> {
  /** The keys that were asked for. */
  readonly asked = new Map<MapKey, RowKey>()
  reads = 0
  /** What is not here is not stored. */
  isWhole: boolean
  /** No stored row has a key behind this one. */
  last: RowKey | undefined

  constructor(isWhole: boolean) {
    super()
    this.isWhole = isWhole
  }

  override has(key: MapKey): boolean {
    return this.isWhole || super.has(key)
  }

  /** Those of which only the storage knows the rows. */
  missing(keys: readonly RowKey[]): readonly RowKey[] {
    const { last } = this
    return keys.filter((key) => !this.has(mapKeyOf(key)) && (last === undefined || compareKeys(key, last) <= 0))
  }

  setAll(keys: readonly RowKey[], rows: readonly unknown[]): void {
    for (const [at, key] of keys.entries()) this.set(mapKeyOf(key), rows[at])
  }
}

/** In which only equal selections of a table look the same. */
const textOf = (table: string, selection: Selection): string =>
  JSON.stringify([table, selection], function (this: Record<string, unknown>, name, value: unknown) {
    return /^(at|key|lower|upper)$/.test(name) ? keyText(this[name]) : value
  })

export class FoldReads {
  /** What a unit of work reads from. It must ask only for what its handlers do. */
  readonly source: RowSource
  /** How often the storage was asked. */
  reads = 0
  readonly #tables: Tables
  readonly #stored: RowSource
  readonly #known: ReadonlyMap<string, KnownTable>
  readonly #selections = new Map<string, TableQuery>()
  /** What they found. */
  readonly #selected = new Map<string, readonly unknown[]>()
  /** How many rows are remembered. */
  #size = 0
  #questions: readonly TableQuery[] | undefined

  /** @param isEmpty there are no rows @param again what is known of the rows */
  constructor(tables: Tables, stored: RowSource, isEmpty: boolean, again?: AskedAgain) {
    this.#tables = tables
    this.#stored = stored
    this.#known = new Map(Object.keys(tables).map((table) => [table, new KnownTable(isEmpty)]))
    this.source = {
      ...stored,
      rows: (table, keys) => this.#rows(table, keys),
      select: (table, selection) => this.#select(table, selection),
    }
    for (const [at, { table, query }] of again?.questions.entries() ?? []) {
      const rows = again?.values[at] as readonly unknown[]
      if (query.kind === 'many') this.#of(table).setAll(query.keys, rows)
      if (query.kind === 'all') this.#selected.set(textOf(table, query.options), rows)
    }
  }

  /** Stored rows, of one moment if all reads were. */
  get known(): KnownRows {
    return this.#known
  }

  /** What is to be asked once the rows moved: the same list until more was asked. Nothing if that is too much. */
  get questions(): readonly TableQuery[] | undefined {
    if (this.#size > mostRemembered) return undefined
    return (this.#questions ??= [
      ...[...this.#known]
        .filter(([, { asked }]) => asked.size > 0)
        .map(([table, { asked }]): TableQuery => ({ table, query: { kind: 'many', keys: [...asked.values()] } })),
      ...this.#selections.values(),
    ])
  }

  /** Whether all results are what they were. If so, nothing but these is known from then on. */
  async areStill({ questions, values }: AskedAgain, clock: Clock): Promise<boolean> {
    if (questions !== this.questions) return false
    const slices = new Slices(() => clock.monotonic())
    let compared = 0
    for (const [at, { table, query }] of questions.entries()) {
      const now = values[at] as readonly unknown[]
      const before =
        query.kind === 'many'
          ? query.keys.map((key) => this.#of(table).get(mapKeyOf(key)))
          : (this.#selected.get(textOf(table, (query as Query & { kind: 'all' }).options)) as readonly unknown[])
      if (now.length !== before.length) return false
      for (const [index, row] of now.entries()) {
        if (!equal(row, before[index])) return false
        if ((compared += 1) % comparedTogether === 0) await slices.turn()
      }
    }
    for (const text of this.#selected.keys()) if (!this.#selections.has(text)) this.#selected.delete(text)
    for (const known of this.#known.values()) {
      known.isWhole = false
      known.last = undefined
      known.reads = 0
      for (const key of known.keys()) if (!known.asked.has(key)) known.delete(key)
    }
    return true
  }

  async #rows(table: string, keys: readonly RowKey[]): Promise<readonly unknown[]> {
    const known = this.#of(table)
    for (const key of keys) {
      const mapKey = mapKeyOf(key)
      if (!known.asked.has(mapKey)) this.#asked(1)
      known.asked.set(mapKey, copyOfKey(key))
    }
    await this.#readWhole(table, known.missing(keys).length)
    const missing = known.missing(keys)
    if (missing.length > 0) {
      this.reads += 1
      known.setAll(missing, await this.#stored.rows(table, missing))
    }
    return keys.map((key) => known.get(mapKeyOf(key)))
  }

  async #select(table: string, options: Selection): Promise<readonly unknown[]> {
    const text = textOf(table, options)
    let rows = this.#selected.get(text)
    if (rows === undefined) {
      await this.#readWhole(table, 1)
      rows = await this.#found(table, options)
    }
    if (this.#selections.has(text)) return rows
    this.#asked(1 + rows.length)
    // What is too much is not remembered.
    if (this.#size <= mostRemembered) {
      this.#selections.set(text, { table, query: { kind: 'all', options } })
      this.#selected.set(text, rows)
    }
    return rows
  }

  async #found(table: string, selection: Selection): Promise<readonly unknown[]> {
    const known = this.#of(table)
    if (known.isWhole && known.size <= searchedInMemory) {
      const entries = this.#entries(table, [...known.values()])
      return select(selection, this.#tables[table] as Selectable, entries).map(({ row }) => row)
    }
    this.reads += 1
    const rows = await this.#stored.select(table, selection)
    this.#remember(table, rows)
    return rows
  }

  /** After some reads all rows of a table are read, as a run does; of one that is too large it is read where it ends. */
  async #readWhole(table: string, more: number): Promise<void> {
    const known = this.#of(table)
    const isDue = known.reads < readsBeforeWhole && (known.reads += more) >= readsBeforeWhole
    if (!isDue || known.isWhole) return
    this.reads += 1
    const sample = this.#entries(table, [...known.values()].slice(0, readsBeforeWhole))
    const most = rowsWithin(
      readAtOnce,
      sample.map(({ key, row }) => kept(key, row as object, table)),
      maxCachedRows / 2,
    )
    // Perhaps it is too much for one request: then rows are read one by one, and a real fault shows there.
    const rows = await this.#stored.wholeTable(table, most).catch(() => {})
    if (rows === undefined) known.last = await this.#stored.lastKey(table).catch(() => undefined)
    else {
      this.#remember(table, rows)
      known.isWhole = true
    }
  }

  #asked(rows: number): void {
    this.#size += rows
    this.#questions = undefined
  }

  #of(table: string): KnownTable {
    return this.#known.get(table) as KnownTable
  }

  /** Those that are stored, with their keys. */
  #entries(table: string, rows: readonly unknown[]) {
    const { key } = this.#tables[table] as Selectable
    return rows
      .filter((row) => row !== undefined)
      .map((row): Pick<Entry, 'key' | 'row'> => ({ key: atKeyPath(row, key) as RowKey, row }))
  }

  #remember(table: string, rows: readonly unknown[]): void {
    for (const { key, row } of this.#entries(table, rows)) this.#of(table).set(mapKeyOf(key), row)
  }
}
