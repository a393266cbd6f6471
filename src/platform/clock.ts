/** Time and chance, behind one door: so that every rule that mentions them can be tested without waiting. */

export interface Clock {
  /** Wall clock, ms since the epoch. Information only: it jumps (H52). */
  now(): number
  /** Never goes back; ms. For measuring spans in this context only. */
  monotonic(): number
  /** A number in [0, 1), for jitter. */
  random(): number
  /** Calls back once after `ms`; returns how to take that back. */
  schedule(ms: number, callback: () => void): () => void
}

/** `setTimeout` fires at once above this many ms (H69). */
const longestTimer = 2 ** 31 - 1

/** The clock of this context. */
export const systemClock: Clock = {
  now: () => Date.now(),
  // Where there is nothing better, what jumps (H52).
  monotonic: () => (globalThis.performance ?? Date).now(),
  random: () => Math.random(),
  schedule(ms, callback) {
    let left = Math.max(0, ms)
    let timer: ReturnType<typeof setTimeout>
    const arm = () => {
      const span = Math.min(left, longestTimer)
      left -= span
      timer = setTimeout(left > 0 ? arm : callback, span)
    }
    arm()
    return () => clearTimeout(timer)
  },
}

/** Waits on a clock, but not past an abort, after which it resolves at once. Leaves no listener behind (H75). */
export function sleep(clock: Clock, ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      cancel()
      signal?.removeEventListener('abort', done)
      resolve()
    }
    const cancel = clock.schedule(ms, done)
    signal?.addEventListener('abort', done, { once: true })
    if (signal?.aborted === true) done()
  })
}
