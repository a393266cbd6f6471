/** Telling promises from other values, where the app's code must not wait. */

/** Whether this is a promise, of whatever kind. */
export function isThenable<T>(value: T | PromiseLike<T>): value is PromiseLike<T> {
  return typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function'
}

/** Whether this is a promise. Nothing waits for it then: should it reject, that does not come up as unhandled. */
export function isRefusedPromise<T>(value: T | PromiseLike<T>): value is PromiseLike<T> {
  if (!isThenable(value)) return false
  Promise.resolve(value).catch(() => {})
  return true
}
