/** The format of a stored log, and which builds may touch it (H41). */
import { StorageDamagedError, UnsupportedFormatError } from '../errors.js'

/** What this build writes, and the newest that it understands. */
export const format = 1

/** The row that identifies a log: key `log` of the object store `meta`. */
export interface LogMeta {
  readonly key: 'log'
  readonly format: number
  /** The oldest format that a build must understand to read this log … */
  readonly minReader: number
  /** … and to append to it. */
  readonly minWriter: number
  /** Made with the log: two logs of the same name are told apart by it (H31). */
  readonly incarnation: string
}

const shape: Readonly<Record<string, readonly string[]>> = { meta: [], commits: ['heads', 'commits', 'ids'], checkpoints: [], letters: [] }

/**
 * Makes sure that everything is there: upgrades were seen to be interrupted, and to lose object stores (H43).
 *
 * @throws StorageDamagedError if something is missing
 */
export function assertWhole(database: IDBDatabase, store: string): void {
  const missing = (what: string) => new StorageDamagedError(
    `The event store '${store}' lacks its ${what}: it was damaged, and is left as it is. Restore it from an export, after destroyEventStore.`,
  )
  for (const [name, indexes] of Object.entries(shape)) {
    if (!database.objectStoreNames.contains(name)) throw missing(`object store '${name}'`)
    if (indexes.length === 0) continue
    const { indexNames } = database.transaction(name).objectStore(name)
    for (const index of indexes) if (!indexNames.contains(index)) throw missing(`index '${index}'`)
  }
}

/** @throws UnsupportedFormatError if a newer build wrote the log; StorageDamagedError if the row is none */
export function assertSupported(meta: LogMeta, store: string): void {
  const { minReader, minWriter, incarnation } = meta
  if (!Number.isSafeInteger(minReader) || !Number.isSafeInteger(minWriter) || typeof incarnation !== 'string' || incarnation === '') {
    throw new StorageDamagedError(`The row that identifies the event store '${store}' was edited or damaged. Restore the store from an export, after destroyEventStore.`)
  }
  if (minReader > format || minWriter > format) {
    throw new UnsupportedFormatError(`The event store '${store}' was written by a newer version of this app. Reload the page to get that version.`)
  }
}
