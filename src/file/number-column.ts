/** Lists of numbers that grow, without an object for each number. */

/** Offsets in a file, and lengths. */
export class Column {
  #numbers: Float64Array | Uint32Array
  #size = 0

  constructor(of: 'offsets' | 'counts') {
    this.#numbers = of === 'offsets' ? new Float64Array(1024) : new Uint32Array(1024)
  }

  get size(): number {
    return this.#size
  }

  push(value: number): void {
    if (this.#size === this.#numbers.length) {
      const old = this.#numbers
      // Half as much again: at a million entries the empty part is 4 MB at most.
      const length = Math.ceil(old.length * 1.5)
      this.#numbers = old instanceof Float64Array ? new Float64Array(length) : new Uint32Array(length)
      this.#numbers.set(old)
    }
    this.#numbers[this.#size] = value
    this.#size += 1
  }

  at(index: number): number {
    return this.#numbers[index] ?? 0
  }

  /** The index of the last value that is not above this one, of values that ascend; -1 if all are above it. */
  lastUpTo(value: number): number {
    let [low, high] = [0, this.#size]
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.at(middle) <= value) low = middle + 1
      else high = middle
    }
    return low - 1
  }
}
