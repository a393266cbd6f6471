/**
 * Work that runs once at a time, however often it is asked for. A call while it runs makes it run once more afterwards.
 *
 * @returns how to ask for it; each call resolves with a run that began after the call
 */
export function singleFlight<T>(work: () => Promise<T>): () => Promise<T> {
  let running: Promise<T> | undefined
  let next: Promise<T> | undefined
  const run = (): Promise<T> => {
    next = undefined
    return (running = work().finally(() => {
      // A run that was asked for meanwhile is about to begin: a call that comes before it waits for that one.
      if (next === undefined) running = undefined
    }))
  }
  return () => (running === undefined ? run() : (next ??= running.then(run, run)))
}
