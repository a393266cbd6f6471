/** How often, and after which pauses, a command that met a conflict starts again (C6). */
import { InvalidArgumentError } from '../errors.js'
import { onlyKnown } from '../platform/arguments.js'

/** How conflicts of a command are retried. */
export interface RetryOptions {
  /** Attempts after the first one; 0 for none. @default 4 */
  readonly maxAttempts?: number
  /** Pause before the first retry, in ms. @default 10 */
  readonly delay?: number
  /**
   * `'exponential'` doubles the pause with each retry and spreads it by a random factor from 0.8 to 1.2, so that
   * contenders drift apart; `'fixed'` keeps it exactly. @default 'exponential'
   */
  readonly backoff?: 'exponential' | 'fixed'
}

/** {@link RetryOptions}, checked and complete. */
export type RetryPolicy = Required<RetryOptions>

/** Checks options and fills in the defaults. */
export function retryPolicy(options: RetryOptions = {}): RetryPolicy {
  onlyKnown(options, ['maxAttempts', 'delay', 'backoff'], 'retry')
  const { maxAttempts = 4, delay = 10, backoff = 'exponential' } = options
  if (!Number.isSafeInteger(maxAttempts) || maxAttempts < 0)
    throw new InvalidArgumentError('retry.maxAttempts', 'must be a whole number of at least 0.')
  if (!Number.isFinite(delay) || delay < 0)
    throw new InvalidArgumentError('retry.delay', 'must be a number of ms, at least 0.')
  if (backoff !== 'exponential' && backoff !== 'fixed')
    throw new InvalidArgumentError('retry.backoff', "must be 'exponential' or 'fixed'.")
  return { maxAttempts, delay, backoff }
}

/** A pause, spread by `random` in [0, 1]: 0.8 to 1.2 times as long, in whole ms. */
export function jittered(delay: number, random: number): number {
  return Math.min(Number.MAX_SAFE_INTEGER, Math.round(delay * (0.8 + 0.4 * random)))
}

/** The pause before a retry, the first one being number 1. */
export function retryDelay(policy: RetryPolicy, retry: number, random: () => number): number {
  return policy.backoff === 'fixed' ? policy.delay : jittered(policy.delay * 2 ** (retry - 1), random())
}
