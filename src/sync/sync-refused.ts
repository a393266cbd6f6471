/** The errors that only a synced store throws. */
import { TidemarkError } from '../errors.js'
import { say } from '../messages.js'

/** Why a commit was refused. */
export interface CommitRefusal {
  /**
   * For programs: `'conflict'`, `'blocked'` (it was decided on a commit that was refused, decided again or discarded), `'id-taken'`, `'too-large'`,
   * `'command-refused'`, `'command-failed'`, `'command-unknown'`, or what the server's `accept` gave.
   */
  readonly code: string
  /**
   * For people, or what the command or the server's `accept` gave. The production build has the code and the values
   * instead of a sentence of this package.
   */
  readonly message: string
  /** Of a conflict: the stream that has other events than those that the commit was decided on. */
  readonly stream?: string
  /** Of a conflict: where the event is that matches the commit's condition. */
  readonly position?: number
  /**
   * The id of the event in the way. Of a conflict: the last one of `stream`; missing if there is no such stream. Of
   * `'blocked'`: the one that it was decided on. Of `'id-taken'`: the one of both events.
   */
  readonly id?: string
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
    super('sync-refused', say`The commit was refused (${refusal.code}): ${refusal.message}`, { outcome: 'not-written' })
    this.commit = commit
    this.refusal = refusal
  }
}
