/** The stream of hints that the leader follows: of the log that it is in contact with, one at a time. */
import type { Clock } from '../platform/clock.js'
import { optional } from '../platform/promises.js'
import { followWake } from './follow-wake.js'
import type { Nudges } from './nudges.js'
import { isBy } from './rules/contact.js'
import type { AnsweredBy } from './sync-effects.js'
import type { SyncStatusChange } from './sync-status.js'
import type { Transport } from './transport.js'

export interface HintsPorts {
  readonly transport: Transport
  readonly clock: Clock
  readonly nudges: Nudges
  /** By a WebSocket, where the server and this context have them. */
  readonly bySocket: boolean
  show(change: SyncStatusChange): void
}

export class ServerHints {
  readonly #ports: HintsPorts
  /** Whose hints are followed. */
  #remote: AnsweredBy | undefined
  #isOpen = false
  #following = new AbortController()

  constructor(ports: HintsPorts) {
    this.#ports = ports
  }

  /** Does nothing where the hints of this log are followed already. */
  follow(as: AnsweredBy): void {
    if (isBy({ remote: this.#remote }, as)) return
    this.end()
    this.#remote = as
    const { signal } = (this.#following = new AbortController())
    const { show, nudges } = this.#ports
    const following = followWake(
      {
        ...this.#ports,
        as,
        onOpen: () => {
          this.#isOpen = !signal.aborted
          nudges.raise('reachable')
        },
        onHead(reached) {
          // Not before: a proxy may keep what the server sends.
          show({ wake: 'open' })
          nudges.hinted(reached)
        },
        onConflict: () => nudges.raise('conflict'),
        onEnd: () => {
          this.#isOpen = false
          show({ wake: 'closed' })
        },
      },
      signal,
    )
    void optional(following)
  }

  /** Ends it, also one that waits for its next try: it is opened again with the next contact, and not after its pause. */
  end(onlyClosed = false): void {
    if (onlyClosed && this.#isOpen) return
    this.#following.abort()
    this.#remote = undefined
    this.#isOpen = false
    this.#ports.show({ wake: undefined })
  }
}
