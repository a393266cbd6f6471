/** Fetch handlers under `node:http`. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { InvalidArgumentError } from '../errors.js'
import { say } from '../messages.js'
import { onlyKnown } from '../platform/arguments.js'

/** Options of {@link nodeListener}. */
export interface NodeListenerOptions {
  /**
   * Scheme and host of `request.url`, such as `https://sync.example.com`. By default they are what the client's `Host`
   * header and the connection say, so that a handler must not rely on them.
   */
  readonly origin?: string
  /** Gets what the handler or a body threw, which no response shows. @default `console.error` */
  readonly onError?: (error: unknown) => void
}

/** The most that is read and thrown away of a body that the handler did not read, so that the client gets its response. */
const mostUnread = 16 << 20

/**
 * Turns a Fetch handler into a listener for `node:http` and `node:https`. Bodies are streamed both ways and wait for the
 * slower side; `request.signal` aborts when the client disconnects; a response whose body fails is cut off, so that no
 * client takes a part for the whole.
 *
 * @example
 * ```ts
 * import { createServer } from 'node:http'
 * import { nodeListener } from 'tidemark/file'
 *
 * createServer(nodeListener(syncHandler({ open }))).listen(8787, '127.0.0.1')
 * ```
 * @throws InvalidArgumentError for bad options
 */
export function nodeListener(
  handler: (request: Request) => Response | Promise<Response>,
  options: NodeListenerOptions = {},
): (request: IncomingMessage, response: ServerResponse) => void {
  if (typeof handler !== 'function') throw new InvalidArgumentError('handler', say`must be a function.`)
  onlyKnown(options, ['origin', 'onError'])
  const { onError = (error: unknown) => console.error(error) } = options
  const origin = options.origin === undefined ? undefined : originOf(options.origin)
  return (incoming, outgoing) => {
    const disconnected = new AbortController()
    const { method = 'GET' } = incoming
    const body = method === 'GET' || method === 'HEAD' ? undefined : bodyOf(incoming)
    outgoing.once('close', () => {
      if (!outgoing.writableFinished) disconnected.abort()
      if (body === undefined) discardRest(incoming)
      else body.giveUp()
    })
    // Of a connection that broke; the signal says so.
    outgoing.on('error', () => {})
    const request = requestOf(incoming, body?.stream, origin, disconnected.signal)
    if (request === undefined) {
      outgoing.writeHead(400, { Connection: 'close' }).end()
      return
    }
    respond(handler, request, outgoing, disconnected.signal).catch((error: unknown) => {
      if (disconnected.signal.aborted || incoming.errored !== null) return
      if (outgoing.headersSent) outgoing.destroy()
      else outgoing.writeHead(500).end()
      onError(error)
    })
  }
}

function originOf(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || !/^https?:$/.test(url.protocol) || url.pathname !== '/' || url.search + url.hash !== '')
    throw new InvalidArgumentError('origin', say`must be like https://sync.example.com.`)
  return url.origin
}

/** A name or an address, and perhaps a port: nothing that could end the host and begin a path. */
const plainHost = /^(?:[a-z\d._-]+|\[[\da-f:.]+\])(?::\d{1,5})?$/i

/** `undefined` for a request that no Fetch request can be made of. */
function requestOf(
  incoming: IncomingMessage,
  body: ReadableStream<Uint8Array> | undefined,
  origin: string | undefined,
  signal: AbortSignal,
): Request | undefined {
  const { host = 'localhost' } = incoming.headers
  const { method = 'GET', url = '/' } = incoming
  if (!plainHost.test(host)) return undefined
  const scheme = 'encrypted' in incoming.socket ? 'https' : 'http'
  try {
    return new Request(`${origin ?? `${scheme}://${host}`}${pathOf(url)}`, {
      method,
      headers: headersOf(incoming),
      signal,
      ...(body && { body, duplex: 'half' }),
    })
  } catch {
    return undefined
  }
}

/** Of a whole address, as proxies are sent, only what the server itself decides on. */
function pathOf(url: string): string {
  if (url.startsWith('/') || !URL.canParse(url)) return url.startsWith('/') ? url : '/'
  const { pathname, search } = new URL(url)
  return pathname + search
}

function headersOf({ rawHeaders }: IncomingMessage): Headers {
  const headers = new Headers()
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) headers.append(rawHeaders[at] ?? '', rawHeaders[at + 1] ?? '')
  return headers
}

interface Body {
  readonly stream: ReadableStream<Uint8Array>
  /** Ends it for those that still read, if it has not ended, and reads the rest. */
  giveUp(): void
}

function bodyOf(incoming: IncomingMessage): Body {
  let isOver = false
  let finish = (_finish: (controller: ReadableStreamDefaultController<Uint8Array>) => void): void => {}
  const fail = (): void => finish((controller) => controller.error(new Error(say`The request is over.`)))
  const stream = new ReadableStream<Uint8Array>({
    start(controller) {
      finish = (end) => {
        if (!isOver) end(controller)
        isOver = true
      }
      incoming.pause()
      incoming.on('data', (chunk: Uint8Array) => {
        if (isOver) return
        controller.enqueue(chunk)
        if ((controller.desiredSize ?? 0) <= 0) incoming.pause()
      })
      incoming.once('end', () => finish(() => controller.close()))
      incoming.once('close', fail)
      incoming.once('error', fail)
    },
    pull: () => void incoming.resume(),
    cancel: () => {
      isOver = true
      discardRest(incoming)
    },
  })
  const giveUp = (): void => {
    fail()
    discardRest(incoming)
  }
  return { stream, giveUp }
}

/**
 * Reads the rest, since a client that is still sending may not look for the response before it is done, and since the
 * next request of the connection is behind it.
 */
function discardRest(incoming: IncomingMessage): void {
  if (incoming.readableEnded || incoming.destroyed) return
  let unread = 0
  incoming.on('data', (chunk: Uint8Array) => {
    unread += chunk.length
    if (unread > mostUnread) incoming.destroy()
  })
  incoming.resume()
}

async function respond(
  handler: (request: Request) => Response | Promise<Response>,
  request: Request,
  outgoing: ServerResponse,
  disconnected: AbortSignal,
): Promise<void> {
  const response = await handler(request)
  const { body } = response
  if (disconnected.aborted) {
    await body?.cancel()
    return
  }
  beginResponse(outgoing, response)
  if (body === null || request.method === 'HEAD') {
    outgoing.end()
    await body?.cancel()
    return
  }
  // Before the first part, which may take its time.
  outgoing.flushHeaders()
  await send(body, outgoing, disconnected)
}

function beginResponse(outgoing: ServerResponse, { status, statusText, headers }: Response): void {
  outgoing.statusCode = status
  // The client is still sending, or never will.
  if (status === 408) outgoing.shouldKeepAlive = false
  if (statusText !== '') outgoing.statusMessage = statusText
  for (const [name, value] of headers) if (name !== 'set-cookie') outgoing.setHeader(name, value)
  // Each cookie is a header of its own.
  const cookies = headers.getSetCookie()
  if (cookies.length > 0) outgoing.setHeader('set-cookie', cookies)
}

async function send(
  body: ReadableStream<Uint8Array>,
  outgoing: ServerResponse,
  disconnected: AbortSignal,
): Promise<void> {
  const reader = body.getReader()
  const stop = () => void reader.cancel().catch(() => {})
  disconnected.addEventListener('abort', stop)
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (disconnected.aborted) return
      if (done) break
      if (!outgoing.write(value)) await drained(outgoing)
    }
    outgoing.end()
  } finally {
    disconnected.removeEventListener('abort', stop)
  }
}

const drained = (outgoing: ServerResponse): Promise<void> =>
  new Promise((resolve) => {
    const done = () => {
      outgoing.off('drain', done)
      outgoing.off('close', done)
      resolve()
    }
    outgoing.on('drain', done)
    outgoing.on('close', done)
  })
