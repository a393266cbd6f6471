/** The format of a stored log, and which builds may touch it (H41). */
import { UnsupportedFormatError } from '../errors.js'

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

/** @throws UnsupportedFormatError if a newer build wrote the log */
export function assertSupported(meta: LogMeta, store: string): void {
  if (meta.minReader > format || meta.minWriter > format) {
    throw new UnsupportedFormatError(`The event store '${store}' was written by a newer version of this app. Reload the page to get that version.`)
  }
}
