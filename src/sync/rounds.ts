/** Promises of a whole round: one that begins after the call, so that it includes what was there then. */
export class Rounds {
  /** Callers whose round has not begun. */
  #asked: (() => void)[] = []
  /** Callers whose round is under way. */
  #begun: (() => void)[] = []

  /** Resolves at the end of a round that begins after this call, or when no round will. */
  next(): Promise<void> {
    return new Promise((resolve) => this.#asked.push(resolve))
  }

  /** A round is over. */
  waits(): void {
    for (const resolve of this.#begun.splice(0)) resolve()
  }

  /** Another one begins. */
  begins(): void {
    this.#begun.push(...this.#asked.splice(0))
  }

  /** There will be no other round in this context. */
  ended(): void {
    this.waits()
    for (const resolve of this.#asked.splice(0)) resolve()
  }
}
