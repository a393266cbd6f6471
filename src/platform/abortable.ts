/** Promises that may be given up. */

/** A promise that may be awaited or not: its rejection is no unhandled one where another came first (H5). */
export function optional<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {})
  return promise
}

/**
 * What the promise settles with, or the reason of the first signal that aborts. The promise may then settle as it likes: its rejection is
 * no unhandled one. Leaves no listener behind (H75).
 */
export function abortable<T>(promise: PromiseLike<T>, ...signals: readonly (AbortSignal | null | undefined)[]): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => {
      end()
      reject(signals.find((signal) => signal?.aborted)?.reason)
    }
    const end = () => {
      for (const signal of signals) signal?.removeEventListener('abort', abort)
    }
    promise.then((value) => {
      end()
      resolve(value)
    }, (error: unknown) => {
      end()
      reject(error)
    })
    for (const signal of signals) signal?.addEventListener('abort', abort, { once: true })
    if (signals.some((signal) => signal?.aborted)) abort()
  })
}

/** Whether there is something to wait for. */
export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function'
}
