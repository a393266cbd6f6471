/**
 * A driver for a browser that nothing drives: its first page, the hub, opens windows when it is told to, and every window
 * takes orders, both as server-sent events. That such a stream ends says that its page has gone.
 */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Answer, Order } from '../e2e/harness/remote.js'
import { limited } from './limit.js'

const connectLimit = 30_000

/** `noopener`: else a window shares the process of the hub, and dies with it. */
const hub = `<!doctype html><title>hub</title><script>
new EventSource('/orders/hub').onmessage = ({ data }) => void open(data, '_blank', 'noopener,width=400,height=300')
</script>`

/** Leaves out the id of an order of any kind. */
type Task = Order extends infer Each ? (Each extends Order ? Omit<Each, 'id'> : never) : never

export interface RemoteWindow {
  /** Rejects if it fails there, or if the window has gone. */
  send(task: Task): Promise<unknown>
  /** Resolves once it has gone, for whatever reason. */
  readonly gone: Promise<void>
}

export interface Remote {
  /** Of the page that the browser has to be started with. Another site than the windows', so that it is in a process of its own. */
  readonly hub: string
  /** Resolves once the hub is there. */
  ready(): Promise<void>
  /** Opens `remote.html` of the harness in a window. */
  open(harness: string): Promise<RemoteWindow>
  close(): void
}

export async function openRemote(): Promise<Remote> {
  const streams = new Map<string, ServerResponse>()
  const waiting = new Map<string, () => void>()
  const unanswered = new Map<
    number,
    { readonly resolve: (result: unknown) => void; readonly reject: (error: Error) => void }
  >()
  let orders = 0
  let windows = 0

  const server = createServer((request, response) => {
    // An answer that its window began and did not end is none.
    answer(request, response).catch(() => response.destroy())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const [, kind, name = ''] = (request.url ?? '').split('/')
    response.setHeader('Access-Control-Allow-Origin', '*').setHeader('Cache-Control', 'no-store')
    if (kind === '') response.setHeader('Content-Type', 'text/html').end(hub)
    else if (kind === 'orders') {
      response.setHeader('Content-Type', 'text/event-stream').write(':\n\n')
      streams.set(name, response)
      waiting.get(name)?.()
    } else if (kind === 'answers') {
      let body = ''
      for await (const chunk of request.setEncoding('utf8')) body += chunk
      const { id, result, error } = JSON.parse(body) as Answer
      if (error === undefined) unanswered.get(id)?.resolve(result)
      else unanswered.get(id)?.reject(new Error(error))
      unanswered.delete(id)
      response.end()
    } else response.writeHead(404).end()
  }

  async function connected(name: string): Promise<ServerResponse> {
    const there = new Promise<void>((resolve) => waiting.set(name, resolve))
    if (!streams.has(name) && (await limited(there, connectLimit)).state === 'late')
      throw new Error(`Window ${name} did not come within ${connectLimit} ms`)
    return streams.get(name) as ServerResponse
  }

  function windowOn(stream: ServerResponse): RemoteWindow {
    const own = new Set<number>()
    const gone = new Promise<void>((resolve) => void stream.once('close', resolve))
    void gone.then(() => {
      for (const id of own) unanswered.get(id)?.reject(new Error('The window has gone'))
    })
    return {
      gone,
      send(task) {
        if (stream.closed) return Promise.reject(new Error('The window has gone'))
        const id = (orders += 1)
        own.add(id)
        stream.write(`data: ${JSON.stringify({ id, ...task })}\n\n`)
        return new Promise((resolve, reject) => void unanswered.set(id, { resolve, reject })).finally(() => {
          own.delete(id)
          unanswered.delete(id)
        })
      },
    }
  }

  return {
    hub: `http://127.0.0.1:${port}/`,
    ready: async () => void (await connected('hub')),
    async open(harness) {
      const name = String((windows += 1))
      // Under two names, since a browser keeps six connections to each: one per window for orders, and some for answers.
      const addresses = {
        orders: `http://localhost:${port}/orders/${name}`,
        answers: `http://127.0.0.1:${port}/answers/`,
      }
      const stream = await connected('hub')
      stream.write(`data: ${new URL(`remote.html#${encodeURIComponent(JSON.stringify(addresses))}`, harness).href}\n\n`)
      return windowOn(await connected(name))
    },
    close() {
      server.close()
      server.closeAllConnections()
    },
  }
}
