/** The promises that a live query returned. */
import type { Clock } from '../platform/clock.js'
import { optional } from '../platform/promises.js'
import type { LiveSnapshot } from './live-snapshot.js'

/** How long a query follows changes for a promise, without a subscriber, ms. */
const heldFor = 30_000

interface Reply<V> {
  readonly promise: Promise<V>
  isSettled: boolean
  settle(snapshot: LiveSnapshot<V>): void
}

export class Replies<V> {
  readonly #clock: Clock
  readonly #expired: () => void
  /** Of the run under way, or of the answer that is shown … */
  #current: Reply<V> | undefined
  /** … and of the run after that. */
  #next: Reply<V> | undefined
  #release: (() => void) | undefined

  /** @param expired called when changes need not be followed any more for the promises that were returned */
  constructor(clock: Clock, expired: () => void) {
    this.#clock = clock
    this.#expired = expired
  }

  /** A promise waits. */
  get isAwaited(): boolean {
    return this.#current?.isSettled === false || this.#next !== undefined
  }

  /** Changes are followed for a promise. */
  get isHeld(): boolean {
    return this.#release !== undefined
  }

  hold(): void {
    this.release()
    this.#release = this.#clock.schedule(heldFor, () => {
      this.#release = undefined
      this.#expired()
    })
  }

  release(): void {
    this.#release?.()
    this.#release = undefined
  }

  /** The promise of the run under way, or of what is shown, if that is given. */
  current(shown?: LiveSnapshot<V>): Promise<V> {
    this.#current ??= replyLater<V>()
    if (shown !== undefined) this.#current.settle(shown)
    return this.#current.promise
  }

  /** The promise of the run after the one under way. */
  next(): Promise<V> {
    return (this.#next ??= replyLater<V>()).promise
  }

  /** A run begins: the promise of the one before is over. */
  begin(): void {
    if (this.#current?.isSettled === true) this.#current = undefined
  }

  /** A run ended with this. After an error the next call is a new try. `again`: another run follows immediately. */
  end(snapshot: LiveSnapshot<V>, again: boolean): void {
    if (snapshot.status === 'error') this.release()
    const [current, next] = [this.#current, this.#next]
    this.#next = undefined
    current?.settle(snapshot)
    if (!again) next?.settle(snapshot)
    this.#current = again ? next : snapshot.status === 'error' ? undefined : (next ?? current)
  }

  /** Ends all of it; promises that wait settle with `snapshot`. */
  drop(snapshot?: LiveSnapshot<V>): void {
    this.release()
    const replies = [this.#current, this.#next]
    this.#current = this.#next = undefined
    if (snapshot !== undefined) for (const each of replies) each?.settle(snapshot)
  }
}

function replyLater<V>(): Reply<V> {
  let settle!: Reply<V>['settle']
  const promise = new Promise<V>((resolve, reject) => {
    settle = (snapshot) => {
      reply.isSettled = true
      if (snapshot.status === 'error') reject(snapshot.error)
      else resolve(snapshot.data as V)
    }
  })
  // A render that was thrown away handles nothing.
  const reply: Reply<V> = { promise: optional(promise), isSettled: false, settle }
  return reply
}
