/**
 * Warns once of each index that leaves out rows which its app may look for in it. Used by the development build only.
 */
import { describe, describeKey } from '../errors.js'
import { say } from '../messages.js'
import { indexOptions } from './index-keys.js'
import type { IndexPaths } from './index-paths.js'
import { atKeyPath, isIndexKey } from './keys.js'

/** The indexes that were warned of already in this page or worker. */
const warned = new Set<string>()

/** A property that an index sorts by. */
interface Part {
  readonly index: string
  readonly path: string
  readonly multiEntry: boolean
}

/** The indexes of one table. */
export class IndexWatch {
  readonly #table: string
  /** The properties of those that were not warned of yet. */
  #parts: readonly Part[]

  constructor(projection: string, table: string, indexes: IndexPaths) {
    this.#table = say`table '${table}' of projection '${projection}'`
    this.#parts = Object.entries(indexes).flatMap(([index, declared]) => {
      const { path, multiEntry = false } = indexOptions(declared)
      return [path].flat().map((one) => ({ index, path: one as string, multiEntry }))
    })
  }

  /** Looks at a row that is put. Where a property is missing, the app means the index to leave the row out. */
  look(key: unknown, row: unknown): void {
    for (const { index, path, multiEntry } of this.#parts) {
      const value = atKeyPath(row, path)
      if (typeof value === 'string' || value === undefined) continue
      const isList = Array.isArray(value)
      const left: readonly unknown[] =
        isList && multiEntry
          ? Array.from(value as unknown[]).filter((item) => !isIndexKey(item))
          : isList || !isIndexKey(value)
            ? [value]
            : []
      if (left.length > 0) this.#warn(index, path, key, left[0])
    }
  }

  #warn(index: string, path: string, key: unknown, value: unknown): void {
    this.#parts = this.#parts.filter((part) => part.index !== index)
    const label = say`index '${index}' of ${this.#table}`
    if (warned.has(label)) return
    warned.add(label)
    const kind =
      typeof value === 'boolean' ? say`a boolean` : value instanceof Date ? say`an invalid Date` : describe(value)
    const effect = isIndexKey(value)
      ? say`the index finds the row by the whole list only. Put a row for each item, or index a property that is not a list.`
      : say`the index leaves the row out. Store a string, a number, a Date or bytes (0 and 1 for a boolean), or leave the property out if that is meant.`
    if (__DEV__) {
      console.warn(
        say`tidemark: ${label}: the row ${describeKey(key)} has ${kind} in '${path}'; ${effect} Warned once for each index.`,
      )
    }
  }
}
