/** A set of listeners, told in rounds. */
import { tell } from './tasks.js'

/** Callbacks for something that happens. */
export interface Listeners<A extends readonly unknown[]> {
  readonly size: number
  /**
   * Adds one from the next round on; the same function twice is two listeners. Returns how to remove it: true the first
   * time.
   */
  add(listener: (...given: A) => void): () => boolean
  /**
   * Calls every listener that was there when the round began and was not removed since. What one throws is reported,
   * and the others are called.
   */
  tell(...given: A): void
  /** Removes all of them, also from a round under way. */
  clear(): void
}

export function listenerSet<A extends readonly unknown[] = []>(): Listeners<A> {
  const all = new Set<(...given: A) => void>()
  return {
    get size() {
      return all.size
    },
    add(listener) {
      const own = (...given: A) => listener(...given)
      all.add(own)
      return () => all.delete(own)
    },
    tell(...given) {
      for (const listener of [...all]) if (all.has(listener)) tell(() => listener(...given))
    },
    clear: () => all.clear(),
  }
}
