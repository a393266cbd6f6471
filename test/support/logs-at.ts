/** How the examples that sync find a server of a test. */
import type { BrowserContext } from '@playwright/test'

export interface ServerOfLogs {
  /** Lets a context find it under the address that the example asks for. */
  serve(context: BrowserContext): Promise<void>
  close(): Promise<void>
}

/** Sends requests for logs to this port of this machine. */
export const logsAt =
  (port: number): ServerOfLogs['serve'] =>
  async (context) => {
    await context.route(
      ({ pathname }) => pathname.startsWith('/logs/'),
      (route) => {
        const { pathname, search } = new URL(route.request().url())
        return route.continue({ url: `http://127.0.0.1:${port}${pathname}${search}` })
      },
    )
  }
