/** What the server of the shared board lets into a log: no device is trusted to keep the rules of the board by itself. */
import type { Refusal, WireCommit, WireEvent } from 'tidemark/server'
import {
  departures,
  flightStream,
  gates,
  gateStream,
  longestDelay,
  type BoardEvent,
} from '../src/for-two/flight-board.js'

/** Why a commit is refused, or nothing. */
export function accept({ events }: WireCommit): Refusal | undefined {
  for (const event of events) {
    const reason = isOfBoard(event) ? tooLong(event as BoardEvent) : notOfBoard
    if (reason) return reason
  }
  return undefined
}

const notOfBoard: Refusal = { code: 'not-of-this-board', message: 'This board has no such event.' }

const tooLong = ({ data }: BoardEvent): Refusal | undefined =>
  'minutes' in data && data.minutes > longestDelay
    ? {
        code: 'too-long',
        message: `The server takes no delay of more than ${longestDelay} minutes. Cancel the flight instead.`,
      }
    : undefined

/** Whether it is an event of the board, in the stream where it belongs. */
function isOfBoard({ type, stream, data, schema = 1 }: WireEvent): boolean {
  // Devices cannot read a version that is not defined, and would all stop at it.
  if (schema !== 1) return false
  const { flight, gate, minutes } = (typeof data === 'object' && data !== null ? data : {}) as Record<string, unknown>
  if (!departures.some((departure) => departure.flight === flight)) return false
  switch (type) {
    case 'GateGiven':
    case 'GateFreed':
      return gates.some((each) => each === gate) && stream === gateStream(gate as string)
    case 'FlightDelayed':
      return stream === flightStream(flight as string) && Number.isSafeInteger(minutes) && (minutes as number) > 0
    case 'FlightCancelled':
      return stream === flightStream(flight as string)
    default:
      return false
  }
}
