/**
 * Playwright does not show what goes wrong in shared and service workers, so those tell the harness server, which the
 * fixture asks when the test ends (H5).
 */
export function reportErrors(realm: string): void {
  addEventListener('error', (event) => report(event.message, event.error))
  addEventListener('unhandledrejection', (event) => report('unhandled rejection', event.reason))

  function report(what: string, error: unknown): void {
    const body = `${realm}: ${error instanceof Error ? (error.stack ?? error.message) : `${what} ${String(error)}`}`
    fetch('/__errors', { method: 'POST', body, keepalive: true }).catch(() => {})
  }
}
