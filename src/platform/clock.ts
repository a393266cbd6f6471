/** Time and chance, behind one door: so that every rule that mentions them can be tested without waiting. */
import { InvalidArgumentError, describe } from '../errors.js'
import { say } from '../messages.js'
import { feature } from './features.js'

/** Time and chance, as tidemark asks for them. */
export interface Clock {
  /** Wall clock, ms since the epoch. Information only: it jumps. */
  now(): number
  /** Never goes back; ms. For measuring spans in this context only. */
  monotonic(): number
  /** A number in [0, 1), for jitter. */
  random(): number
  /** Calls back once after `ms`; returns how to take that back. */
  schedule(ms: number, callback: () => void): () => void
}

/** `setTimeout` fires immediately above this many ms. */
const longestTimer = 2 ** 31 - 1

/** The wall clock of this context, for what needs no other part of a clock. */
export const systemTime = (): number => Date.now()

const schedule: Clock['schedule'] = (ms, callback) => {
  let left = Math.max(0, ms)
  let timer: ReturnType<typeof setTimeout>
  const arm = () => {
    const span = Math.min(left, longestTimer)
    left -= span
    timer = setTimeout(left > 0 ? arm : callback, span)
  }
  arm()
  return () => clearTimeout(timer)
}

/** The timers of this context, for what needs no other part of a clock. */
export const systemTimers: Pick<Clock, 'schedule'> = { schedule }

/** The clock of this context. */
export const systemClock: Clock = {
  now: systemTime,
  // Where there is nothing better, what jumps (H52).
  monotonic: () => feature(({ performance }) => performance.now()) ?? Date.now(),
  random: () => Math.random(),
  schedule,
}

/** The largest and, negative, the smallest time that a `Date` can have. */
const latestTime = 8.64e15

/**
 * The wall clock in whole ms, for what is stored. Parts of a ms are cut off.
 *
 * @throws InvalidArgumentError where the clock returns anything else than a time, such as a `Date.now` that a test
 * replaced
 */
export function wallTime(clock: Pick<Clock, 'now'>): number {
  const now: unknown = clock.now()
  // Written so that NaN is refused too.
  if (typeof now !== 'number' || !(Math.abs(now) <= latestTime)) {
    throw new InvalidArgumentError(
      say`The clock`,
      say`returns ${describe(now)}, which is no time in ms since 1970. Is Date.now replaced?`,
    )
  }
  // Not -0.
  return Math.trunc(now) + 0
}

/**
 * The wall clock for reports and stored failures, which must not fail because of their time: 0 where the clock returns
 * no number.
 */
export function timeTold(clock: Pick<Clock, 'now'>): number {
  const now = clock.now()
  return Number.isFinite(now) ? now : 0
}

/** Waits on a clock, but not past an abort, after which it resolves immediately. Leaves no listener behind. */
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
