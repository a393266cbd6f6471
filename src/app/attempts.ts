/** Something that is opened at its first use, and again after a failure. */
import { ClosedError, hasCode, TidemarkError } from '../errors.js'
import { say } from '../messages.js'
import { pauseBefore } from '../platform/backoff.js'
import type { Clock } from '../platform/clock.js'
import { optional } from '../platform/promises.js'

/** Between tries while something is subscribed, ms. */
const pauses = { delay: 1_000, maxDelay: 30_000 }

/** What tries depend on, and what they notify. */
export interface AttemptHooks {
  readonly clock: Clock
  /** Something is subscribed, so that failures are tried again without a call. */
  isWanted(): boolean
  changed(): void
  /** An error that no promise carries. */
  failed(error: unknown): void
}

/** See {@link attempts}. */
export interface Attempts<T extends object> {
  /** What is open. */
  value(): T | undefined
  /** The error of the last try, until one succeeds; after `end`, the reason that it was given. */
  error(): unknown
  /** Something is open, or being opened. */
  isUnderWay(): boolean
  /**
   * A call of the app: what failed is tried again immediately. The same promise until a try fails; after the end it
   * rejects.
   */
  use(): Promise<T>
  /** A subscription: does not disturb the pause after a failure, nor repeat what cannot succeed. */
  want(): void
  /** Ends the tries, and closes what the last one opened. */
  end(reason?: unknown): Promise<void>
}

/** Errors that a later try meets again. */
const isLasting = (error: unknown): boolean => hasCode(error, 'storage-unavailable', 'unsupported-format')

/**
 * Returns a function that reports a problem once, although it may come as a new error object each time, and again after
 * another problem. Call it without an error when the problem is over.
 */
export function onceEach(told: (error: unknown) => void): (error?: unknown) => void {
  let last: unknown
  return (error) => {
    const problem = error instanceof TidemarkError ? error.code : error && String(error)
    if (problem === last) return
    last = problem
    if (problem) told(error)
  }
}

/** Opens something: one try at a time, and after a failure again at the next call, or after a pause while it is wanted. */
export function attempts<T extends { close(): unknown }>(
  hooks: AttemptHooks,
  open: () => Promise<T>,
  problem = onceEach(hooks.failed),
): Attempts<T> {
  let value: T | undefined
  let error: unknown
  /** The try under way, or the one that succeeded. */
  let trying: Promise<T> | undefined
  /** A call waits for the try under way. */
  let isHeard = false
  let failures = 0
  let cancel: (() => void) | undefined
  let ended: unknown

  const attempt = (): Promise<T> => {
    cancel?.()
    cancel = undefined
    isHeard = false
    const mine = (trying = optional(
      open().then(
        (opened) => {
          error = undefined
          failures = 0
          problem()
          value = opened
          hooks.changed()
          return opened
        },
        (thrown: unknown) => {
          trying = undefined
          error = thrown
          if (ended === undefined) {
            if (!isHeard) problem(error)
            if (!isLasting(error) && hooks.isWanted()) {
              cancel = hooks.clock.schedule(pauseBefore(failures, pauses), () => {
                cancel = undefined
                if (hooks.isWanted()) want()
              })
              failures += 1
            }
          }
          hooks.changed()
          throw thrown
        },
      ),
    ))
    hooks.changed()
    return mine
  }
  const want = () => {
    if (ended ?? trying ?? cancel) return
    if (isLasting(error)) problem(error)
    else void attempt()
  }
  return {
    value: () => (ended === undefined ? value : undefined),
    error: () => ended ?? error,
    isUnderWay: () => trying !== undefined,
    use() {
      // What a try opened now would never be closed.
      if (ended !== undefined) return Promise.reject(ended)
      const mine = trying ?? attempt()
      isHeard = true
      return mine
    },
    want,
    async end(reason: unknown = new ClosedError(say`The former store of the app`)) {
      ended = reason
      cancel?.()
      const last = await trying?.catch(() => undefined)
      await last?.close()
    },
  }
}
