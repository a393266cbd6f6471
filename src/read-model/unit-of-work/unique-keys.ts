/** Unique indexes: no two rows may have the same key in one once an event is done, whatever was between. */
import { UniqueConflictError } from '../../errors.js'
import { indexOptions, keysIn } from '../index-keys.js'
import type { IndexDefinition } from '../index-paths.js'
import { keyText, mapKeyOf, type MapKey, type RowKey } from '../keys.js'
import type { Selectable, Selection } from '../selection.js'
import type { RowCache } from './row-cache.js'
import type { Entry } from './rows.js'

/** A key in an index that a row wants for itself. */
interface Claim {
  readonly index: string
  readonly at: unknown
  readonly text: string
  readonly key: RowKey
}

/** The rows of a table. */
interface Rows {
  /** A row that was changed since the last commit, as it is now. */
  pending(mapKey: MapKey): Entry | undefined
  /** Rows as they are stored. */
  readonly cache: Pick<RowCache, 'get' | 'entries' | 'isComplete'>
  /** What a selection finds now, pending rows included. */
  select(selection: Selection): Promise<readonly Entry[]>
}

/** Reads for the event at work, so that a failure is the storage's. */
export type Load = <T>(read: () => Promise<T>) => Promise<T>

/** Asks the storage whether a row may have a key; rejects if not. */
export type Question = () => Promise<void>

const isUnique = (declared: IndexDefinition): boolean => indexOptions(declared).unique === true

/** Whether a table has a unique index. */
export const hasUnique = ({ indexes = {} }: Pick<Selectable, 'indexes'>): boolean =>
  Object.values(indexes).some(isUnique)

/** Of how many rows it is remembered what they hold, once they are committed. */
const mostKnown = 250_000

/** Who holds which key, as far as it is in memory: of rows since the last commit, and of all if there are few. */
export class UniqueKeys {
  readonly #table: string
  readonly #indexes: readonly (readonly [name: string, declared: IndexDefinition])[]
  readonly #rows: Rows
  readonly #holders = new Map<string, RowKey>()
  readonly #claims = new Map<MapKey, readonly string[]>()
  /** What every row of the table holds is known, also of rows that the cache has forgotten since. */
  #hasAll = false
  /** What the event at work left in its rows, as it was checked. */
  #checked: ReadonlyMap<MapKey, Entry> | undefined

  constructor(table: string, { indexes = {} }: Selectable, rows: Rows) {
    this.#table = table
    this.#indexes = Object.entries(indexes).filter(([, declared]) => isUnique(declared))
    this.#rows = rows
  }

  /**
   * Checks what one event left in these rows. It counts once the event is kept: until then a row of another table may
   * still be in conflict, and all of them are taken back.
   *
   * @returns what only the storage knows, not asked yet: nothing is asked for an event that another table refuses
   * @throws UniqueConflictError, and so do the questions
   */
  check(written: Iterable<MapKey>, load: Load): readonly Question[] {
    const rows = new Map([...written].map((mapKey) => [mapKey, this.#rows.pending(mapKey) as Entry]))
    const wanted = new Map<string, Claim>()
    for (const [mapKey, entry] of rows) {
      this.#learn(mapKey, this.#rows.cache.get(mapKey))
      for (const claim of this.#claimsOf(entry)) {
        const other = wanted.get(claim.text)
        if (other !== undefined) throw this.#conflict(claim, other.key)
        wanted.set(claim.text, claim)
      }
    }
    const { cache } = this.#rows
    if (cache.isComplete && !this.#hasAll) {
      for (const entry of cache.entries()) this.#learn(mapKeyOf(entry.key), entry)
      this.#hasAll = true
    }
    const unsure: Claim[] = []
    for (const claim of wanted.values()) {
      const holder = this.#holders.get(claim.text)
      // What a row of this event held is free, or among what is wanted.
      if (holder === undefined) unsure.push(claim)
      else if (!rows.has(mapKeyOf(holder))) throw this.#conflict(claim, holder)
    }
    this.#checked = rows
    return this.#hasAll ? [] : unsure.map((claim) => () => this.#askFor(claim, load))
  }

  /** The event at work is done: its rows hold what they want. */
  keep(): void {
    if (this.#checked !== undefined) this.#take(this.#checked)
    this.#checked = undefined
  }

  /** The event at work failed. */
  discard(): void {
    this.#checked = undefined
  }

  /** Pending rows are stored now. */
  committed(): void {
    if (this.#hasAll && this.#claims.size <= mostKnown) return
    this.#hasAll = false
    this.#holders.clear()
    this.#claims.clear()
  }

  async #askFor(claim: Claim, load: Load): Promise<void> {
    const { index, at, key } = claim
    // The row itself may be one of them.
    const found = await load(() => this.#rows.select({ index, ranges: [{ lower: at, upper: at }], limit: 2 }))
    const other = found.find((entry) => mapKeyOf(entry.key) !== mapKeyOf(key))
    if (other !== undefined) throw this.#conflict(claim, other.key)
  }

  /** Notes what a row held when the event began, if that is known. */
  #learn(mapKey: MapKey, stored: Entry | undefined): void {
    if (stored !== undefined && !this.#claims.has(mapKey)) this.#hold(mapKey, this.#claimsOf(stored))
  }

  #take(rows: ReadonlyMap<MapKey, Entry>): void {
    for (const mapKey of rows.keys()) {
      for (const text of this.#claims.get(mapKey) ?? []) this.#holders.delete(text)
    }
    for (const [mapKey, entry] of rows) this.#hold(mapKey, this.#claimsOf(entry))
  }

  #hold(mapKey: MapKey, claims: readonly Claim[]): void {
    const texts = claims.map(({ text }) => text)
    this.#claims.set(mapKey, texts)
    for (const { text, key } of claims) this.#holders.set(text, key)
  }

  #claimsOf({ key, row }: Entry): Claim[] {
    return this.#indexes.flatMap(([index, declared]) =>
      keysIn(declared, row).map((at) => ({ index, at, text: keyText([index, at]), key })),
    )
  }

  #conflict({ index, at, key }: Claim, heldBy: RowKey): UniqueConflictError {
    return new UniqueConflictError(this.#table, index, at, key, heldBy)
  }
}
