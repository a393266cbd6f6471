// Hints over a WebSocket, and over the stream where there is none.
import { afterEach, describe, expect, test, vi } from 'vitest'
import { virtualClock, type VirtualClock } from 'tidemark/testing'
import { followWake } from '../../../src/sync/follow-wake.js'
import { openTransport } from '../../../src/sync/transport.js'

const as = { log: 'l', epoch: 'e', author: '' }
const headers = { 'Tidemark-Sync': '1', 'Tidemark-Log': 'l/e', 'Tidemark-Author': '' }

/** A socket of which the test is the other end. */
class FakeSocket extends EventTarget {
  static all: FakeSocket[] = []
  /** What becomes of a new one. */
  static then: (socket: FakeSocket, clock: VirtualClock) => void = () => {}
  static clock: VirtualClock
  readonly sent: string[] = []
  isClosed = false
  onClose = () => {}

  constructor(readonly url: string) {
    super()
    FakeSocket.all.push(this)
    void Promise.resolve().then(() => FakeSocket.then(this, FakeSocket.clock))
  }

  open(...texts: readonly unknown[]): void {
    this.dispatchEvent(new Event('open'))
    this.say(...texts)
  }

  say(...texts: readonly unknown[]): void {
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
    this.onClose()
  }
}

afterEach(() => {
  vi.unstubAllGlobals()
})

/** Follows for a time, and says what was asked for and heard. */
async function follow(
  ms: number,
  {
    ticketsFor = Infinity,
    streams = 'end',
    socket = FakeSocket,
  }: { ticketsFor?: number; streams?: 'end' | 'stay'; socket?: typeof FakeSocket | null } = {},
) {
  FakeSocket.all = []
  vi.stubGlobal('WebSocket', socket)
  const clock = virtualClock()
  FakeSocket.clock = clock
  const asked: string[] = []
  const at: number[] = []
  let tickets = 0
  const fetch = async (input: RequestInfo | URL, init?: RequestInit) => {
    const url = new URL(input as string)
    asked.push(`${init?.method} ${url.pathname}`)
    at.push(clock.monotonic())
    if (url.pathname.endsWith('/ticket') && (tickets += 1) <= ticketsFor)
      return new Response(JSON.stringify({ ticket: `t ${asked.length}`, seconds: 60 }), {
        headers: { ...headers, 'Content-Type': 'application/json' },
      })
    if (url.pathname.endsWith('/ticket')) return new Response('{}', { status: 404, headers })
    return new Response(streams === 'stay' ? silentStream(clock, init?.signal) : 'data: {"head":9}\n\n', {
      headers: { ...headers, 'Content-Type': 'text/event-stream' },
    })
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
  return { asked, found, at }
}

/** A stream that says that it is there, until its request ends. */
function silentStream(clock: VirtualClock, signal: AbortSignal | null | undefined): ReadableStream<Uint8Array> {
  return new ReadableStream({
    start(controller) {
      const say = () => {
        controller.enqueue(new TextEncoder().encode(': \n\n'))
        cancel = clock.schedule(25_000, say)
      }
      let cancel = () => {}
      say()
      signal?.addEventListener('abort', () => (cancel(), controller.error(signal.reason)), { once: true })
    },
  })
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

  /** A socket that works for a time. */
  const works = (socket: FakeSocket, ms: number, clock: VirtualClock) => {
    socket.open('{"head":1}')
    socket.onClose = clock.schedule(ms, () => {
      socket.say('{"head":2}')
      socket.end()
    })
  }

  test('a socket that ends is opened again after 1 to 30 s, each with a ticket of its own', async () => {
    FakeSocket.then = (socket, clock) => works(socket, 30_000, clock)
    const { asked } = await follow(1_200_000)
    expect(FakeSocket.all.length).toBeGreaterThan(19)
    expect(FakeSocket.all.length).toBeLessThan(40)
    expect(asked.every((each) => each === 'POST /logs/a/ticket')).toBe(true)
    expect(new Set(FakeSocket.all.map(({ url }) => url)).size).toBe(FakeSocket.all.length)
  })

  test.each<[string, (socket: FakeSocket, clock: VirtualClock) => void]>([
    ['cut off when it opens', (socket) => (socket.open('{"head":1}'), socket.end())],
    ['cut off after a moment', (socket, clock) => works(socket, 29_999, clock)],
    ['open, and nothing comes through', (socket) => socket.open()],
  ])('a socket that is %s is given up after three in a row, and tried again after ten minutes', async (_, then) => {
    FakeSocket.then = then
    const { asked, at } = await follow(1_700_000, { streams: 'stay' })
    const [ticket, stream] = ['POST /logs/a/ticket', 'GET /logs/a/wake']
    expect(asked).toEqual([ticket, ticket, ticket, stream, ticket, stream, ticket, stream])
    // The stream is opened in the moment in which the socket has ended, and stays until a socket is tried.
    const ends = [at[4]! - at[3]!, at[6]! - at[5]!]
    expect(ends).toEqual([600_000, 600_000])
  })

  test('a stream that ends while sockets rest is opened again after a pause', async () => {
    FakeSocket.then = (socket) => (socket.open(), socket.end())
    const { asked } = await follow(500_000)
    const streams = asked.slice(3)
    expect(streams.length).toBeGreaterThan(10)
    expect(streams.length).toBeLessThan(500)
    expect(new Set(streams)).toEqual(new Set(['GET /logs/a/wake']))
  })

  test('a socket that works again is what is followed, and one cut off after that is not given up', async () => {
    let count = 0
    FakeSocket.then = (socket, clock) => {
      count += 1
      if (count === 4) return works(socket, 50_000, clock)
      socket.open()
      if (count === 6) socket.send = () => socket.say('pong')
      else socket.end()
    }
    const { asked } = await follow(1_500_000, { streams: 'stay' })
    const [ticket, stream] = ['POST /logs/a/ticket', 'GET /logs/a/wake']
    expect(asked).toEqual([ticket, ticket, ticket, stream, ticket, ticket, ticket])
  })

  test('a server that has no sockets any more is followed by the stream, as it ends', async () => {
    FakeSocket.then = (socket) => (socket.open(), socket.end())
    const { asked } = await follow(1_500_000, { streams: 'stay', ticketsFor: 3 })
    const [ticket, stream] = ['POST /logs/a/ticket', 'GET /logs/a/wake']
    expect(asked).toEqual([ticket, ticket, ticket, stream, ticket, stream])
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
    ['a server without sockets', () => follow(500, { ticketsFor: 0 })],
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
