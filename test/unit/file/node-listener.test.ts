/** Fetch handlers under node:http: bodies, back-pressure, clients that disconnect, and hosts. */
import { Agent, createServer, request as httpRequest, type IncomingMessage, type Server } from 'node:http'
import { connect, type AddressInfo } from 'node:net'
import { nodeListener, type NodeListenerOptions } from 'tidemark/file'
import { InvalidArgumentError } from 'tidemark'
import { expect, onTestFinished, test } from 'vitest'

type Handler = (request: Request) => Response | Promise<Response>

async function serve(handler: Handler, options?: NodeListenerOptions): Promise<{ url: string; port: number }> {
  const server: Server = createServer(nodeListener(handler, options))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(async () => {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  })
  const { port } = server.address() as AddressInfo
  return { url: `http://127.0.0.1:${port}`, port }
}

/** Sends text as it is, and resolves to all that comes back. */
function raw(port: number, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(text))
    let received = ''
    socket.setEncoding('latin1').on('data', (part: string) => (received += part))
    socket.on('end', () => resolve(received)).on('error', reject)
  })
}

function deferred<T = void>() {
  let resolve!: (value: T) => void
  const promise = new Promise<T>((done) => (resolve = done))
  return { promise, resolve }
}

test('method, address, headers and body arrive, and status, headers and body go back', async () => {
  const { url } = await serve(async (request) => {
    const { pathname, search, host } = new URL(request.url)
    const seen = { method: request.method, pathname, search, host, a: request.headers.get('a') }
    const headers = new Headers({ 'Content-Type': 'application/json', B: '2' })
    headers.append('Set-Cookie', 'x=1; Path=/')
    headers.append('Set-Cookie', 'y=2')
    const body = new Uint8Array(await request.arrayBuffer())
    return Response.json({ ...seen, body: [...body] }, { status: 201, headers })
  })
  const response = await fetch(`${url}/a%2Fb/push?x=%20`, { method: 'POST', headers: { a: '1' }, body: 'ä' })
  expect([response.status, response.headers.get('b'), response.headers.getSetCookie()]).toEqual([
    201,
    '2',
    ['x=1; Path=/', 'y=2'],
  ])
  expect(await response.json()).toEqual({
    method: 'POST',
    pathname: '/a%2Fb/push',
    search: '?x=%20',
    host: new URL(url).host,
    a: '1',
    body: [195, 164],
  })
})

test('responses without a body: 204, 304 and HEAD, whose body is given up', async () => {
  const given = deferred()
  const { url } = await serve((request) =>
    request.method === 'HEAD'
      ? new Response(new ReadableStream({ cancel: () => given.resolve() }), { headers: { 'Content-Length': '7' } })
      : new Response(null, { status: Number(new URL(request.url).pathname.slice(1)) }),
  )
  for (const status of [204, 304]) expect((await fetch(`${url}/${status}`)).status).toBe(status)
  const head = await fetch(url, { method: 'HEAD' })
  expect(head.headers.get('content-length')).toBe('7')
  await given.promise
})

test('a stream: the head is sent before the first part, and each part when it is there', async () => {
  const parts = new TransformStream<Uint8Array, Uint8Array>()
  const writer = parts.writable.getWriter()
  const { url } = await serve(() => new Response(parts.readable))
  const response = await fetch(url)
  const reader = response.body?.getReader()
  for (const byte of [1, 2]) {
    await writer.write(Uint8Array.of(byte))
    expect(await reader?.read()).toEqual({ done: false, value: Uint8Array.of(byte) })
  }
  await writer.close()
  expect((await reader?.read())?.done).toBe(true)
})

test('a request is read while it is sent, and a handler that does not read holds the client up', async () => {
  const first = deferred<Uint8Array | undefined>()
  const goOn = deferred()
  const { url } = await serve(async (request) => {
    const reader = request.body?.getReader()
    first.resolve((await reader?.read())?.value)
    await goOn.promise
    let bytes = 0
    for (let part = await reader?.read(); part?.done === false; part = await reader?.read()) bytes += part.value.length
    return new Response(`${bytes}`)
  })
  const total = 64
  let sent = 0
  const body = new ReadableStream<Uint8Array>({
    pull(controller) {
      if (sent === total) controller.close()
      else {
        sent += 1
        controller.enqueue(new Uint8Array(1 << 20))
      }
    },
  })
  const response = fetch(url, { method: 'POST', body, duplex: 'half' } as RequestInit)
  expect((await first.promise)?.length).toBeGreaterThan(0)
  let before = -1
  // Until nothing moves any more: what is between both sides is full.
  await expect.poll(() => before === (before = sent), { interval: 300 }).toBe(true)
  expect(sent).toBeLessThan(total)
  const held = sent
  goOn.resolve()
  expect(Number(await (await response).text())).toBe((total << 20) - (await first.promise)!.length)
  expect(held).toBeLessThan(sent)
})

test('a response waits for a client that does not read', async () => {
  let made = 0
  const stopped = deferred()
  const { url } = await serve(
    () =>
      new Response(
        new ReadableStream({
          pull(controller) {
            made += 1
            controller.enqueue(new Uint8Array(1 << 20))
          },
          cancel: () => stopped.resolve(),
        }),
      ),
  )
  const incoming = await new Promise<IncomingMessage>((resolve) => httpRequest(url, resolve).end())
  let before = -1
  await expect.poll(() => before === (before = made), { interval: 300 }).toBe(true)
  expect(made).toBeLessThan(100)
  // And the body is given up when it disconnects.
  incoming.destroy()
  await stopped.promise
})

test('the signal aborts when the client disconnects, and not after a response that was taken', async () => {
  const signals: AbortSignal[] = []
  const asked = deferred()
  const aborted = deferred()
  const errors: unknown[] = []
  const { url } = await serve(
    async (request) => {
      signals.push(request.signal)
      if (request.url.endsWith('/fine')) return new Response('fine')
      asked.resolve()
      await new Promise((resolve) => request.signal.addEventListener('abort', resolve))
      aborted.resolve()
      throw new Error('too late')
    },
    { onError: (error) => errors.push(error) },
  )
  await (await fetch(`${url}/fine`)).text()
  const controller = new AbortController()
  const response = fetch(url, { signal: controller.signal })
  await asked.promise
  controller.abort()
  await expect(response).rejects.toThrow()
  await aborted.promise
  expect(signals.map(({ aborted }) => aborted)).toEqual([false, true])
  expect(errors).toEqual([])
})

test('a request that ends early is an error of its body', async () => {
  const read = deferred<unknown>()
  const { port } = await serve(async (request) => {
    await request.text().catch((error: unknown) => read.resolve(error))
    return new Response()
  })
  const socket = connect(port, '127.0.0.1', () => {
    socket.write('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf')
    socket.end()
  })
  socket.on('error', () => {})
  expect(await read.promise).toBeInstanceOf(Error)
})

test('a handler that throws is a 500 without its message, and a body that throws is cut off', async () => {
  const errors: unknown[] = []
  const error = new Error('secret')
  const { url } = await serve(
    (request) => {
      if (request.url.endsWith('/early')) throw error
      let parts = 0
      return new Response(
        new ReadableStream({
          pull(controller) {
            parts += 1
            if (parts === 3) controller.error(error)
            else controller.enqueue(new TextEncoder().encode('part'))
          },
        }),
      )
    },
    { onError: (each) => errors.push(each) },
  )
  const early = await fetch(`${url}/early`)
  expect([early.status, await early.text()]).toEqual([500, ''])
  await expect(fetch(`${url}/late`).then((response) => response.text())).rejects.toThrow()
  expect(errors).toEqual([error, error])
})

test('a response to a body that was not read reaches the client, and the connection serves the next request', async () => {
  const { url } = await serve(async (request) => {
    if (request.method === 'GET') return new Response('next')
    await request.body?.cancel()
    return new Response('too large', { status: 413 })
  })
  for (const handler of [1, 2]) {
    const response = await fetch(url, { method: 'POST', body: new Uint8Array(handler << 20) })
    expect([response.status, await response.text()]).toEqual([413, 'too large'])
    expect(await (await fetch(url)).text()).toBe('next')
  }
})

test('a body that was not looked at holds up no other request of its connection, whatever its size', async () => {
  const { url } = await serve(() => new Response('done'))
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  onTestFinished(() => agent.destroy())
  const ports = new Set<number | undefined>()
  for (const size of [10, 60_000, 70_000, 200_000, 1_000_000, 5_000_000]) {
    const status = await new Promise((resolve, reject) => {
      const outgoing = httpRequest(url, { agent, method: 'POST' }, (incoming) => {
        incoming.resume().on('end', () => resolve(incoming.statusCode))
      })
      outgoing.on('socket', (socket) => ports.add(socket.localPort)).on('error', reject)
      outgoing.end(new Uint8Array(size))
    })
    expect(status).toBe(200)
  }
  expect(ports.size).toBeLessThan(3)
})

test('a host that is no host is refused, and none becomes a part of the path or another host', async () => {
  const urls: string[] = []
  const { port } = await serve((request) => {
    urls.push(request.url)
    return new Response(null, { status: 204 })
  })
  const status = async (line: string, host: string) =>
    (await raw(port, `${line} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`)).slice(9, 12)
  for (const host of ['evil.example/x', 'a@evil.example', 'a b', 'a:b', 'a?x', 'a#x', 'a\\b', '[::1', 'ä'])
    expect([host, await status('GET /info', host)]).toEqual([host, '400'])
  expect(urls).toEqual([])
  for (const [line, host] of [
    ['GET /info', 'shop.example:8080'],
    ['GET /info', '[::1]:80'],
    ['GET //evil.example/info', 'a'],
    ['GET http://evil.example/info?x', 'a'],
    ['OPTIONS *', 'a'],
  ] as const)
    expect(await status(line, host)).toBe('204')
  expect(urls).toEqual([
    'http://shop.example:8080/info',
    'http://[::1]/info',
    'http://a//evil.example/info',
    'http://a/info?x',
    'http://a/',
  ])
})

test('with an origin, the host does not matter', async () => {
  const { url } = await serve((request) => new Response(request.url), { origin: 'https://sync.example.com/' })
  expect(await (await fetch(`${url}/info`)).text()).toBe('https://sync.example.com/info')
  for (const origin of ['sync.example.com', 'ftp://a', 'https://a/b', 'https://a/?x', ''])
    expect(() => nodeListener(() => new Response(), { origin })).toThrow(InvalidArgumentError)
  expect(() => nodeListener(undefined as never)).toThrow(InvalidArgumentError)
  expect(() => nodeListener(() => new Response(), { origins: '*' } as never)).toThrow(InvalidArgumentError)
})
