/**
 * Finds numbers by text, in 8 to 16 bytes each, however long the texts are: what it finds are candidates, and who asks
 * reads them and compares. A `Map` of a million ids needs about 120 MB and ends at 16 million.
 */
import { getRandomValues } from 'node:crypto'

/** A hash of 32 bits under a secret key, so that no client makes texts that collide. */
export type Hash = number

const [key0 = 0, key1 = 0] = getRandomValues(new Uint32Array(2))

export class HashIndex {
  #hashes = new Uint32Array(1024)
  /** 0: the place is free. */
  #values = new Uint32Array(1024)
  #size = 0

  /** `value`: above 0. */
  add(hash: Hash, value: number): void {
    if (this.#size * 4 >= this.#values.length * 3) this.#grow()
    this.#size += 1
    this.#place(hash, value)
  }

  /** The values that were added with this hash. */
  find(hash: Hash): number[] {
    const found: number[] = []
    for (let at = this.#begin(hash); this.#values[at] !== 0; at = this.#after(at)) {
      if (this.#hashes[at] === hash) found.push(this.#values[at] ?? 0)
    }
    return found
  }

  /** @returns whether `old` was there */
  replace(hash: Hash, old: number, value: number): boolean {
    for (let at = this.#begin(hash); this.#values[at] !== 0; at = this.#after(at)) {
      if (this.#hashes[at] !== hash || this.#values[at] !== old) continue
      this.#values[at] = value
      return true
    }
    return false
  }

  #begin(hash: Hash): number {
    return (hash & (this.#values.length - 1)) >>> 0
  }

  #after(at: number): number {
    return (at + 1) & (this.#values.length - 1)
  }

  #place(hash: Hash, value: number): void {
    let at = this.#begin(hash)
    while (this.#values[at] !== 0) at = this.#after(at)
    this.#hashes[at] = hash
    this.#values[at] = value
  }

  #grow(): void {
    const [hashes, values] = [this.#hashes, this.#values]
    this.#hashes = new Uint32Array(values.length * 2)
    this.#values = new Uint32Array(values.length * 2)
    for (let at = 0; at < values.length; at += 1) {
      const value = values[at] ?? 0
      if (value !== 0) this.#place(hashes[at] ?? 0, value)
    }
  }
}

/** HalfSipHash-2-4 over the UTF-16 code units, two in a word. */
export function hashOf(text: string): Hash {
  let [v0, v1, v2, v3] = [key0, key1, key0 ^ 0x6c796765, key1 ^ 0x74656462]
  const round = (): void => {
    v0 = (v0 + v1) | 0
    v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0
    v0 = (v0 << 16) | (v0 >>> 16)
    v2 = (v2 + v3) | 0
    v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2
    v0 = (v0 + v3) | 0
    v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0
    v2 = (v2 + v1) | 0
    v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2
    v2 = (v2 << 16) | (v2 >>> 16)
  }
  const mix = (word: number): void => {
    v3 ^= word
    round()
    round()
    v0 ^= word
  }
  for (let at = 0; at < text.length; at += 2) mix(text.charCodeAt(at) | (text.charCodeAt(at + 1) << 16))
  mix(text.length)
  v2 ^= 0xff
  for (let last = 0; last < 4; last += 1) round()
  return (v1 ^ v3) >>> 0
}
