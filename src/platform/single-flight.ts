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
      running = undefined
    }))
  }
  return () => (running === undefined ? run() : (next ??= running.then(run, run)))
}
