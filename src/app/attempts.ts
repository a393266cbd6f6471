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
  /** Of the last try, until one succeeds. */
  error(): unknown
  isUnderWay(): boolean
  /** A call of the app: what failed is tried again immediately. */
  use(): Promise<T>
  /** A subscription: does not disturb the pause after a failure, nor repeat what cannot succeed. */
  want(): void
  /** No try follows any more: calls reject. Resolves with what the last one opened, if it did. */
  end(): Promise<T | undefined>
}

/** Errors that a later try meets again. */
const isLasting = (error: unknown): boolean => hasCode(error, 'storage-unavailable', 'unsupported-format')

/** See {@link onceEach}. */
export interface OnceEach {
  tell(error: unknown): void
  over(): void
}

/** Tells a problem once, until it is over or there is another one, whichever error objects it comes as. */
export function onceEach(told: (error: unknown) => void): OnceEach {
  let last: string | undefined
  return {
    tell(error) {
      const problem = error instanceof TidemarkError ? error.code : String(error)
      if (problem === last) return
      last = problem
      told(error)
    },
    over() {
      last = undefined
    },
  }
}

/** Opens something once at a time, for as long as it takes. */
export function attempts<T extends object>(hooks: AttemptHooks, open: () => Promise<T>): Attempts<T> {
  let value: T | undefined
  let error: unknown
  let underWay: Promise<T> | undefined
  /** A call waits for the try under way. */
  let isHeard = false
  let failures = 0
  let cancel: (() => void) | undefined
  let isEnded = false

  const problem = onceEach(hooks.failed)
  const failed = () => {
    if (isEnded) return
    if (!isHeard) problem.tell(error)
    if (isLasting(error) || !hooks.isWanted()) return
    cancel = hooks.clock.schedule(pauseBefore(failures, pauses), () => {
      cancel = undefined
      if (hooks.isWanted()) want()
    })
    failures += 1
  }
  const attempt = (): Promise<T> => {
    cancel?.()
    cancel = undefined
    isHeard = false
    underWay = optional(
      open().then(
        (opened) => {
          underWay = error = undefined
          failures = 0
          problem.over()
          value = opened
          hooks.changed()
          return opened
        },
        (thrown: unknown) => {
          underWay = undefined
          error = thrown
          failed()
          hooks.changed()
          throw thrown
        },
      ),
    )
    const mine = underWay
    hooks.changed()
    return mine
  }
  const want = () => {
    if (value ?? underWay ?? cancel) return
    if (isEnded) return
    if (isLasting(error)) problem.tell(error)
    else void attempt()
  }
  return {
    value: () => value,
    error: () => error,
    isUnderWay: () => underWay !== undefined,
    use() {
      if (value !== undefined) return Promise.resolve(value)
      // What a try opened now would never be closed.
      if (isEnded && underWay === undefined) return Promise.reject(new ClosedError(say`The former store of the app`))
      const trying = underWay ?? attempt()
      isHeard = true
      return trying
    },
    want,
    end() {
      isEnded = true
      cancel?.()
      return Promise.resolve(underWay ?? value).catch(() => undefined)
    },
  }
}
