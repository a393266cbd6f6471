/**
 * Packs: neighbouring rows of a table in one record, since a record costs the same with one row or with sixty. Each is
 * stored under the first key that may be in it, and reaches to that of the next. Pure; how they are stored is in
 * `packed-table.ts`.
 */
import { RecentMap } from '../../platform/recent-map.js'
import { compareKeys, mapKeyOf, type KeyPath, type RowKey, type MapKey } from '../keys.js'
import { isExotic } from '../unit-of-work/rows.js'
import { isObject } from '../../platform/objects.js'

/** A pack with more rows is split. */
export const rowsPerPack = 64
/** So is a heavier one, in bytes, roughly: a change of one row writes its whole pack. */
export const weightPerPack = 16_384
/** Rows of this weight fill a pack exactly when it has the most rows. */
const light = weightPerPack / rowsPerPack
/** A split fills packs with this many rows, and leaves space for rows that come between. */
const filled = rowsPerPack * 0.75
/** If one pack has more changes, its new packs are made one at a time. */
export const manyChanges = 512
/** How many packs one request reads, if they are neighbours and light. */
export const packsPerRequest = 32
/** Of how many packs of a table the rows are remembered, at most. */
export const maxRemembered = 512

/** Before every key of a row: with it the first pack begins, so that no row comes before it. */
export const lowest = -Infinity

/** What is to be done to a row, `null` to delete it. */
export interface RowChange {
  readonly key: RowKey
  readonly row: unknown
}

/** A pack to be stored. */
export interface NewPack {
  readonly first: RowKey
  readonly rows: readonly unknown[]
}

/** The changes of the rows in one pack, in the order of their keys. */
export interface PackChange {
  /** Nothing before the first pack of a table is there yet. */
  readonly first: RowKey | undefined
  readonly isLast: boolean
  readonly changes: readonly RowChange[]
}

/** What replaces a pack: packs, whose rows may have been forgotten already; none if all its rows were deleted. */
export interface Stored {
  readonly first: RowKey | undefined
  readonly packs: readonly { readonly first: RowKey; readonly rows?: readonly unknown[] }[]
}

/** The packs of one table: where they begin, and the rows of some. */
export class TablePacks {
  #firsts: readonly RowKey[]
  readonly #rows = new RecentMap<MapKey, readonly unknown[]>(maxRemembered)
  readonly #seen = { packs: 0, rows: 0 }

  constructor(firsts: readonly RowKey[]) {
    this.#firsts = firsts
  }

  get firsts(): readonly RowKey[] {
    return this.#firsts
  }

  /** Where the pack begins that a key belongs to; nothing if it comes before all. */
  firstFor(key: RowKey): RowKey | undefined {
    return this.#firsts[this.#at(key)]
  }

  rowsOf(first: RowKey): readonly unknown[] | undefined {
    return this.#rows.get(mapKeyOf(first))
  }

  remember(first: RowKey, rows: readonly unknown[]): void {
    this.#rows.set(mapKeyOf(first), rows)
  }

  /** What a pack holds of which the rows were read. */
  saw(rows: readonly unknown[]): void {
    this.#seen.packs += 1
    this.#seen.rows += rows.length
  }

  /** Packs that are to be read, as neighbours that are read together: `firsts`, and here and there one between them. */
  runsOf(firsts: readonly RowKey[]): RowKey[][] {
    const { packs, rows } = this.#seen
    // Only a pack of one row has no limit to its weight. Many of them may be too much for one answer (H14).
    const longest = packs === 0 ? 8 : rows >= 4 * packs ? packsPerRequest : 1
    const places = firsts.map((first) => this.#at(first)).sort((left, right) => left - right)
    const runs: [from: number, to: number][] = []
    for (const place of places) {
      const run = runs.at(-1)
      if (run !== undefined && place <= run[1] + 2 && place < run[0] + longest) run[1] = place
      else runs.push([place, place])
    }
    return runs.map(([from, to]) => this.#firsts.slice(from, to + 1))
  }

  /** Which packs the changes belong to, which are in the order of their keys. */
  *changesOf(changes: readonly RowChange[]): Generator<PackChange, void, undefined> {
    for (let from = 0, to = 0; from < changes.length; from = to) {
      const at = this.#at((changes[from] as RowChange).key)
      const next = this.#firsts[at + 1]
      to = next === undefined ? changes.length : from + 1
      while (to < changes.length && compareKeys((changes[to] as RowChange).key, next) < 0) to += 1
      yield { first: this.#firsts[at], isLast: next === undefined, changes: changes.slice(from, to) }
    }
  }

  /** What was repacked is stored now. */
  stored(repacked: readonly Stored[]): void {
    const gone = new Set<MapKey>()
    const added: RowKey[] = []
    for (const { first, packs } of repacked) {
      if (first !== undefined) this.#rows.delete(mapKeyOf(first))
      // The first of them begins where it did.
      if (first !== undefined && packs.length === 0) gone.add(mapKeyOf(first))
      for (const [at, pack] of packs.entries()) {
        if (first === undefined || at > 0) added.push(pack.first)
        if (pack.rows !== undefined) this.remember(pack.first, pack.rows)
      }
    }
    if (gone.size + added.length > 0)
      this.#firsts = [...this.#firsts.filter((first) => !gone.has(mapKeyOf(first))), ...added].sort(compareKeys)
  }

  #at(key: RowKey): number {
    let [low, high] = [0, this.#firsts.length]
    while (low < high) {
      const middle = (low + high) >> 1
      if (compareKeys(this.#firsts[middle], key) <= 0) low = middle + 1
      else high = middle
    }
    return low - 1
  }
}

/** Where in rows, which are in the order of their keys, a key is or belongs. */
function placeOf(rows: readonly unknown[], keyName: KeyPath, key: unknown): number {
  let [low, high] = [0, rows.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if (compareKeys(keyIn(rows[middle], keyName), key) < 0) low = middle + 1
    else high = middle
  }
  return low
}

/** Which key a row has. */
export const keyIn = (row: unknown, path: KeyPath): unknown =>
  typeof path === 'string'
    ? (row as Record<string, unknown>)[path]
    : path.map((name) => (row as Record<string, unknown>)[name])

/** The row of a pack that has this key. */
export function rowIn(rows: readonly unknown[], keyName: KeyPath, key: unknown): unknown {
  const row = rows[placeOf(rows, keyName, key)]
  return row !== undefined && compareKeys(keyIn(row, keyName), key) === 0 ? row : undefined
}

/**
 * Makes the changes to the rows of a pack. Returns the packs that replace it, none if no row is left; if there are many
 * changes, they are made one at a time.
 */
export function repack(
  keyName: KeyPath,
  rows: readonly unknown[],
  { first, isLast, changes }: PackChange,
): Iterable<NewPack> {
  // Without a pack so far, a first one is made.
  const begin = first ?? lowest
  const last = changes.at(-1)?.key
  const atEnd = isLast && (rows.length === 0 || compareKeys(keyIn(rows.at(-1), keyName), last) <= 0)
  if (changes.length > manyChanges)
    return packed(keyName, begin, parts(changed(keyName, rows, changes), atEnd ? rowsPerPack : filled))
  const lightly = changes.every(({ row }) => row === null || weightOf(row) <= light)
  return packed(keyName, begin, cut([...changed(keyName, rows, changes)], atEnd, lightly))
}

/** Rows after the changes. */
function* changed(
  keyName: KeyPath,
  rows: readonly unknown[],
  changes: readonly RowChange[],
): Generator<unknown, void, undefined> {
  let from = 0
  for (const { key, row } of changes) {
    const at = placeOf(rows, keyName, key)
    for (; from < at; from += 1) yield rows[from]
    if (from < rows.length && compareKeys(keyIn(rows[from], keyName), key) === 0) from += 1
    if (row !== null) yield row
  }
  for (; from < rows.length; from += 1) yield rows[from]
}

function* packed(
  keyName: KeyPath,
  begin: RowKey,
  parts: Iterable<readonly unknown[]>,
): Generator<NewPack, void, undefined> {
  let first: RowKey | undefined = begin
  for (const rows of parts) {
    yield { first: first ?? (keyIn(rows[0], keyName) as RowKey), rows }
    first = undefined
  }
}

/**
 * Parts that are neither too long nor too heavy. If rows are only added at the end, no space is left between.
 * `lightly`: what is new is so light that it need not be weighed with the rest.
 */
function cut(rows: readonly unknown[], atEnd: boolean, lightly: boolean): (readonly unknown[])[] {
  if (rows.length === 0) return []
  if (lightly && rows.length <= rowsPerPack) return [rows]
  if (rows.length <= rowsPerPack && rows.reduce<number>((sum, row) => sum + weightOf(row), 0) <= weightPerPack)
    return [rows]
  return [...parts(rows, atEnd ? rowsPerPack : Math.ceil(rows.length / Math.ceil(rows.length / filled)))]
}

/** Parts of `longest` rows, or fewer if they are heavy. */
function* parts(rows: Iterable<unknown>, longest: number): Generator<unknown[], void, undefined> {
  let part: unknown[] = []
  let weight = 0
  for (const row of rows) {
    const own = weightOf(row)
    if (part.length > 0 && (part.length >= longest || weight + own > weightPerPack)) {
      yield part
      part = []
      weight = 0
    }
    part.push(row)
    weight += own
  }
  if (part.length > 0) yield part
}

/**
 * About how many bytes a row takes; no more than what fills a pack. A row that is not plain data gets a pack of its
 * own.
 */
export function weightOf(row: unknown): number {
  let weight = 0
  const add = (value: unknown): void => {
    weight += 8
    if (typeof value === 'string') weight += value.length
    else if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) weight += value.byteLength
    else if (isObject(value) && !(value instanceof Date)) {
      if (isExotic(value)) weight = weightPerPack
      // Also ends the walk through a row that contains itself.
      for (const name in value) {
        if (weight >= weightPerPack) return
        weight += name.length
        add((value as Record<string, unknown>)[name])
      }
    }
  }
  add(row)
  return Math.min(weight, weightPerPack)
}
