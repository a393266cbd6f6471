/** A sync server in memory, whose network and whose past a test controls. */
import { InvalidArgumentError } from '../errors.js'
import { createId } from '../events/identifier.js'
import { say } from '../messages.js'
import { onlyKnown } from '../platform/arguments.js'
import { sleep, systemClock, type Clock } from '../platform/clock.js'
import type { Refusal } from '../server/check-push.js'
import { memoryLogStore, type LogBackup } from '../server/memory-log-store.js'
import { serverLog } from '../server/server-log.js'
import { syncHandler } from '../server/sync-handler.js'
import { authorHeader, headers as names, logHeader, protocolVersion } from '../wire/protocol.js'
import type { CommitAnswer, WireCommit, WireEvent, WireLine } from '../wire/protocol.js'

/** Which way nothing gets through: to the server, back from it, or both. */
export type Partition = 'both' | 'up' | 'down'

/** A response that the server gives instead of its own. */
export interface TestFailure {
  readonly status: number
  /** The code of the problem in the body. @default a code that fits the status, else `unavailable` */
  readonly code?: string
  /** A body instead of a problem, such as the page of a hotel's network. */
  readonly body?: string
  /** In addition to those of a problem; those of a page with a `body` are these alone. */
  readonly headers?: Readonly<Record<string, string>>
  /** Only requests to this end of the path. @default all */
  readonly on?: 'info' | 'push' | 'pull' | 'wake'
  /** How many requests. @default all, until `fail()` */
  readonly times?: number
}

/** A request that reached the server. */
export interface TestRequest {
  readonly name: string
  readonly method: string
  readonly author: string
  /** Of the response; `undefined` while there is none. */
  readonly status?: number
}

/** The way from one device to the server, or from all of them. */
export interface TestConnection {
  /** To pass to `openSyncedStore` and the like. */
  readonly fetch: typeof globalThis.fetch
  /** Delays each request, and each response, by this many ms of the clock. @default 0 */
  latency(ms: number): void
  /**
   * Lets nothing through, in one direction or both, until it is called without one. With `'down'` the server does what
   * it is asked, and the response is lost. Streams that are open end.
   */
  partition(which?: Partition): void
  /** Cuts off each response after this many bytes of its body, until it is called without a number. */
  cut(bytes?: number): void
}

/** A sync server in memory. */
export interface TestSyncServer extends TestConnection {
  /** Of the log. */
  readonly url: string
  /** What reached the server, oldest first. */
  readonly requests: readonly TestRequest[]
  /** The way of one device to the server, with faults of its own in addition to those of all. */
  connection(): TestConnection
  /** `Request` in, `Response` out, without any of the faults, to serve it over HTTP. */
  readonly handler: (request: Request) => Promise<Response>
  /** All events that are stored. */
  log(): Promise<WireLine[]>
  /** Stores a commit, as another device of this author would. Returns what became of it. */
  append(
    events: readonly (Pick<WireEvent, 'stream' | 'type' | 'data'> & Partial<WireEvent>)[],
    author?: string,
  ): Promise<CommitAnswer>
  /**
   * Refuses commits, until it is called without a rule.
   *
   * @param rule returns true or why, for those that are refused
   */
  refuse(rule?: (commit: WireCommit, author: string) => boolean | Refusal | undefined): void
  /** Responds with this instead, until it is called without anything. A number is a status. */
  fail(failure?: TestFailure | number): void
  /** All that is stored now. */
  backup(): LogBackup
  /** Loses all that came after a backup, under a new epoch. Requests under way end without a response. */
  restore(backup: LogBackup, options?: { readonly sameEpoch?: boolean }): void
  /** Begins another epoch without losing anything stored. Requests under way end without a response. */
  restart(): void
}

/** How the server begins. */
export interface TestSyncServerOptions {
  /** Drives latency and hints. @default that of this context */
  readonly clock?: Clock
  /** The id of the log. @default a random one */
  readonly log?: string
  /**
   * Who makes a request; a `Response` refuses it.
   * @default what the `Authorization` header has behind `Bearer `; without one `''`
   */
  readonly author?: (request: Request) => string | Response
}

const address = 'https://sync.test/logs/test'

/**
 * A sync server in memory for tests of an app: no socket is opened.
 *
 * @example
 * const server = testSyncServer()
 * const store = await openSyncedStore({ name: 'shop', url: server.url, fetch: server.fetch })
 * server.partition('both') // offline
 * server.refuse((commit) => commit.events.some(({ type }) => type === 'SeatTaken'))
 *
 * @throws InvalidArgumentError for an unknown option
 */
export function testSyncServer(options: TestSyncServerOptions = {}): TestSyncServer {
  onlyKnown(options, ['clock', 'log', 'author'])
  return new Server(options)
}

const bearerOf = (request: Request) => /^Bearer (.*)$/.exec(request.headers.get('Authorization') ?? '')?.[1] ?? ''

class Server implements TestSyncServer {
  readonly url = address
  readonly requests: TestRequest[] = []
  readonly handler: (request: Request) => Promise<Response>
  readonly #clock: Clock
  readonly #store
  readonly #log
  readonly #all: Way
  #rule: ((commit: WireCommit, author: string) => boolean | Refusal | undefined) | undefined
  #failure: { readonly response: TestFailure; left: number } | undefined

  constructor({ clock = systemClock, log, author = bearerOf }: TestSyncServerOptions) {
    this.#clock = clock
    this.#store = memoryLogStore(log === undefined ? {} : { log })
    this.#log = serverLog(this.#store)
    this.handler = syncHandler({
      clock,
      origins: '*',
      open: (request) => {
        const who = author(request)
        return typeof who === 'string' ? { log: this.#log, author: who } : who
      },
      accept: (commit, session) => this.#refusalOf(commit, session.author),
    })
    this.#all = new Way()
  }

  get fetch() {
    return this.#fetchOver([this.#all])
  }

  connection(): TestConnection {
    const own = new Way()
    return {
      fetch: this.#fetchOver([this.#all, own]),
      latency: (ms) => own.latency(ms),
      partition: (which) => own.partition(which),
      cut: (bytes) => own.cut(bytes),
    }
  }

  latency(ms: number) {
    this.#all.latency(ms)
  }

  partition(which?: Partition) {
    this.#all.partition(which)
  }

  cut(bytes?: number) {
    this.#all.cut(bytes)
  }

  async log(): Promise<WireLine[]> {
    const commits = await this.#store.read(0, Infinity)
    return commits.flatMap(({ events }) => events.map(({ line }) => JSON.parse(line) as WireLine))
  }

  async append(events: Parameters<TestSyncServer['append']>[0], author = ''): Promise<CommitAnswer> {
    const commit = {
      events: events.map((event) => ({
        id: createId(this.#clock.now()),
        time: Math.trunc(this.#clock.now()),
        ...event,
      })),
    }
    const { answers } = await this.#log.push({ commits: [commit] }, { author })
    return answers[0] as CommitAnswer
  }

  refuse(rule?: (commit: WireCommit, author: string) => boolean | Refusal | undefined) {
    this.#rule = rule
  }

  #refusalOf(commit: WireCommit, author: string): Refusal | undefined {
    const reply = this.#rule?.(commit, author)
    return reply === true ? { code: 'refused', message: say`The test refuses it.` } : reply || undefined
  }

  fail(failure?: TestFailure | number) {
    const response = typeof failure === 'number' ? { status: failure } : failure
    onlyKnown(response, ['status', 'code', 'body', 'headers', 'on', 'times'], 'failure')
    this.#failure = response && { response, left: response.times ?? Infinity }
  }

  backup(): LogBackup {
    return this.#store.snapshot()
  }

  restore(backup: LogBackup, options: { readonly sameEpoch?: boolean } = {}) {
    this.#store.restore(backup, options)
    this.#all.breakOff()
  }

  restart() {
    this.#store.renewEpoch()
    this.#all.breakOff()
  }

  #fetchOver(ways: readonly Way[]): typeof globalThis.fetch {
    return async (input, init) => {
      const request = new Request(input, init)
      const { signal } = request
      const broken = new AbortController()
      const breakOff = () => broken.abort(lost())
      for (const way of ways) way.open.add(breakOff)
      try {
        signal.throwIfAborted()
        const ends = AbortSignal.any([signal, broken.signal])
        await this.#travel(ways, ends)
        if (ways.some((way) => way.stops('up'))) throw lost()
        const response = await this.#serve(request, ends)
        await this.#travel(ways, ends)
        if (ways.some((way) => way.stops('down'))) {
          await response.body?.cancel()
          throw lost()
        }
        return whole(response, Math.min(...ways.map((way) => way.bytes)), ends, () => {
          for (const way of ways) way.open.delete(breakOff)
        })
      } catch (error) {
        for (const way of ways) way.open.delete(breakOff)
        throw error
      }
    }
  }

  async #travel(ways: readonly Way[], signal: AbortSignal): Promise<void> {
    const ms = ways.reduce((sum, way) => sum + way.ms, 0)
    if (ms > 0) await sleep(this.#clock, ms, signal)
    signal.throwIfAborted()
  }

  async #serve(request: Request, signal: AbortSignal): Promise<Response> {
    const { pathname } = new URL(request.url)
    const name = pathname.slice(pathname.lastIndexOf('/') + 1)
    const entry = { name, method: request.method, author: bearerOf(request) }
    const index = this.requests.push(entry) - 1
    const response = (await this.#failing(name, entry.author)) ?? (await this.handler(new Request(request, { signal })))
    this.requests[index] = { ...entry, status: response.status }
    return response
  }

  async #failing(name: string, author: string): Promise<Response | undefined> {
    const failure = this.#failure
    if (failure === undefined || (failure.response.on ?? name) !== name || failure.left <= 0) return undefined
    failure.left -= 1
    const { status, code = codes[status] ?? 'unavailable', body, headers } = failure.response
    // With a body of its own it is a proxy that responds.
    if (body !== undefined) return new Response(body, { status, headers: headers ?? { 'Content-Type': 'text/html' } })
    const { log, epoch } = await this.#store.identity()
    return new Response(JSON.stringify({ code, message: say`The test lets it fail.` }), {
      status,
      headers: {
        'Content-Type': 'application/json',
        [names.version]: `${protocolVersion}`,
        [names.log]: logHeader(log, epoch),
        [names.author]: authorHeader(author),
        ...headers,
      },
    })
  }
}

const codes: Readonly<Record<number, string>> = {
  400: 'bad-request',
  401: 'unauthorized',
  403: 'forbidden',
  404: 'not-found',
  410: 'before-first',
  413: 'too-large',
  415: 'wrong-type',
  422: 'invalid-push',
  426: 'newer-protocol',
  429: 'too-many',
}

/** As `fetch` fails where there is no connection. */
const lost = () => new TypeError('Failed to fetch')

/** A part of the way between a device and the server. */
class Way {
  ms = 0
  bytes = Infinity
  /** How to break off what is under way. */
  readonly open = new Set<() => void>()
  #partition: Partition | undefined

  latency(ms: number) {
    if (!(ms >= 0)) throw new InvalidArgumentError('latency', say`must be a number of ms.`)
    this.ms = ms
  }

  partition(which?: Partition) {
    if (which !== undefined && !['both', 'up', 'down'].includes(which))
      throw new InvalidArgumentError('partition', say`must be 'both', 'up', 'down', or nothing.`)
    this.#partition = which
    if (which === 'both' || which === 'down') this.breakOff()
  }

  cut(bytes = Infinity) {
    if (!(bytes >= 0)) throw new InvalidArgumentError('cut', say`must be a number of bytes.`)
    this.bytes = bytes
  }

  stops(direction: 'up' | 'down'): boolean {
    return this.#partition === 'both' || this.#partition === direction
  }

  breakOff(): void {
    for (const end of [...this.open]) end()
  }
}

/** A response whose body ends early if the network does. `settled` is called when it has ended. */
function whole(response: Response, bytes: number, broken: AbortSignal, settled: () => void): Response {
  const reader = response.body?.getReader()
  if (reader === undefined) {
    settled()
    return response
  }
  let left = bytes
  const end = () => {
    broken.removeEventListener('abort', breakOff)
    settled()
  }
  let breakOff = () => {}
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      breakOff = () => {
        end()
        controller.error(broken.reason)
        reader.cancel().catch(() => {})
      }
      broken.addEventListener('abort', breakOff, { once: true })
    },
    async pull(controller) {
      try {
        const { done, value } = await reader.read()
        if (broken.aborted) return
        if (done && left >= 0) {
          end()
          controller.close()
        } else if (!done && left > 0) {
          const part = value.subarray(0, left)
          left -= value.byteLength
          controller.enqueue(part)
        } else {
          end()
          controller.error(lost())
          await reader.cancel()
        }
      } catch (error) {
        if (broken.aborted) return
        end()
        controller.error(error)
      }
    },
    cancel(reason) {
      end()
      return reader.cancel(reason)
    },
  })
  return new Response(body, response)
}
