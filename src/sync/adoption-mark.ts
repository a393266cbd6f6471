/** What is marked in a local log that is adopted, as a port. IndexedDB and memory implement it. */

export interface AdoptionMark {
  /** The name of the synced store that adopts it, or did. */
  readonly adopter: string | undefined
  /** Nothing is appended any more. */
  readonly isClosed: boolean
}

export interface AdoptedLog {
  mark(): Promise<AdoptionMark>
  /** Marks it, unless it is marked. Returns who adopts it. */
  claim(adopter: string): Promise<string>
  /**
   * Closes it for writing, in every context, if it ends there; wherever it ends, if `always`. Returns where it ends if
   * it is closed.
   */
  closeAt(head: number, adopter: string, always: boolean): Promise<number | undefined>
}
