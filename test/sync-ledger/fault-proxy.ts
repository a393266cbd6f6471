/**
 * The network between one device and the server of a ledger: a proxy on loopback that repeats, delays, cuts off, loses and
 * replaces what passes, by chance that a seed repeats.
 */
import { createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { seededRandom } from '../../src/testing/random.js'

/** What may happen to a request. */
export const faultKinds = [
  /** The response ends at some byte of its body, and the connection with it. */
  'cut',
  /** The server gets the request twice, one after the other; the device gets the second response. */
  'twice',
  /** The server gets the request once more later, when the device has long had its response. */
  'again-later',
  /** The request is delivered late. */
  'late-request',
  /** The response is delivered late. */
  'late-response',
  /** The request does not reach the server. */
  'lost-request',
  /** The server does what it is asked, and the response does not reach the device. */
  'lost-response',
  'status-401',
  'status-429',
  'status-500',
  /** A page of HTML with the status 200, as a captive portal gives. */
  'portal',
] as const

export type FaultKind = (typeof faultKinds)[number]

/** `'up'`: nothing reaches the server. `'down'`: it does what it is asked, and nothing comes back. */
export type ProxyPartition = 'up' | 'down' | 'both'

/** The share of requests that a fault happens to, by its kind: 0 to 1, together at most 1. */
export type FaultPlan = Readonly<Partial<Record<FaultKind, number>>>

export interface FaultProxy {
  /** Where the device finds the server. Stays while servers come and go. */
  readonly url: string
  /** Where the server is now; `undefined` while there is none. */
  target(url: string | undefined): void
  /** What happens from now on. Without a plan nothing does. */
  faults(plan?: FaultPlan): void
  /** Until it is called without one. What is under way is lost, too. */
  partition(which?: ProxyPartition): void
  /** How often each fault has happened, to be asserted: a run in which nothing happened proves nothing. */
  readonly happened: Readonly<Record<FaultKind | 'partitioned', number>>
  /** Resolves when no push is under way, and no copy of a request waits to be delivered. */
  settled(): Promise<void>
  close(): Promise<void>
}

export interface FaultProxyOptions {
  readonly target?: string
  readonly seed: number
  /** The longest delay of what is late, in ms. @default 200 */
  readonly longest?: number
  /** Called with each request that reached the proxy, whatever happens to it then. */
  readonly seen?: (path: string, body: string) => void
}

/** A request that was read whole. */
interface Taken {
  readonly method: string
  readonly path: string
  readonly headers: IncomingMessage['headers']
  readonly body: Buffer
}

export async function startFaultProxy(options: FaultProxyOptions): Promise<FaultProxy> {
  const proxy = new Proxy(options)
  await proxy.listen()
  return proxy
}

class Proxy implements FaultProxy {
  readonly happened: Record<FaultKind | 'partitioned', number> = Object.fromEntries(
    [...faultKinds, 'partitioned'].map((kind) => [kind, 0]),
  ) as Record<FaultKind | 'partitioned', number>
  readonly #server = createServer((incoming, outgoing) => {
    // The server may end within its response.
    const passed = this.#pass(incoming, outgoing).catch(() => void outgoing.destroy())
    if (incoming.url?.endsWith('/push') === true) this.#follow(passed)
  })
  readonly #random: () => number
  readonly #longest: number
  readonly #seen: FaultProxyOptions['seen']
  readonly #later = new Set<Promise<unknown>>()
  /** Of responses that are on their way, for a partition to end. */
  readonly #open = new Set<ServerResponse>()
  #target: string | undefined
  #plan: FaultPlan = {}
  #partition: ProxyPartition | undefined

  constructor({ target, seed, longest = 200, seen }: FaultProxyOptions) {
    this.#target = target
    this.#seen = seen
    this.#random = seededRandom(seed)
    this.#longest = longest
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  listen(): Promise<void> {
    return new Promise((resolve) => void this.#server.listen(0, '127.0.0.1', resolve))
  }

  target(url: string | undefined): void {
    this.#target = url
  }

  faults(plan: FaultPlan = {}): void {
    this.#plan = plan
  }

  partition(which?: ProxyPartition): void {
    this.#partition = which
    if (which === undefined) return
    for (const outgoing of this.#open) this.#lose(outgoing, 'partitioned')
  }

  async settled(): Promise<void> {
    while (this.#later.size > 0) await Promise.allSettled(this.#later)
  }

  async close(): Promise<void> {
    await this.settled()
    this.#server.closeAllConnections()
    await new Promise<void>((resolve) => void this.#server.close(() => resolve()))
  }

  async #pass(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    this.#open.add(outgoing)
    outgoing.on('close', () => this.#open.delete(outgoing)).on('error', () => {})
    // Drawn before anything is waited for, so that the same requests in the same order have the same faults.
    const kind = incoming.method === 'OPTIONS' ? undefined : this.#draw()
    const [share, delay] = [this.#random(), this.#random() * this.#longest]
    const taken = await taking(incoming).catch(() => undefined)
    if (taken === undefined) return
    this.#seen?.(taken.path, taken.body.toString())
    if (this.#partition === 'up' || this.#partition === 'both') return this.#lose(outgoing, 'partitioned')
    if (taken.method === 'OPTIONS') return allow(outgoing, taken.headers)
    if (kind !== undefined) this.happened[kind] += 1
    if (kind === 'lost-request') return this.#lose(outgoing)
    const replaced = kind === undefined ? undefined : replacements[kind]
    if (replaced !== undefined) return replace(outgoing, replaced, taken.headers.origin)
    if (kind === 'late-request') await pause(delay)
    if (kind === 'twice') await this.#deliver(taken)
    if (kind === 'again-later') this.#deliverLater(taken, delay)
    const response = await this.#ask(taken)
    if (response === undefined) return this.#lose(outgoing)
    if (kind === 'late-response') await pause(delay)
    if (kind === 'lost-response') {
      await drain(response)
      return this.#lose(outgoing)
    }
    await this.#give(response, outgoing, kind === 'cut' ? share : undefined)
  }

  #draw(): FaultKind | undefined {
    let left = this.#random()
    for (const kind of faultKinds) {
      left -= this.#plan[kind] ?? 0
      if (left < 0) return kind
    }
    return undefined
  }

  #lose(outgoing: ServerResponse, why?: 'partitioned'): void {
    if (why !== undefined) this.happened[why] += 1
    outgoing.destroy()
  }

  /** For its effect on the server alone. */
  async #deliver(taken: Taken): Promise<void> {
    const response = await this.#ask(taken)
    // A stream that does not end is not waited for.
    if (response?.headers['content-type'] === 'text/event-stream') response.destroy()
    else if (response !== undefined) await drain(response)
  }

  #deliverLater(taken: Taken, delay: number): void {
    this.#follow(pause(delay).then(() => this.#deliver(taken)))
  }

  #follow(work: Promise<unknown>): void {
    this.#later.add(work)
    void work.finally(() => this.#later.delete(work))
  }

  /** `undefined` if there is no server, or it ends before it responds. */
  #ask({ method, path, headers, body }: Taken): Promise<IncomingMessage | undefined> {
    const target = this.#target
    if (target === undefined) return Promise.resolve(undefined)
    return new Promise((resolve) => {
      const request = httpRequest(`${target}${path}`, { method, headers, agent: false }, resolve)
      request.on('error', () => resolve(undefined))
      request.end(body)
    })
  }

  /** @param cut which part of it comes through, 0 to 1 */
  async #give(response: IncomingMessage, outgoing: ServerResponse, cut: number | undefined): Promise<void> {
    const isDown = (): boolean => this.#partition === 'down' || this.#partition === 'both'
    if (isDown()) {
      await drain(response)
      return this.#lose(outgoing, 'partitioned')
    }
    outgoing.on('close', () => response.destroy())
    const isStream = response.headers['content-type'] === 'text/event-stream'
    outgoing.writeHead(response.statusCode ?? 502, passedOn(response.headers))
    outgoing.flushHeaders()
    if (cut !== undefined && !isStream) {
      const body = await whole(response)
      outgoing.write(body.subarray(0, Math.floor(cut * body.length)), () => outgoing.destroy())
      return
    }
    try {
      for await (const part of response) {
        if (isDown()) return this.#lose(outgoing, 'partitioned')
        outgoing.write(part)
      }
      outgoing.end()
    } catch {
      // The server ended within its response.
      outgoing.destroy()
    }
  }
}

interface Replacement {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

const problem = (status: number, code: string, headers: Readonly<Record<string, string>> = {}): Replacement => ({
  status,
  headers: { 'Content-Type': 'application/json', ...headers },
  body: JSON.stringify({ code, message: 'By the proxy.' }),
})

const replacements: Partial<Record<FaultKind, Replacement>> = {
  'status-401': problem(401, 'unauthorized'),
  'status-429': problem(429, 'too-many', { 'Retry-After': '0' }),
  'status-500': { status: 500, headers: { 'Content-Type': 'text/plain' }, body: 'Oh.' },
  portal: { status: 200, headers: { 'Content-Type': 'text/html' }, body: '<title>Welcome</title>' },
}

/** What a browser asks before each request to another origin needs no server. */
function allow(outgoing: ServerResponse, { origin = '*', ...asked }: IncomingMessage['headers']): void {
  outgoing.writeHead(204, {
    'Access-Control-Allow-Origin': origin,
    'Access-Control-Allow-Methods': 'GET, POST',
    'Access-Control-Allow-Headers': asked['access-control-request-headers'] ?? '*',
    'Access-Control-Max-Age': '600',
  })
  outgoing.end()
}

/** With the headers without which a page of another origin would not see the status. */
function replace(outgoing: ServerResponse, { status, headers, body }: Replacement, origin: string | undefined): void {
  outgoing.writeHead(status, {
    ...headers,
    ...(origin !== undefined && { 'Access-Control-Allow-Origin': origin, 'Access-Control-Expose-Headers': '*' }),
  })
  outgoing.end(body)
}

async function taking(incoming: IncomingMessage): Promise<Taken> {
  const { method = 'GET', url = '/', headers } = incoming
  return { method, path: url, headers: passedOn(headers), body: await whole(incoming) }
}

/** Without those that are for one connection. With `Connection: close` some clients take a part for the whole. */
function passedOn(headers: IncomingMessage['headers']): IncomingMessage['headers'] {
  const { connection: _connection, 'keep-alive': _alive, 'transfer-encoding': _encoding, ...rest } = headers
  return rest
}

async function whole(stream: IncomingMessage): Promise<Buffer> {
  const parts: Buffer[] = []
  for await (const part of stream) parts.push(part as Buffer)
  return Buffer.concat(parts)
}

const drain = (response: IncomingMessage): Promise<unknown> => whole(response).catch(() => undefined)

const pause = (ms: number): Promise<void> => new Promise((resolve) => void setTimeout(resolve, ms))
