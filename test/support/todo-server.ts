/** A sync server over HTTP for the examples that sync, on a free port of this machine. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { logsAt, type ServerOfLogs } from './logs-at.js'

export interface TodoServer extends ServerOfLogs {
  /** Takes titles in capitals from now on. */
  allowShouting(): void
}

export async function todoServer(): Promise<TodoServer> {
  // The sources are built with this constant; here they run as they are.
  Object.assign(globalThis, { __DEV__: true })
  const { memoryLogStore, serverLog, syncHandler } = await import('../../src/server/index.js')
  const { nodeListener } = await import('../../src/file/node-listener.js')
  const log = serverLog(memoryLogStore())
  let mayShout = false
  const handler = syncHandler({
    open(request) {
      const [, author] = /^Bearer (\w+)$/.exec(request.headers.get('authorization') ?? '') ?? []
      return author === undefined ? new Response(null, { status: 401 }) : { log, author }
    },
    accept({ events }) {
      const isLoud = events.some(({ data }) => /^[A-Z]+$/.test((data as { title?: string } | null)?.title ?? ''))
      return isLoud && !mayShout ? { code: 'too-loud', message: 'This list takes no shouting.' } : undefined
    },
  })
  const server = createServer(nodeListener(handler))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    serve: logsAt(port),
    allowShouting() {
      mayShout = true
    },
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections()
        server.close(() => resolve())
      }),
  }
}
