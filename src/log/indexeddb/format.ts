/** The format of a stored log, and which builds may touch it. */
import { StorageDamagedError, UnsupportedFormatError } from '../../errors.js'
import { say } from '../../messages.js'
import { adoptedError } from '../adopted-error.js'
import { indexNames } from '../../platform/indexeddb.js'

/**
 * What this build writes, and the newest that it understands. 1: events follow each other in a record. 2: they may be
 * in columns, and a log of format 1 becomes one when it is written to.
 */
export const format = 2

/** The version of the database of a store that syncs; a local one has 1. Nothing else has it. */
export const syncedVersion = 2

/** Above the format of every build. */
export const noWriter = Number.MAX_SAFE_INTEGER

/** The object store of the dead letters of plain projectors. */
export const deadLetterStore = 'letters'

/** The row that identifies a log: key `log` of the object store `meta`. */
export interface LogMeta {
  readonly key: 'log'
  readonly format: number
  /** The oldest format that a build must understand to read this log … */
  readonly minReader: number
  /** … and to append to it. */
  readonly minWriter: number
  /** Made with the log: two logs of the same name are told apart by it. */
  readonly incarnation: string
  /** The name of the synced store that adopts it, or did: then `minWriter` is {@link noWriter}. */
  readonly adopter?: string
}

/** The object stores of a log by name, with their keys and indexes. An index has the name of the property it is over. */
export const logShape: Readonly<
  Record<string, { keyPath: string | string[]; indexes?: Readonly<Record<string, IDBIndexParameters>> }>
> = {
  meta: { keyPath: 'key' },
  commits: {
    keyPath: 'at',
    indexes: { heads: { multiEntry: true }, commits: { multiEntry: true, unique: true }, ids: { multiEntry: true } },
  },
  checkpoints: { keyPath: 'name' },
  [deadLetterStore]: { keyPath: ['name', 'position'] },
}

/**
 * Makes sure that everything is there: upgrades were seen to be interrupted, and to lose object stores.
 *
 * @throws StorageDamagedError if something is missing
 */
export function assertWhole(database: IDBDatabase, store: string): void {
  const missing = (what: string) =>
    new StorageDamagedError(
      say`The event store '${store}' lacks its ${what}: it was damaged, and is left as it is. Restore it from an export, after deleteEventStore.`,
    )
  for (const [name, { indexes }] of Object.entries(logShape)) {
    if (!database.objectStoreNames.contains(name)) throw missing(say`object store '${name}'`)
    if (indexes === undefined) continue
    const there = indexNames(database, name)
    for (const index of Object.keys(indexes)) if (!there.includes(index)) throw missing(say`index '${index}'`)
  }
}

/**
 * @param writes whether it is about to be written to: one that was adopted can still be read
 * @throws UnsupportedFormatError if a newer build wrote the log, or it was adopted; StorageDamagedError if the row was
 * edited or damaged
 */
export function assertSupported(meta: LogMeta, store: string, writes = true): void {
  const { minReader, minWriter, incarnation, adopter } = meta
  if (
    !Number.isSafeInteger(minReader) ||
    !Number.isSafeInteger(minWriter) ||
    typeof incarnation !== 'string' ||
    incarnation === ''
  ) {
    throw new StorageDamagedError(
      say`The row that identifies the event store '${store}' was edited or damaged. Restore the store from an export, after deleteEventStore.`,
    )
  }
  if (adopter !== undefined && minReader <= format && minWriter === noWriter) {
    if (!writes) return
    throw adoptedError(adopter)
  }
  if (minReader > format || minWriter > format) {
    throw new UnsupportedFormatError(
      say`The event store '${store}' was written by a newer version of this app. Reload the page to get that version.`,
    )
  }
}

/**
 * Keeps older builds away from what this one is about to write in a transaction. What only reads leaves the log to
 * them.
 */
export function raiseFormat(transaction: IDBTransaction, meta: LogMeta): void {
  if (meta.minReader >= format && meta.minWriter >= format) return
  const atLeast = (given: number) => Math.max(given, format)
  transaction.objectStore('meta').put({
    ...meta,
    format: atLeast(meta.format),
    minReader: atLeast(meta.minReader),
    minWriter: atLeast(meta.minWriter),
  } satisfies LogMeta)
}
