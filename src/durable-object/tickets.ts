/** Words that are good once, for a while: browsers send no headers with a WebSocket. */
import { randomId } from '../events/identifier.js'
import type { Clock } from '../platform/clock.js'

/** How long a ticket is good, s. */
export const ticketSeconds = 60
/** More are not kept: the oldest goes. */
const mostTickets = 10_000

export class Tickets {
  readonly #clock: Pick<Clock, 'monotonic'>
  /** Until when each is good, oldest first. In memory: after an eviction the device asks for another one. */
  readonly #ends = new Map<string, number>()

  constructor(clock: Pick<Clock, 'monotonic'>) {
    this.#clock = clock
  }

  issue(): string {
    const now = this.#clock.monotonic()
    for (const [old, end] of this.#ends) {
      if (end > now && this.#ends.size < mostTickets) break
      this.#ends.delete(old)
    }
    const ticket = randomId()
    this.#ends.set(ticket, now + ticketSeconds * 1000)
    return ticket
  }

  /** Whether it is good, which it is not any more after that. */
  take(ticket: string): boolean {
    const end = this.#ends.get(ticket)
    this.#ends.delete(ticket)
    return end !== undefined && end > this.#clock.monotonic()
  }
}
