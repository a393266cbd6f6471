/**
 * Which rows live queries are to be notified of: those that commits of the projection changed in the storage, and those
 * that are laid over them and changed. Pure.
 *
 * As for every follower, a hint counts only if it begins where the one before it ended. After any other hint every row may
 * have changed, until the stored state was read.
 */
import { checkedChanges, type Changes, type RowChange, type TableChanges } from '../../read-model/changes.js'
import type { CommittedHint } from '../../read-model/committed-hint.js'
import type { Tables } from '../../read-model/define.js'
import { indexKeysOf } from '../../read-model/index-keys.js'
import { mapKeyOf, type MapKey, type RowKey } from '../../read-model/keys.js'
import { isDrawn, type Seen } from '../../read-model/stamps.js'
import type { LaidRows } from './merged.js'

/** The most rows of a table that are named. If more changed, any row may have. */
const mostRows = 1024

/** A row of the storage; nothing for one that is not there. */
export interface StoredRow {
  readonly key: RowKey
  readonly row: unknown
}

/** By table and key; `'unknown'`: any row of the table. */
type Named<V> = Map<string, Map<MapKey, V> | 'unknown'>

type KnownChanges = Exclude<Changes, 'unknown'>

export class OverlayChanges {
  readonly #tables: Tables
  /** The stamp of the stored rows up to which all changes are known. */
  #known: Seen
  #stored: Named<RowChange> = new Map()
  /** A hint said that something changed, and not what: the revision up to which that is true. */
  #doubtedTo: number | undefined
  #taken = 0
  /** Rows that were laid over, as they are now: of a row that is not laid over any more, what is stored. */
  #over: Named<StoredRow> = new Map()

  constructor(tables: Tables, known: Seen) {
    this.#tables = tables
    this.#known = known
  }

  /** Takes in a hint of the projection. Returns whether it says what changed, that something may have, or nothing new. */
  take({ from, to, revision, changes: posted }: CommittedHint): 'known' | 'unknown' | 'nothing' {
    const isLate = to === this.#known.stamp || (isDrawn(to) && revision <= this.#known.revision)
    if (isLate) return 'nothing'
    this.#taken += 1
    const changes = isDrawn(from) && isDrawn(to) && from === this.#known.stamp ? checkedChanges(posted) : 'unknown'
    if (changes === 'unknown') {
      this.#doubtedTo = Math.max(this.#doubtedTo ?? 0, revision)
      return changes
    }
    this.#known = { stamp: to, revision }
    for (const [table, rows] of changes)
      add(this.#stored, table, rows === 'unknown' ? rows : rows.map((row) => [row.key, row] as const))
    return 'known'
  }

  /** How many hints said something new. */
  get taken(): number {
    return this.#taken
  }

  /** The stored state was read, and nothing has changed: the last hint was false. */
  trust(): void {
    this.#doubtedTo = undefined
  }

  /** These rows of a table are laid over now and were not, or are not any more. */
  changed(table: string, rows: readonly StoredRow[] | 'unknown'): void {
    add(this.#over, table, rows === 'unknown' ? rows : rows.map((row) => [row.key, row] as const))
  }

  /**
   * What commits changed since it was last asked, up to the hint that was taken in last. What is stored of a row that is
   * laid over is not seen: if that becomes another one, it is known once it was laid over again.
   */
  stored(laid: LaidRows): KnownChanges {
    const stored = this.#stored
    this.#stored = new Map()
    const changes = new Map<string, TableChanges>()
    for (const [table, rows] of stored) changes.set(table, this.#rowsOf(table, rows, undefined, laid.get(table)))
    return changes
  }

  /**
   * Everything since it was last asked, if it is known what changed up to the stored rows that are shown; nothing while a
   * hint is missing.
   */
  all(shown: Seen, laid: LaidRows): KnownChanges | undefined {
    const [stored, over] = [this.#stored, this.#over]
    const isKnown = shown.stamp === this.#known.stamp
    if (!isKnown && this.#doubtedTo === undefined) return undefined
    this.#known = shown
    this.#stored = new Map()
    this.#over = new Map()
    const changes = new Map<string, TableChanges>()
    if (!isKnown) {
      // What is shown may be older than the hint: then the rows that it is about come later.
      if (shown.revision >= (this.#doubtedTo ?? 0)) this.#doubtedTo = undefined
      for (const table of Object.keys(this.#tables)) changes.set(table, 'unknown')
      return changes
    }
    for (const table of new Set([...stored.keys(), ...over.keys()]))
      changes.set(table, this.#rowsOf(table, stored.get(table), over.get(table), laid.get(table)))
    return changes
  }

  #rowsOf(
    table: string,
    stored: Map<MapKey, RowChange> | 'unknown' = new Map(),
    over: Map<MapKey, StoredRow> | 'unknown' = new Map(),
    laid: ReadonlyMap<MapKey, StoredRow> | undefined,
  ): TableChanges {
    if (stored === 'unknown' || over === 'unknown') return 'unknown'
    const definition = this.#tables[table] as Parameters<typeof indexKeysOf>[0]
    const rows: RowChange[] = []
    for (const [mapKey, row] of stored) if (laid?.has(mapKey) !== true) rows.push(row)
    for (const [mapKey, before] of over) {
      const entry = laid?.get(mapKey)
      if (entry === undefined && stored.has(mapKey)) continue
      const { key, row } = entry ?? before
      rows.push(row === null || row === undefined ? { key } : { key, keys: indexKeysOf(definition, row) })
    }
    return rows
  }
}

function add<V>(named: Named<V>, table: string, rows: readonly (readonly [RowKey, V])[] | 'unknown'): void {
  const known = named.get(table) ?? new Map<MapKey, V>()
  if (known === 'unknown') return
  if (rows !== 'unknown') for (const [key, row] of rows) known.set(mapKeyOf(key), row)
  named.set(table, rows === 'unknown' || known.size > mostRows ? 'unknown' : known)
}
