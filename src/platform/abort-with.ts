/** Signals that end the same work. */

/**
 * Aborts a controller with the first of these signals, and its reason; immediately, if one of them is aborted. Returns
 * how to undo that: a signal may live long, and should keep no listener of work that has ended.
 */
export function abortWith(
  controller: AbortController,
  ...signals: readonly (AbortSignal | null | undefined)[]
): () => void {
  const abort = () => controller.abort(signals.find((signal) => signal?.aborted)?.reason)
  for (const signal of signals) signal?.addEventListener('abort', abort, { once: true })
  if (signals.some((signal) => signal?.aborted)) abort()
  return () => {
    for (const signal of signals) signal?.removeEventListener('abort', abort)
  }
}
