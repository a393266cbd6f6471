/** What both backends check where a checkpoint of a plain projector is saved, and where its dead letters are read. */
import { LeadershipLostError } from '../errors.js'
import { say } from '../messages.js'
import { wholeNumber } from '../platform/arguments.js'

/** @throws LeadershipLostError if the stored checkpoint is not the expected one */
export function assertExpected(name: string, stored: number | undefined, expected: number | undefined): void {
  if (expected !== undefined && (stored ?? 0) !== expected) {
    throw new LeadershipLostError(
      name,
      say`its checkpoint is ${stored ?? 0}, not ${expected}; another runner moved it.`,
    )
  }
}

export const saveNames = ['expected', 'deadLetters', 'dropDeadLetters']

export function checkPage(after: number, limit: number): void {
  wholeNumber(after, 'after')
  wholeNumber(limit, 'limit')
}
