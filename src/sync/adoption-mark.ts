/** What is marked in a local log that is adopted, as a port. IndexedDB and memory implement it. */
import type { StoredEvent } from '../log/record/record-text.js'

export interface AdoptionMark {
  /** The name of the synced store that adopts it, or did. */
  readonly adopter: string | undefined
  /** Nothing is appended any more. */
  readonly isClosed: boolean
}

/** Looks at events of a log, and where commits begin among them. */
export type CheckRest = (events: readonly StoredEvent[], starts: ReadonlySet<number>) => void

export interface AdoptedLog {
  mark(): Promise<AdoptionMark>
  /** Marks it, unless it is marked. Returns who adopts it. */
  claim(adopter: string): Promise<string>
  /**
   * Closes it for writing, in every context, if it ends there; wherever it ends, with `check`. Returns where it ends if
   * it is closed.
   *
   * @param check looks at what is behind `head` before anything is closed; nothing is if it throws
   */
  closeAt(head: number, adopter: string, check: CheckRest | undefined): Promise<number | undefined>
}
