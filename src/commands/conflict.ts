/** The conflict that a command could not get past. */
import { VersionConflictError } from '../errors.js'

/** Every attempt of a command met a conflict. Nothing was written. `cause` is the last conflict. */
export class CommandConflictError extends VersionConflictError {
  /** The first attempt and its retries. */
  readonly attempts: number
  /** What the last attempt had read. */
  readonly streams: readonly string[]

  constructor(last: VersionConflictError, attempts: number, streams: readonly string[], command?: string) {
    super(last)
    this.name = 'CommandConflictError'
    const retries = attempts - 1
    const whose = command === undefined ? '' : ` of command '${command}'`
    this.message = `Concurrency conflict${whose} after ${retries} retry ${retries === 1 ? 'attempt' : 'attempts'}: ${last.message}`
    this.cause = last
    this.attempts = attempts
    this.streams = streams
  }
}
