/** The rows of a table that a leader remembers: bounded, and sometimes known to be all there are. */
import { RecentMap } from '../../platform/recent-map.js'
import type { MapKey } from '../keys.js'
import type { Entry } from './rows.js'

/** How many rows of a table are remembered, in addition to those not yet committed. */
export const maxCachedRows = 20_000

/** And how large they may be together, in bytes: twice what is read of a table together. */
export const maxCachedBytes = 134_217_728

/** Rows by key, the least recently used forgotten first. */
export class RowCache {
  readonly #entries = new RecentMap<MapKey, Entry>(Infinity)
  #bytes = 0
  #complete: boolean

  /** `complete`: the table is empty. */
  constructor(complete: boolean) {
    this.#complete = complete
  }

  /** What is not here is not in the table. */
  get isComplete(): boolean {
    return this.#complete
  }

  /** Every row of the table was remembered. */
  markComplete(): void {
    this.#complete = true
  }

  get size(): number {
    return this.#entries.size
  }

  entries(): Iterable<Entry> {
    return this.#entries.values()
  }

  get(mapKey: MapKey): Entry | undefined {
    const entry = this.#entries.get(mapKey)
    // The order matters only where something may have to go.
    const mayForget = this.size > maxCachedRows / 2 || this.#bytes > maxCachedBytes / 2
    if (entry !== undefined && mayForget) this.#entries.set(mapKey, entry)
    return entry
  }

  set(mapKey: MapKey, entry: Entry): void {
    this.#count(mapKey, entry)
    this.#entries.set(mapKey, entry)
    this.#trim()
  }

  #count(mapKey: MapKey, { size = 0 }: Entry): void {
    this.#bytes += size - (this.#entries.get(mapKey)?.size ?? 0)
  }

  /** The last one stays, however large it is. */
  #trim(): void {
    while (this.size > maxCachedRows || (this.#bytes > maxCachedBytes && this.size > 1)) {
      this.#bytes -= this.#entries.shift()?.size ?? 0
      this.#complete = false
    }
  }

  /**
   * Takes in what was committed. Whatever that is, the rows that were used last stay, since they may have been read for
   * events to come.
   */
  setAll(entries: ReadonlyMap<MapKey, Entry>): void {
    let tooMany = entries.size - maxCachedRows / 2
    for (const [mapKey, entry] of entries) {
      tooMany -= 1
      if (this.#entries.has(mapKey)) {
        this.#count(mapKey, entry)
        this.#entries.replace(mapKey, entry)
      } else if (tooMany < 0) this.set(mapKey, entry)
      else this.#complete = false
    }
    this.#trim()
  }
}
