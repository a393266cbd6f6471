/** Giving way to the page between pieces of work. */
import { feature } from './features.js'

/** Taken at import, so that fake timers of a test that are installed later do not stop what is only giving way. */
export const realTimeout = setTimeout

/** Calls back after the work at hand. Not with `queueMicrotask`, which fake timers replace. */
export function soon(work: () => void): void {
  void Promise.resolve().then(work)
}

/**
 * Resolves in a later task: the page responds to input and paints first. Not a timer, so that a hidden page is not
 * throttled.
 */
export function nextTask(): Promise<void> {
  const scheduler = feature((here) => (here as { scheduler?: { yield?: () => Promise<void> } }).scheduler)
  if (typeof scheduler?.yield === 'function') return scheduler.yield()
  return new Promise((resolve) => {
    const channel = feature((here) => new here.MessageChannel())
    if (channel === undefined) return void realTimeout(resolve)
    const { port1, port2 } = channel
    port1.onmessage = () => {
      port1.close()
      resolve()
    }
    port2.postMessage(null)
  })
}

/** Tells a listener of the app something. What it throws is the app's to know, and must not end what called it. */
export function tell(listener: () => void): void {
  try {
    listener()
  } catch (error) {
    if (typeof reportError === 'function') reportError(error)
    else console.error(error)
  }
}
