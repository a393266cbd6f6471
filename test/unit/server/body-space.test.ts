// How much of the bodies of pushes is in memory at a time.
import { memoryLogStore, serverLog } from 'tidemark/server'
import { expect, test } from 'vitest'
import { BodySpace } from '../../../src/server/body-space.js'
import { syncHandlerWith } from '../../../src/server/sync-handler.js'
import { commit } from './support.js'

/** A server with space for 200,000 bytes of bodies, of each of which 65,536 do not count. */
async function served() {
  const store = memoryLogStore()
  const log = serverLog(store)
  const { log: id, epoch } = await store.identity()
  const gate = { isClosed: false, open: () => {} }
  const handler = syncHandlerWith(
    {
      open: () => ({ log }),
      accept: () => (gate.isClosed ? new Promise<void>((resolve) => void (gate.open = resolve)) : undefined),
      onError: () => {},
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
  return { post, gate }
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
