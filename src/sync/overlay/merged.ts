/** What a reader finds where own events are laid over stored rows: which questions go to the storage, and what becomes of their results. Pure. */
import { freshCopy } from '../../events/fresh-copy.js'
import type { Tables } from '../../read-model/define.js'
import { keyOfRow, mapKeyOf, type MapKey, type RowKey } from '../../read-model/keys.js'
import {
  comparePlaces,
  placeOfRow,
  type Place,
  type Query,
  type Selectable,
  type Selection,
  type TableQuery,
} from '../../read-model/selection.js'
import type { Entry } from '../../read-model/unit-of-work/rows.js'

/** The rows that own events changed, by table and key; `null` for one that they deleted. */
export type LaidRows = ReadonlyMap<string, ReadonlyMap<MapKey, Entry>>

/** Stored rows that are known, by table and key; `undefined` for one that is not stored. */
export type KnownRows = ReadonlyMap<string, ReadonlyMap<MapKey, unknown>>

/** A question of this folder in addition to those of every reader. */
export type OwnQuery = Query & {
  /** Of the stored rows alone. */
  readonly confirmed?: true
  /** In place of the number of rows: the keys of those that own events changed. */
  readonly pendingKeys?: true
}

/** One question: what the storage is asked for it, and how that becomes its result. */
interface Part {
  readonly questions: readonly TableQuery[]
  /** Nothing if the storage was asked for too little, since more own events came meanwhile. */
  finish(values: readonly unknown[], laid: LaidRows, known: KnownRows): Finished | undefined
}

interface Finished {
  readonly value: unknown
  /** Own events took part in it. */
  readonly pending: boolean
}

/** Questions, as they are put to the storage. */
export interface Asking {
  readonly questions: readonly TableQuery[]
  /** The results of all of them. Nothing if the storage was asked for too little. */
  finish(values: readonly unknown[], laid: LaidRows, known: KnownRows): Merged | undefined
}

export interface Merged {
  readonly values: readonly unknown[]
  /** The questions whose results depend on own events. */
  readonly pending: ReadonlySet<Query>
}

const copyOf = ({ row, copied }: Entry): unknown =>
  row === null ? undefined : copied === true ? structuredClone(row) : freshCopy(row)

const noChange: ReadonlyMap<MapKey, Entry> = new Map()
const noRow: ReadonlyMap<MapKey, unknown> = new Map()

/** @param laid as it is now; it may be another one when the results are there */
export function askOver(tables: Tables, asked: readonly TableQuery[], laid: LaidRows, known: KnownRows): Asking {
  const parts = asked.map(({ table, query }) =>
    partOf(table, tables[table] as Selectable, query, laid.get(table) ?? noChange, known.get(table) ?? noRow),
  )
  return {
    questions: parts.flatMap(({ questions }) => questions),
    finish(values, laid, known) {
      const all: unknown[] = []
      const pending = new Set<Query>()
      let at = 0
      for (const [index, { questions, finish }] of parts.entries()) {
        const finished = finish(values.slice(at, (at += questions.length)), laid, known)
        if (finished === undefined) return undefined
        all.push(finished.value)
        if (finished.pending) pending.add((asked[index] as TableQuery).query)
      }
      return { values: all, pending }
    },
  }
}

type Changed = ReadonlyMap<MapKey, Entry>

function partOf(
  table: string,
  definition: Selectable,
  given: OwnQuery,
  changed: Changed,
  known: ReadonlyMap<MapKey, unknown>,
): Part {
  const { confirmed, pendingKeys, ...query } = given
  const asIs = { table, query }
  const now = (laid: LaidRows): Changed => laid.get(table) ?? noChange
  if (confirmed === true) return { questions: [asIs], finish: ([value]) => ({ value, pending: false }) }
  if (pendingKeys === true)
    return {
      questions: [],
      finish: (_, laid) => ({ value: [...now(laid).values()].map(({ key }) => key), pending: now(laid).size > 0 }),
    }
  if (query.kind === 'get' || query.kind === 'many')
    return { questions: [asIs], finish: ([value], laid) => rowsByKey(query, value, now(laid)) }
  if (query.kind === 'all') {
    const { limit = Infinity } = query.options
    // Of the stored rows that many may be left out.
    const wanted = limit + changed.size
    const most = wanted < 2 ** 32 ? wanted : Infinity
    return {
      questions: [{ table, query: { kind: 'all', options: { ...query.options, limit: most } } }],
      finish: ([rows], laid) => rowsSelected(query.options, definition, rows as readonly object[], most, now(laid)),
    }
  }
  const unknown = [...changed.values()].map(({ key }) => key).filter((key) => !known.has(mapKeyOf(key)))
  return {
    questions:
      unknown.length === 0 ? [asIs] : [asIs, { table, query: { kind: 'many', keys: unknown } satisfies Query }],
    finish([count, rows], laid, known) {
      const stored = known.get(table)
      const read = new Map(unknown.map((key, at) => [mapKeyOf(key), (rows as readonly unknown[])[at]]))
      return rowsCounted(query.options, definition, count as number, now(laid), (mapKey) => {
        const found = [read, stored].find((each) => each?.has(mapKey))
        return found && { row: found.get(mapKey) }
      })
    },
  }
}

function rowsByKey(query: Query & { readonly kind: 'get' | 'many' }, value: unknown, changed: Changed): Finished {
  let pending = false
  const over = (key: RowKey, row: unknown): unknown => {
    const entry = changed.get(mapKeyOf(key))
    if (entry === undefined) return row
    pending = true
    return copyOf(entry)
  }
  const shown =
    query.kind === 'get' ? over(query.key, value) : query.keys.map((key, at) => over(key, (value as unknown[])[at]))
  return { value: shown, pending }
}

/** An own row, and where a selection comes to it. */
interface Placed {
  readonly place: Place
  readonly entry: Entry
}

/** @param most how many rows the storage was asked for */
function rowsSelected(
  selection: Selection,
  table: Selectable,
  stored: readonly object[],
  most: number,
  changed: Changed,
): Finished | undefined {
  const { limit = Infinity } = selection
  if (changed.size === 0) return { value: stored.length > limit ? stored.slice(0, limit) : stored, pending: false }
  const kept: object[] = []
  let pending = false
  for (const [at, row] of stored.entries()) {
    if (!changed.has(mapKeyOf(keyOfRow(table.key, row, '')))) kept.push(row)
    else if (at < limit) pending = true
  }
  if (stored.length >= most && kept.length < limit) return undefined
  const own: Placed[] = []
  for (const entry of changed.values()) {
    const place = entry.row === null ? undefined : placeOfRow(selection, table, entry.key, entry.row)
    if (place !== undefined) own.push({ place, entry })
  }
  own.sort((left, right) => comparePlaces(selection, left.place, right.place))
  const { rows, owned } = mergedRows(selection, table, kept, own, limit)
  return { value: rows, pending: pending || owned > 0 }
}

function mergedRows(
  selection: Selection,
  table: Selectable,
  kept: readonly object[],
  own: readonly Placed[],
  limit: number,
): { readonly rows: unknown[]; readonly owned: number } {
  const rows: unknown[] = []
  let at = 0
  let owned = 0
  for (const { place, entry } of own) {
    const to = firstBehind(selection, table, kept, at, place)
    while (at < to && rows.length < limit) rows.push(kept[at++])
    if (rows.length >= limit) break
    rows.push(copyOf(entry))
    owned += 1
  }
  while (at < kept.length && rows.length < limit) rows.push(kept[at++])
  return { rows, owned }
}

/** The index of the first row, from `low` on, that a selection comes to behind a place. */
function firstBehind(
  selection: Selection,
  table: Selectable,
  rows: readonly object[],
  low: number,
  place: Place,
): number {
  let high = rows.length
  while (low < high) {
    const middle = (low + high) >> 1
    const row = rows[middle] as object
    const its = placeOfRow(selection, table, keyOfRow(table.key, row, ''), row) as Place
    if (comparePlaces(selection, its, place) < 0) low = middle + 1
    else high = middle
  }
  return low
}

function rowsCounted(
  selection: Selection,
  table: Selectable,
  count: number,
  changed: Changed,
  stored: (mapKey: MapKey) => { readonly row: unknown } | undefined,
): Finished | undefined {
  let shown = count
  let pending = false
  const selects = (key: RowKey, row: unknown) => placeOfRow(selection, table, key, row) !== undefined
  for (const [mapKey, { key, row }] of changed) {
    const before = stored(mapKey)
    if (before === undefined) return undefined
    const was = before.row !== undefined && selects(key, before.row)
    const is = row !== null && selects(key, row)
    pending ||= was || is
    shown += Number(is) - Number(was)
  }
  return { value: shown, pending }
}
