/** Why a whole request is refused: with a status, and nothing of it was looked at or stored. */
import { TidemarkError } from '../errors.js'
import { say } from '../messages.js'
import type { ProblemCode, WireProblem } from '../wire/protocol.js'

/**
 * A request to a log that is refused as a whole; what is wrong with one commit is an answer instead. `syncHandler`
 * makes a response of it.
 */
export class RequestRefusedError extends TidemarkError {
  /** Of the response. */
  declare readonly status: number
  /** The body of the response. */
  declare readonly problem: WireProblem

  constructor(status: number, code: ProblemCode, message: string) {
    super('request-refused', message, { outcome: 'not-written' })
    this.status = status
    this.problem = { code, message }
  }
}

export const otherEpoch = (): RequestRefusedError =>
  new RequestRefusedError(409, 'other-epoch', say`The log has begun another epoch.`)
