/** Where contexts of the browser send their messages: a server of the driver's own, since shared and service workers reach no other part of it. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Message } from './account.js'

export interface Receiver {
  readonly url: string
  close(): void
}

/** Starts it on a free port. `take` is called with each message as it arrives. */
export async function openReceiver<M = Message>(take: (message: M) => void): Promise<Receiver> {
  const server = createServer((request, response) => {
    let body = ''
    request.setEncoding('utf8')
    request.on('data', (chunk: string) => (body += chunk))
    request.on('end', () => {
      take(JSON.parse(body) as M)
      response.writeHead(204).end()
    })
  })
  // A browser does not send a message again whose connection is being closed.
  server.keepAliveTimeout = 600_000
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    url: `http://localhost:${port}/`,
    close() {
      server.close()
      server.closeAllConnections()
    },
  }
}
