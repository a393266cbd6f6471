/** A map that forgets: it keeps the values that were set last, up to a number of them. */
export class RecentMap<K, V> {
  readonly #most: number
  readonly #entries = new Map<K, V>()
  /**
   * Is before the oldest entry, since it continues where it was and all entries before that are gone. A new iterator
   * would pass by what was deleted each time, thousands of places where the map is large.
   */
  readonly #oldest = this.#entries.keys()

  constructor(most: number) {
    this.#most = most
  }

  get size(): number {
    return this.#entries.size
  }

  has(key: K): boolean {
    return this.#entries.has(key)
  }

  get(key: K): V | undefined {
    return this.#entries.get(key)
  }

  /** It is the newest from here on. Returns whether the oldest had to go for it. */
  set(key: K, value: V): boolean {
    this.#entries.delete(key)
    this.#entries.set(key, value)
    const isOver = this.#entries.size > this.#most
    if (isOver) this.shift()
    return isOver
  }

  /** Forgets the oldest one, and returns it. */
  shift(): V | undefined {
    const key = this.#oldest.next().value as K
    const value = this.#entries.get(key)
    this.#entries.delete(key)
    return value
  }

  /** Sets what is there, which does not become newer by it. Returns whether it is there. */
  replace(key: K, value: V): boolean {
    if (!this.#entries.has(key)) return false
    this.#entries.set(key, value)
    return true
  }

  values(): Iterable<V> {
    return this.#entries.values()
  }

  delete(key: K): boolean {
    return this.#entries.delete(key)
  }
}
