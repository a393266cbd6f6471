/** Giving way to the page between pieces of work. */

/** Resolves in a later task: the page answers input and paints first. Not a timer, so that a hidden page is not throttled (H58). */
export function nextTask(): Promise<void> {
  const scheduler = (globalThis as { scheduler?: { yield?: () => Promise<void> } }).scheduler
  if (typeof scheduler?.yield === 'function') return scheduler.yield()
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel()
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
