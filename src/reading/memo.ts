/** One live query for each key, as long as it is used. */
import type { Clock } from '../platform/clock.js'

/** How long a query is held after its last use, ms: a render that was thrown away comes back for it. */
const heldFor = 30_000
/** The most queries that are held without a subscriber. */
const mostHeld = 256

interface Held<Q> {
  readonly query: Q
  readonly until: number
}

/**
 * Queries by key. One that has subscribers, or runs, is held by what it watches; one that rests is held for a while
 * after its last use, and after that as long as the app holds it.
 */
export class Memo<Q extends object> {
  readonly #clock: Clock
  readonly #known = new Map<string, WeakRef<Q>>()
  /** The one that was used last is the last one. */
  readonly #held = new Map<string, Held<Q>>()
  #cancel: (() => void) | undefined
  /** Those that are gone are removed once more than that are known. */
  #sweepAt = 2 * mostHeld
  #closed = false

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** The query of a key. `make` makes it if there is none, and gets what is to be called after each use. */
  get(key: string, make: (used: () => void) => Q): Q {
    let query = this.#known.get(key)?.deref()
    if (query === undefined) {
      const made: Q = (query = make(() => this.#hold(key, made)))
      this.#known.set(key, new WeakRef(made))
      if (this.#known.size > this.#sweepAt) this.#sweep()
    }
    this.#hold(key, query)
    return query
  }

  /** Holds nothing any more. */
  close(): void {
    this.#closed = true
    this.#held.clear()
    this.#cancel?.()
  }

  #hold(key: string, query: Q): void {
    if (this.#closed) return
    this.#held.delete(key)
    this.#held.set(key, { query, until: this.#clock.monotonic() + heldFor })
    if (this.#held.size > mostHeld) this.#held.delete(this.#held.keys().next().value as string)
    this.#cancel ??= this.#clock.schedule(heldFor, () => this.#release())
  }

  #release(): void {
    this.#cancel = undefined
    const now = this.#clock.monotonic()
    for (const [key, { until }] of this.#held) {
      if (until > now) {
        this.#cancel = this.#clock.schedule(until - now, () => this.#release())
        return
      }
      this.#held.delete(key)
    }
  }

  #sweep(): void {
    for (const [key, query] of this.#known) if (query.deref() === undefined) this.#known.delete(key)
    this.#sweepAt = 2 * Math.max(mostHeld, this.#known.size)
  }
}
