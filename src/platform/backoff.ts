/** Pauses between tries: the one formula, and the options that an app sets for it. */
import { InvalidArgumentError } from '../errors.js'
import { say } from '../messages.js'
import { onlyKnown } from './arguments.js'

/** How pauses grow from one try to the next. Times are in ms. */
export interface Backoff {
  /** Before the first retry. */
  readonly delay: number
  /** No pause is longer. */
  readonly maxDelay: number
  /** The factor from one pause to the next. @default 2 */
  readonly multiplier?: number
  /** The share of a pause that is added or taken at random, so that contenders drift apart. @default 0 */
  readonly jitter?: number
}

/** The pause before a retry, in whole ms. The first retry is number 0; `random` is in [0, 1). */
export function pauseBefore(retry: number, backoff: Backoff, random = 0.5): number {
  const { delay, maxDelay, multiplier = 2, jitter = 0 } = backoff
  // A delay of 0 stays 0 also where the factor is Infinity.
  const pause = Math.min(maxDelay, delay * Math.min(multiplier ** retry, Number.MAX_VALUE), Number.MAX_VALUE)
  return Math.min(maxDelay, Math.round(pause * (1 + jitter * (2 * random - 1))))
}

/**
 * How often, and after which pauses, something that failed is tried again. For a retry at a fixed pace: `multiplier: 1,
 * jitter: 0`.
 */
export interface RetryOptions {
  /** Retries after the first attempt; 0 for none. @default 4 for commands, 3 for events of a projection */
  readonly maxRetries?: number
  /** Pause before the first retry, in ms. @default 10 for commands, 100 for projections */
  readonly delay?: number
  /** The factor from one pause to the next; at least 1. @default 2 */
  readonly multiplier?: number
  /** The longest pause, in ms. @default 5000 */
  readonly maxDelay?: number
  /**
   * The share of a pause that is added or taken at random, from 0 to 1, so that contenders drift apart.
   * @default 0.2 for commands, 0.1 for projections
   */
  readonly jitter?: number
}

/** {@link RetryOptions}, checked and complete. */
export type RetryPolicy = Required<RetryOptions>

/** Retries of a command that met a conflict. */
export const commandRetry: RetryPolicy = { maxRetries: 4, delay: 10, multiplier: 2, maxDelay: 5_000, jitter: 0.2 }
/** Retries of an event that a projection failed to apply. */
export const projectionRetry: RetryPolicy = { maxRetries: 3, delay: 100, multiplier: 2, maxDelay: 5_000, jitter: 0.1 }

/**
 * Checks options and fills in the defaults.
 *
 * @throws InvalidArgumentError for an unknown option, and for a value outside its range
 */
export function retryPolicy(options: RetryOptions | undefined, defaults: RetryPolicy): RetryPolicy {
  onlyKnown(options, Object.keys(defaults), 'retry')
  const policy = { ...defaults }
  for (const name of Object.keys(defaults) as (keyof RetryPolicy)[]) {
    const value: unknown = options?.[name]
    if (value === undefined) continue
    const least = name === 'multiplier' ? 1 : 0
    const most = name === 'jitter' ? 1 : name === 'delay' ? Number.MAX_VALUE : Infinity
    const whole = name === 'maxRetries'
    if (typeof value !== 'number' || !(value >= least && value <= most) || (whole && value % 1 > 0)) {
      throw new InvalidArgumentError(
        `retry.${name}`,
        say`must be a ${whole ? say`whole ` : ''}number of at least ${least}${name === 'jitter' ? say` and at most 1` : ''}.`,
      )
    }
    policy[name] = value
  }
  return policy
}
