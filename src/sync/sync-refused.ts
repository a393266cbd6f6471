/** The errors that only a synced store throws. */
import { TidemarkError } from '../errors.js'
import { say } from '../messages.js'

/** Why a commit was refused. */
export interface CommitRefusal {
  /**
   * For programs: `'conflict'`, `'blocked'` (it was decided on a commit that was refused), `'id-taken'`, `'too-large'`,
   * `'command-refused'`, `'command-failed'`, `'command-unknown'`, or what the server's `accept` gave.
   */
  readonly code: string
  /** For people. */
  readonly message: string
}

/**
 * The server refused a commit of this device, or the command that made it did when it was decided again. It is kept in
 * the outbox until the app calls its `retry()` or `discard()`.
 */
export class SyncRefusedError extends TidemarkError {
  /** The id of the commit, as in `OwnCommit`. */
  declare readonly commit: string
  declare readonly refusal: CommitRefusal

  constructor(commit: string, refusal: CommitRefusal) {
    super('sync-refused', say`The commit was refused: ${refusal.code} (${refusal.message})`, { outcome: 'not-written' })
    this.commit = commit
    this.refusal = refusal
  }
}
