// How much of the bodies of pushes is in memory at a time.
import { createServer } from 'node:http'
import { connect, type AddressInfo } from 'node:net'
import { nodeListener } from 'tidemark/file'
import { memoryLogStore, serverLog } from 'tidemark/server'
import { virtualClock } from 'tidemark/testing'
import { expect, onTestFinished, test, vi } from 'vitest'
import { BodySpace } from '../../../src/server/body-space.js'
import { syncHandlerWith } from '../../../src/server/sync-handler.js'
import { heapUsed } from '../../support/heap.js'
import { commit } from './support.js'

/** A server with space for 200,000 bytes of bodies, of each of which 65,536 do not count. */
async function served() {
  const store = memoryLogStore()
  const log = serverLog(store)
  const { log: id, epoch } = await store.identity()
  const clock = virtualClock()
  const gate = { isClosed: false, open: () => {} }
  const handler = syncHandlerWith(
    {
      open: () => ({ log }),
      accept: () => (gate.isClosed ? new Promise<void>((resolve) => void (gate.open = resolve)) : undefined),
      onError: () => {},
      clock,
    },
    undefined,
    new BodySpace(200_000),
  )
  const post = (body: BodyInit, headers = {}) =>
    handler(
      new Request('http://localhost/log/push', {
        method: 'POST',
        body,
        duplex: 'half',
        headers: {
          'Tidemark-Sync': '1',
          'Tidemark-Log': `${id}/${epoch}`,
          'Content-Type': 'application/json',
          ...headers,
        },
      } as RequestInit),
    )
  return { post, gate, clock, handler, log: `${id}/${epoch}` }
}

const push = (name: string, bytes = 0) => JSON.stringify({ commits: [commit(name)] }).padStart(bytes)

/** A body that the test sends bit by bit. */
function dripping() {
  let controller: ReadableStreamDefaultController<Uint8Array> | undefined
  const body = new ReadableStream<Uint8Array>({ start: (given) => void (controller = given) })
  return {
    body,
    send: (text: string) => controller?.enqueue(new TextEncoder().encode(text)),
    end: () => controller?.close(),
    fail: () => controller?.error(new Error('gone')),
  }
}

/** When everything that may happen by itself has happened. */
const settled = () => new Promise((resolve) => setTimeout(resolve, 0))

test('large pushes are turned away while there is no space for them, and small ones never', async () => {
  const { post } = await served()
  const slow = dripping()
  const first = post(slow.body)
  slow.send(' '.repeat(150_000))
  await settled()
  const refused = await post(push('b', 250_000))
  // Without `Retry-After`: devices that came together come back at different times.
  expect([refused.status, (await refused.json()).code, refused.headers.get('Retry-After')]).toEqual([
    503,
    'unavailable',
    null,
  ])
  expect((await post(push('c', 65_536))).status).toBe(200)
  // What has not arrived takes no space.
  expect((await post(push('d', 180_000))).status).toBe(200)
  slow.send(push('a'))
  slow.end()
  expect((await first).status).toBe(200)
  expect((await post(push('b', 250_000))).status).toBe(200)
})

test('a push has its space until it is decided', async () => {
  const { post, gate } = await served()
  gate.isClosed = true
  const first = post(push('a', 200_000))
  await settled()
  gate.isClosed = false
  expect((await post(push('b', 140_000))).status).toBe(503)
  gate.open()
  expect((await first).status).toBe(200)
  expect((await post(push('b', 140_000))).status).toBe(200)
})

test('a body of which the length says that it does not fit is not read', async () => {
  const { post } = await served()
  const slow = dripping()
  const first = post(slow.body)
  slow.send(' '.repeat(150_000))
  await settled()
  const large = dripping()
  expect((await post(large.body, { 'Content-Length': '250000' })).status).toBe(503)
  slow.fail()
  expect((await first).status).toBe(400)
  // What ended early, was refused or too large has left its space.
  expect((await post(' '.repeat(4_194_305))).status).toBe(413)
  expect((await post(' '.repeat(4_000_000))).status).toBe(503)
  expect((await post('x'.repeat(260_000))).status).toBe(400)
  expect((await post(push('a', 265_000))).status).toBe(200)
})

test('a body that stops has left its space 45 s later, and its device is told to come again', async () => {
  const { post, clock } = await served()
  const stopped = dripping()
  const first = post(stopped.body)
  stopped.send(' '.repeat(150_000))
  await clock.advance(30_000)
  expect((await post(push('b', 250_000))).status).toBe(503)
  await clock.advance(15_000)
  const late = await first
  expect([late.status, (await late.json()).code]).toEqual([408, 'too-slow'])
  expect((await post(push('b', 250_000))).status).toBe(200)
  expect(clock.pending).toBe(0)
})

test('a body that drips has 5 minutes, and no more', async () => {
  const { post, clock } = await served()
  const [slow, slower] = [dripping(), dripping()]
  const [first, second] = [post(slow.body), post(slower.body)]
  for (const { send } of [slow, slower]) send(' '.repeat(100_000))
  for (let each = 1; each < 15; each += 1) {
    await clock.advance(20_000)
    for (const { send } of [slow, slower]) send(' ')
  }
  slow.send(push('a'))
  slow.end()
  expect((await first).status).toBe(200)
  await clock.advance(20_000)
  expect((await second).status).toBe(408)
  expect((await post(push('b', 250_000))).status).toBe(200)
  expect(clock.pending).toBe(0)
})

test('a body in very many parts keeps nothing of each of them', async () => {
  const { post } = await served()
  const [space, parts] = [new TextEncoder().encode(' '), 200_000]
  let [sent, kept] = [0, 0]
  const before = heapUsed()
  const body = new ReadableStream<Uint8Array>(
    {
      pull(controller) {
        sent += 1
        if (sent === parts) kept = heapUsed() - before
        controller.enqueue(sent < parts ? space : new TextEncoder().encode(push('a')))
        if (sent === parts) controller.close()
      },
    },
    { highWaterMark: 0 },
  )
  expect((await post(body)).status).toBe(200)
  // The text itself takes 32 bytes of each.
  expect(kept / parts).toBeLessThan(100)
})

test('over node:http a body that stops leaves its space, and its connection ends', async () => {
  const { post, clock, handler, log } = await served()
  const server = createServer(nodeListener(handler))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => new Promise<void>((resolve) => void server.close(() => resolve())))
  const { port } = server.address() as AddressInfo
  const head = [
    'POST /log/push HTTP/1.1',
    'Host: 127.0.0.1',
    'Tidemark-Sync: 1',
    `Tidemark-Log: ${log}`,
    'Content-Type: application/json',
  ]
  const responses = [160_000, 60_000].map((length) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.write([...head, `Content-Length: ${length}`, '', ''].join('\r\n'))
      // The other one sends no more than that.
      if (length > 100_000) socket.write(' '.repeat(150_000))
    })
    let received = ''
    socket.setEncoding('latin1').on('data', (part: string) => (received += part))
    return new Promise<string>((resolve, reject) => socket.on('end', () => resolve(received)).on('error', reject))
  })
  // It has arrived.
  await vi.waitFor(async () => expect((await post(push('b', 250_000))).status).toBe(503))
  // Each of both has a timer.
  await vi.waitFor(() => expect(clock.pending).toBe(2))
  await clock.advance(45_000)
  for (const response of await Promise.all(responses))
    expect(response).toMatch(/^HTTP\/1\.1 408 [^]*\r\nConnection: close\r\n[^]*"too-slow"/)
  expect((await post(push('b', 250_000))).status).toBe(200)
  // No connection is left that this would wait for.
  expect(clock.pending).toBe(0)
})
