/** Who made a commit, where the log is that of a server. */

/** What the log of a server knows of a commit in addition to its events. */
export interface CommitOrigin {
  /** Empty for the server itself. */
  readonly author: string
  /** When the log stored it, ms since 1970. */
  readonly recorded: number
}
