/** Random choices of a run: the same for the same seed. */
export interface Chance {
  /** In [0, 1). */
  next(): number
  /** A whole number below `n`. */
  pick(n: number): number
  one<T>(list: readonly T[]): T | undefined
  hits(share: number): boolean
}

/** Mulberry32. */
export function seeded(seed: number): Chance {
  let state = seed >>> 0
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  const pick = (n: number) => Math.floor(next() * n)
  return { next, pick, one: (list) => list[pick(list.length)], hits: (share) => next() < share }
}
