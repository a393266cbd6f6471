/** Promises that may be given up, or that must not be there. */
import { isObject } from './objects.js'

/** Whether this is a promise, of whatever kind. */
export function isThenable<T>(value: T | PromiseLike<T>): value is PromiseLike<T> {
  return isObject(value) && typeof (value as { then?: unknown }).then === 'function'
}

/** Whether this is a promise. Nothing waits for it then: should it reject, that does not come up as unhandled. */
export function isRefusedPromise<T>(value: T | PromiseLike<T>): value is PromiseLike<T> {
  if (!isThenable(value)) return false
  Promise.resolve(value).catch(() => {})
  return true
}

/** A promise that may be awaited or not: its rejection is no unhandled one where another came first. */
export function optional<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {})
  return promise
}

/**
 * What the promise settles with, or the reason of the first signal that aborts. The promise may then settle as it
 * likes: its rejection is no unhandled one. Leaves no listener behind.
 */
export function abortable<T>(
  promise: PromiseLike<T>,
  ...signals: readonly (AbortSignal | null | undefined)[]
): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => {
      end()
      reject(signals.find((signal) => signal?.aborted)?.reason)
    }
    const end = () => {
      for (const signal of signals) signal?.removeEventListener('abort', abort)
    }
    promise.then(
      (value) => {
        end()
        resolve(value)
      },
      (error: unknown) => {
        end()
        reject(error)
      },
    )
    for (const signal of signals) signal?.addEventListener('abort', abort, { once: true })
    if (signals.some((signal) => signal?.aborted)) abort()
  })
}
