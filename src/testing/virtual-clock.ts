/** Time that passes only when a test says so. */
import type { Clock } from '../platform/clock.js'
import { onlyKnown } from '../platform/arguments.js'
import { realTimeout } from '../platform/tasks.js'
import { seededRandom } from './random.js'

/**
 * A clock under the control of a test, for the `clock` option of `runProjection`, `startProjection` and `execute`:
 * hours of retries and pauses take no time, and no timed assertion can flicker.
 */
export interface VirtualClock extends Clock {
  /**
   * Lets `ms` pass. Runs every timer that falls due on the way, in the order of their times (those of the same time in
   * the order in which they were made), and after each gives promises three turns of the event loop to settle.
   */
  advance(ms: number): Promise<void>
  /**
   * Lets time pass from timer to timer until the promise settles, and resolves or rejects as it does.
   *
   * @param options.maxMs of virtual time. @default 3600000, one hour
   * @throws Error if the promise did not settle by then, or waits for something that no timer brings about
   */
  runUntil<T>(promise: Promise<T>, options?: { readonly maxMs?: number }): Promise<T>
  /** Timers that wait: 0 when everything was cleaned up. */
  readonly pending: number
}

interface Timer {
  readonly due: number
  readonly callback: () => void
}

/**
 * A clock that does not move until it is advanced.
 *
 * @example
 * const clock = virtualClock()
 * const run = runProjection(store, projector, { clock, retry: { delay: 60_000 } })
 * await clock.runUntil(run)
 * clock.monotonic() // how long that would have taken, ms
 *
 * @param options.start wall clock at the beginning, ms since the epoch. @default 0
 * @param options.seed of the random numbers, which are the same for the same seed. @default 1
 * @throws InvalidArgumentError for an unknown option
 */
export function virtualClock(options: { readonly start?: number; readonly seed?: number } = {}): VirtualClock {
  onlyKnown(options, ['start', 'seed'])
  const { start = 0, seed = 1 } = options
  let elapsed = 0
  const random = seededRandom(seed)
  // In the order of scheduling, which decides between timers that are due at the same time.
  const timers = new Set<Timer>()

  const next = (until: number): Timer | undefined => {
    let first: Timer | undefined
    for (const timer of timers) if (timer.due <= until && (first === undefined || timer.due < first.due)) first = timer
    return first
  }
  const fire = async (timer: Timer) => {
    timers.delete(timer)
    elapsed = Math.max(elapsed, timer.due)
    timer.callback()
    await settled()
  }

  return {
    now: () => start + elapsed,
    monotonic: () => elapsed,
    random,
    schedule(ms, callback) {
      const timer = { due: elapsed + Math.max(0, ms), callback }
      timers.add(timer)
      return () => void timers.delete(timer)
    },
    get pending() {
      return timers.size
    },
    async advance(ms) {
      const until = elapsed + ms
      await settled()
      for (let timer = next(until); timer !== undefined; timer = next(until)) await fire(timer)
      elapsed = until
    },
    async runUntil(promise, options = {}) {
      onlyKnown(options, ['maxMs'])
      const { maxMs = 3_600_000 } = options
      let finished = false
      const finish = () => {
        finished = true
      }
      promise.then(finish, finish)
      const until = elapsed + maxMs
      await settled()
      // Rounds without a timer wait for what is not under this clock, such as a message between threads.
      for (let round = 0; !finished; round += 1) {
        const timer = next(until)
        if (timer !== undefined) await fire(timer)
        else if (round < 250 && timers.size === 0) await settled()
        else throw new Error(`Not settled after ${maxMs} ms of virtual time.`)
      }
      return await promise
    },
  }
}

/** Microtasks, and the tasks of other queues that they asked for. */
async function settled(): Promise<void> {
  for (let round = 0; round < 3; round += 1) await new Promise<void>((resolve) => void realTimeout(resolve, 0))
}
