/** The wire protocol over HTTP: a `Request` in, a `Response` out. */
import { hasCode, InvalidArgumentError } from '../errors.js'
import { say } from '../messages.js'
import { assertSignal, onlyKnown } from '../platform/arguments.js'
import { systemTimers, type Clock } from '../platform/clock.js'
import { listenerSet, type Listeners } from '../platform/listeners.js'
import { authorHeader, headers, leastLimits, linesType, logHeader, protocolVersion } from '../wire/protocol.js'
import type { WireCommit } from '../wire/protocol.js'
import { BodySpace } from './body-space.js'
import type { Refusal } from './check-push.js'
import { corsHeaders, preflight, type Origins } from './cors.js'
import { readJson } from './request-body.js'
import { otherEpoch, RequestRefusedError } from './request-refused.js'
import type { ServerLog } from './server-log.js'
import { textStream } from './text-stream.js'
import { wakeStream, type AskBeforeHint } from './wake-stream.js'

/** What a request is allowed to. */
export interface Opened<C> {
  /** The log that this request may use. */
  readonly log: ServerLog
  /**
   * Who the session is: opaque, the same for all devices of a user. Verdicts are kept under it, and a device refuses to
   * send what it was filled with under another one. What is there and no string, also `undefined`, is a mistake of the
   * app (503): return a `Response` where there is no session. @default ''
   */
  readonly author?: string
  /** Whatever `accept` needs to know about the session. */
  readonly claims?: C
}

/** The session that pushes, for `accept`. */
export interface AcceptSession<C> {
  readonly author: string
  readonly claims: C
}

/** How requests become a log, and what may be pushed. */
export interface SyncHandlerOptions<C> {
  /**
   * Finds the log that a request is for, and whether this session may use it: reads and writes alike. A `Response` (401,
   * 403, 404 …) is sent as it is. If it throws, the response is 503 and the device tries again; for a name that no log
   * can have (`invalid-name`) it is 400, and where the log is not there and must not be begun (`no-such-log`) 404. While
   * a device listens at `wake`, it is asked again, with the same request, before each hint.
   */
  open(request: Request): Opened<C> | Response | Promise<Opened<C> | Response>
  /**
   * What the owner of the log must be able to rely on: authors, streams, types, sizes. Called for each commit that has no
   * verdict yet, once what it requires is there. What it returns is why the commit is refused, for good: its device tells
   * the app. `checkCommit(events, commit)` of `tidemark` compares its events with the app's definitions. A commit for
   * which it throws is not decided: it stays on its device, which asks again, and holds up no other one. If it throws for
   * all commits of a push, the response is 503 and nothing is stored.
   *
   * @default every commit is accepted
   */
  accept?(
    commit: WireCommit,
    session: AcceptSession<C>,
  ): void | undefined | Refusal | Promise<void | undefined | Refusal>
  /**
   * From which other origins browsers may use this: a list such as `['https://shop.example']`, then with cookies, or
   * `'*'`, then without. @default none
   */
  readonly origins?: Origins
  /** Compresses pages if the client takes gzip. Turn it off where a proxy does. @default true */
  readonly compress?: boolean
  /** Gets what was thrown, which no response shows. @default `console.error` */
  readonly onError?: (error: unknown) => void
  /**
   * Ends the streams of hints when it aborts, which otherwise last as long as their devices, and begins no others: so that a
   * server that is to stop ends with the requests that are under way. Pushes and pulls are served as before. @default none
   */
  readonly signal?: AbortSignal
  /** For tests. @default that of this context */
  readonly clock?: Clock
}

/**
 * Serves logs to synced stores. The last part of the path is one of `info`, `push`, `pull` and `wake`; what is before
 * it is for `open` to understand. docs/protocol.md describes requests and responses.
 *
 * @example
 * const handler = syncHandler({
 *   open: async (request) => {
 *     const user = await userOf(request)
 *     return user ? { log: logOf(user.household), author: user.id, claims: user } : new Response(null, { status: 401 })
 *   },
 *   accept: (commit, { claims }) => {
 *     if (claims.readOnly) return { code: 'read-only', message: 'You may look, but not change.' }
 *   },
 * })
 *
 * @throws InvalidArgumentError for unknown or missing options
 */
export function syncHandler<C = undefined>(options: SyncHandlerOptions<C>): (request: Request) => Promise<Response> {
  return syncHandlerWith(options)
}

/** What `POST /ticket` returns, where there are WebSockets. */
export interface TicketReply {
  readonly ticket: string
  /** How long it is good. */
  readonly seconds: number
}

/** The space for bodies of a server that is a process, in bytes. */
const largeSpace = 134_217_728

/**
 * @param issue makes tickets; without it there are none
 * @param space for the bodies of pushes
 */
export function syncHandlerWith<C>(
  options: SyncHandlerOptions<C>,
  issue?: () => TicketReply,
  space = new BodySpace(largeSpace),
): (request: Request) => Promise<Response> {
  onlyKnown(options, ['open', 'accept', 'origins', 'compress', 'onError', 'signal', 'clock'])
  if (typeof options?.open !== 'function') throw new InvalidArgumentError('open', say`must be a function.`)
  const { origins = [], onError = (error: unknown) => console.error(error), signal } = options
  assertSignal(signal)
  // One listener for all streams: a signal with many is taken for a leak.
  const streams = listenerSet()
  signal?.addEventListener('abort', () => streams.tell(), { once: true })
  return async (request) => {
    if (request.method === 'OPTIONS') return preflight(request, origins)
    const seen: Record<string, string> = { [headers.version]: `${protocolVersion}`, ...corsHeaders(request, origins) }
    try {
      return await respond(request, { ...options, onError }, seen, { issue, space, streams })
    } catch (error) {
      const refused = refusedFor(error)
      if (refused !== undefined) return problem(refused, seen)
      onError(error)
      return problem(new RequestRefusedError(503, 'unavailable', say`The server cannot do this now.`), {
        ...seen,
        'Retry-After': '1',
      })
    }
  }
}

/** What is wrong with the request; nothing for a mistake or a failure of the server. */
function refusedFor(error: unknown): RequestRefusedError | undefined {
  if (error instanceof RequestRefusedError) return error
  if (hasCode(error, 'no-such-log')) return new RequestRefusedError(404, 'not-found', say`There is no such log.`)
  return undefined
}

/** What there is, and how it is asked for. */
const methods = new Map([
  ['info', 'GET'],
  ['push', 'POST'],
  ['pull', 'GET'],
  ['wake', 'GET'],
])

interface HandlerParts {
  readonly issue: (() => TicketReply) | undefined
  readonly space: BodySpace
  /** What ends each stream of hints. */
  readonly streams: Listeners<[]>
}

/** @param seen headers of every response to this request; it gets those of the log once that is known */
async function respond<C>(
  request: Request,
  options: SyncHandlerOptions<C> & { readonly onError: (error: unknown) => void },
  seen: Record<string, string>,
  { issue, space, streams }: HandlerParts,
): Promise<Response> {
  const url = new URL(request.url)
  const name = url.pathname.split('/').at(-1) ?? ''
  const method = name === 'ticket' && issue ? 'POST' : methods.get(name)
  if (method === undefined) throw new RequestRefusedError(404, 'not-found', say`There is info, push, pull and wake.`)
  if (request.method !== method) {
    seen['Allow'] = method
    throw new RequestRefusedError(405, 'wrong-method', say`It is ${method}.`)
  }
  checkVersion(request)
  const opened = await openedBy(options, request)
  if (!('log' in opened)) return withHeaders(opened, seen)
  const { log, claims } = opened
  const author = authorOf(opened)
  const info = await log.info()
  seen[headers.log] = logHeader(info.log, info.epoch)
  seen[headers.author] = authorHeader(author)
  if (name === 'info') return json({ ...info, author }, seen)
  checkIdentity(request, name, seen)
  if (name === 'push') {
    const { accept } = options
    const session = {
      author,
      epoch: info.epoch,
      ...(accept && { accept: (commit: WireCommit) => accept(commit, { author, claims: claims as C }) }),
      onError: options.onError,
    }
    const place = space.enter()
    try {
      const body = await readJson(request, leastLimits.pushBytes, place, options.clock ?? systemTimers)
      return json(await log.push(body, session), seen)
    } finally {
      place.leave()
    }
  }
  if (name === 'ticket') return json(issue?.(), seen)
  if (name === 'pull') return await pull(request, url, log, info.epoch, options.compress !== false, seen)
  if (options.signal?.aborted) throw new RequestRefusedError(503, 'unavailable', say`The server is about to stop.`)
  const takesEvents = url.searchParams.get('events') === '1'
  // N138: asked again for what it may know, as for a pull. Where that fails, the hint says the head alone.
  const ask: AskBeforeHint = async (after, end) => {
    const now = await openedBy(options, request)
    if ('log' in now && authorOf(now) === author)
      return takesEvents && after !== undefined ? now.log.tail?.(after) : undefined
    end()
    return undefined
  }
  const ends = { signal: request.signal, streams }
  const hints = wakeStream(log, info.head, options.clock ?? systemTimers, ends, ask)
  return reply(hints, 'text/event-stream', seen)
}

/** @throws InvalidArgumentError for what is neither a response nor has a log */
async function openedBy<C>(options: SyncHandlerOptions<C>, request: Request): Promise<Opened<C> | Response> {
  let opened: Opened<C> | Response
  try {
    opened = await options.open(request)
  } catch (error) {
    // Elsewhere such an error would be of the app.
    throw hasCode(error, 'invalid-name')
      ? new RequestRefusedError(400, 'bad-request', say`No log has such a name.`)
      : error
  }
  // N135. A response may be of another realm, or of a library: it has a status.
  const { log, status } = Object(opened) as { readonly log?: Partial<ServerLog>; readonly status?: unknown }
  if (typeof log?.info !== 'function' && (log !== undefined || typeof status !== 'number'))
    throw new InvalidArgumentError(
      'open',
      say`must return { log, author } with a log of serverLog(), or a Response, such as new Response(null, { status: 403 }).`,
    )
  return opened
}

/** @throws InvalidArgumentError for an author that is no string: a user that was not found must not become one */
function authorOf(opened: Opened<unknown>): string {
  const { author }: { readonly author: unknown } = { author: '', ...opened }
  if (typeof author !== 'string')
    throw new InvalidArgumentError(
      'author',
      say`must be a text, the same on all devices of a user. Return a Response, such as one of the status 401, where there is no user.`,
    )
  return author
}

async function pull(
  request: Request,
  url: URL,
  log: ServerLog,
  epoch: string,
  compress: boolean,
  seen: Readonly<Record<string, string>>,
): Promise<Response> {
  const number = (name: string) => {
    const text = url.searchParams.get(name)
    return text === null ? undefined : /^\d+$/.test(text) ? Number(text) : NaN
  }
  const chain = url.searchParams.get('chain') ?? undefined
  const page = { epoch, after: number('after') ?? 0, chain, limit: number('limit') }
  const stream = textStream(await log.pull(page), request.signal)
  if (!compress || typeof CompressionStream !== 'function' || !takesGzip(request)) return reply(stream, linesType, seen)
  return reply(stream.pipeThrough(new CompressionStream('gzip')), linesType, { ...seen, 'Content-Encoding': 'gzip' })
}

const takesGzip = (request: Request) =>
  /\bgzip\b(?!\s*;\s*q=0(\.0*)?\s*(,|$))/i.test(request.headers.get('Accept-Encoding') ?? '')

/** A missing header is no form's and no link's doing: only a script that was allowed to can set it. */
function checkVersion(request: Request): void {
  const version = request.headers.get(headers.version)
  if (version === null) throw new RequestRefusedError(400, 'bad-request', say`'${headers.version}' is missing.`)
  if (version !== `${protocolVersion}`)
    throw new RequestRefusedError(426, 'newer-protocol', say`The server speaks version ${protocolVersion}.`)
}

/** Compares what the device believes with what is true. Nothing is read or stored for a device that believes otherwise. */
function checkIdentity(request: Request, name: string, seen: Readonly<Record<string, string>>): void {
  const log = request.headers.get(headers.log)
  const author = request.headers.get(headers.author)
  if (log === null && name === 'push')
    throw new RequestRefusedError(400, 'bad-request', say`'${headers.log}' is missing.`)
  const idOf = (value: string | null | undefined) => value?.split('/')[0]
  if (log !== null && idOf(log) !== idOf(seen[headers.log]))
    throw new RequestRefusedError(409, 'other-log', say`It is another log.`)
  if (author !== null && author !== seen[headers.author])
    throw new RequestRefusedError(409, 'other-author', say`The session is of another author.`)
  if (log !== null && log !== seen[headers.log]) throw otherEpoch()
}

const reply = (body: BodyInit, type: string, seen: Readonly<Record<string, string>>, status = 200) =>
  new Response(body, {
    status,
    headers: { ...seen, 'Content-Type': type, 'Cache-Control': 'no-store' },
    // In workerd: the body is as `Content-Encoding` says. Other runtimes do not know it.
    ...({ encodeBody: 'manual' } as object),
  })

const json = (body: unknown, seen: Readonly<Record<string, string>>, status?: number) =>
  reply(JSON.stringify(body), 'application/json', seen, status)

/** A response to a request that is not one of the handler's. */
export const problemResponse = (error: RequestRefusedError): Response =>
  problem(error, { [headers.version]: `${protocolVersion}` })

const problem = (error: RequestRefusedError, seen: Readonly<Record<string, string>>) =>
  json(error.problem, seen, error.status)

/** The response of the app, with the headers that every response has. */
function withHeaders(response: Response, seen: Readonly<Record<string, string>>): Response {
  const copy = new Response(response.body, response)
  for (const [name, value] of Object.entries(seen)) copy.headers.set(name, value)
  return copy
}
