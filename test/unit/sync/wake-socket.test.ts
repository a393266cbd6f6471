// Hints over a WebSocket, and over the stream where there is none.
import { afterEach, describe, expect, test, vi } from 'vitest'
import { virtualClock } from 'tidemark/testing'
import { followWake } from '../../../src/sync/follow-wake.js'
import { openTransport } from '../../../src/sync/transport.js'

const as = { log: 'l', epoch: 'e', author: '' }
const headers = { 'Tidemark-Sync': '1', 'Tidemark-Log': 'l/e', 'Tidemark-Author': '' }

/** A socket of which the test is the other end. */
class FakeSocket extends EventTarget {
  static all: FakeSocket[] = []
  /** What becomes of a new one. */
  static then: (socket: FakeSocket) => void = () => {}
  readonly sent: string[] = []
  isClosed = false

  constructor(readonly url: string) {
    super()
    FakeSocket.all.push(this)
    void Promise.resolve().then(() => FakeSocket.then(this))
  }

  open(...texts: readonly unknown[]): void {
    this.dispatchEvent(new Event('open'))
    for (const data of texts) this.dispatchEvent(new MessageEvent('message', { data }))
  }

  end(): void {
    this.dispatchEvent(new Event('close'))
  }

  send(text: string): void {
    this.sent.push(text)
  }

  close(): void {
    this.isClosed = true
  }
}

afterEach(() => {
  vi.unstubAllGlobals()
})

/** Follows for a time, and says what was asked for and heard. */
async function follow(
  ms: number,
  { tickets = true, socket = FakeSocket }: { tickets?: boolean; socket?: typeof FakeSocket | null } = {},
) {
  FakeSocket.all = []
  vi.stubGlobal('WebSocket', socket)
  const clock = virtualClock()
  const asked: string[] = []
  const fetch = async (input: RequestInfo | URL, init?: RequestInit) => {
    const url = new URL(input as string)
    asked.push(`${init?.method} ${url.pathname}`)
    if (url.pathname.endsWith('/ticket') && tickets)
      return new Response(JSON.stringify({ ticket: `t ${asked.length}`, seconds: 60 }), {
        headers: { ...headers, 'Content-Type': 'application/json' },
      })
    if (url.pathname.endsWith('/ticket')) return new Response('{}', { status: 404, headers })
    return new Response('data: {"head":9}\n\n', { headers: { ...headers, 'Content-Type': 'text/event-stream' } })
  }
  const transport = openTransport({ url: 'https://x.test/logs/a?token=q', fetch }, clock)
  const found: (number | string)[] = []
  const controller = new AbortController()
  const followed = followWake(
    {
      transport,
      clock,
      as,
      bySocket: true,
      onOpen: () => found.push('open'),
      onHead: (head) => found.push(head),
      onEnd: () => found.push('end'),
      onConflict: () => found.push('conflict'),
    },
    controller.signal,
  )
  const ended = expect(followed).rejects.toThrow('over')
  await clock.advance(ms)
  controller.abort(new Error('over'))
  await ended
  expect(clock.pending).toBe(0)
  return { asked, found }
}

describe('hints over a WebSocket', () => {
  test('N89: are those of the messages, whatever else comes', async () => {
    FakeSocket.then = (socket) => socket.open('{"head":3}', 'pong', 'nonsense', '{"head":-1}', new Blob(), '{"head":4}')
    const { asked, found } = await follow(1000)
    expect(found).toEqual(['open', 3, 4])
    expect(asked).toEqual(['POST /logs/a/ticket'])
    expect(FakeSocket.all.map(({ url, isClosed }) => [url, isClosed])).toEqual([
      ['wss://x.test/logs/a/wake?ticket=t%201&token=q', true],
    ])
  })

  test('a socket that ends is opened again after 1 to 30 s, each with a ticket of its own', async () => {
    FakeSocket.then = (socket) => {
      socket.open('{"head":1}')
      socket.end()
    }
    const { asked } = await follow(600_000)
    expect(FakeSocket.all.length).toBeGreaterThan(20)
    expect(FakeSocket.all.length).toBeLessThan(600)
    expect(asked.every((each) => each === 'POST /logs/a/ticket')).toBe(true)
    expect(new Set(FakeSocket.all.map(({ url }) => url)).size).toBe(FakeSocket.all.length)
  })

  test('the device says that it is there every 25 s, and gives up a server that is silent for a minute', async () => {
    FakeSocket.then = (socket) => socket.open()
    await follow(95_000)
    const [first, second] = FakeSocket.all
    expect(first?.sent).toEqual(['ping', 'ping'])
    expect([first?.isClosed, second !== undefined]).toEqual([true, true])
    // One that responds stays.
    FakeSocket.then = (socket) => {
      socket.open()
      socket.send = () => void socket.dispatchEvent(new MessageEvent('message', { data: 'pong' }))
    }
    await follow(600_000)
    expect(FakeSocket.all).toHaveLength(1)
  })

  test.each<[string, () => Promise<{ asked: string[]; found: unknown[] }>]>([
    ['a server without sockets', () => follow(500, { tickets: false })],
    ['a context without sockets', () => follow(500, { socket: null })],
    [
      'a network that blocks them',
      () => {
        FakeSocket.then = (socket) => socket.end()
        return follow(500)
      },
    ],
    [
      'a socket that never opens',
      () => {
        FakeSocket.then = () => {}
        return follow(60_500)
      },
    ],
  ])('%s: the stream is followed', async (_, run) => {
    const { asked, found } = await run()
    expect(asked).toEqual(['POST /logs/a/ticket', 'GET /logs/a/wake'])
    expect(found).toEqual(['open', 9, 'end'])
  })
})
