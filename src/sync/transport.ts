/** The client of the protocol: requests by `fetch`, and responses that are checked before anything of them is used. */
import { messageOf } from '../errors.js'
import { say } from '../messages.js'
import type { Clock } from '../platform/clock.js'
import { isObject } from '../platform/objects.js'
import { Slices } from '../platform/slices.js'
import { headers as names, leastLimits, linesType, protocolVersion, type LogInfo } from '../wire/protocol.js'
import { lookAtAddress } from './foreign-watch.js'
import { PulledLines } from './pulled-lines.js'
import { pushedIn, pushText, type Pushed } from './push-text.js'
import { bodyLines, TimedRequest, textOf } from './request.js'
import {
  answeredBy,
  failureOf,
  foreign,
  Inconsistent,
  inconsistent,
  isCount,
  isName,
  isJson,
  notOf,
  parsedBody,
  typeOf,
  unlike,
} from './responses.js'
import type { RemoteOptions } from './sync-parts.js'
import type { AnsweredBy, InfoReply, PulledPage, PullReply, PushReply, RequestFailure } from './sync-effects.js'
import type { Cursor } from './sync-state.js'

/** How long a server may be silent, ms. */
export const longestSilence = 30_000
/** The rate at which a push is sent at least, in characters a ms. `fetch` does not say how far it has come. */
const slowestUpload = 16
/** The longest text of a response that is no pull, in characters. */
const longestReply = 16 * 1024 * 1024

/** A request without its headers. */
interface Asked {
  readonly path: string
  readonly accept: string
  readonly as: AnsweredBy | undefined
  readonly body?: string
  readonly signal: AbortSignal
}

/** A response with the status 200 of a tidemark server, of which the body is still to be read. */
export interface Opened {
  readonly kind: 'opened'
  readonly response: Response
  readonly by: AnsweredBy
  readonly request: TimedRequest
}

/** Every method returns what became of the request; it rejects with the reason of the signal, and with nothing else. */
export interface Transport {
  info(signal: AbortSignal): Promise<InfoReply>
  pull(
    asked: { readonly after: Cursor; readonly limit: number; readonly as: AnsweredBy },
    signal: AbortSignal,
  ): Promise<PullReply>
  push(pushed: Pushed & { readonly as: AnsweredBy }, signal: AbortSignal): Promise<PushReply>
  /** Keeps the page that came with a hint, and that begins behind the position of this chain, until it is asked for. */
  takeHint(by: AnsweredBy, chain: unknown, lines: readonly unknown[]): void
  /** Drops that page: the stream of hints has ended, so it may be old from now on. */
  dropHint(): void
  /** Takes the page that came with the last hint, if it is the one that is asked for. */
  hintPage(asked: { readonly after: Cursor; readonly limit: number; readonly as: AnsweredBy }): PulledPage | undefined
  /** The stream of wake-ups: its beginning. The caller ends the request. */
  openWake(as: AnsweredBy, signal: AbortSignal): Promise<Opened | RequestFailure>
  /** Where a WebSocket is opened for wake-ups: the address is good once, for a moment. */
  ticket(as: AnsweredBy, signal: AbortSignal): Promise<TicketFor | RequestFailure>
}

export interface TicketFor {
  readonly kind: 'ticket'
  readonly address: string
}

/** @param onContact called whenever a tidemark server responded */
export function openTransport(remote: RemoteOptions, clock: Clock, onContact: () => void = () => {}): Transport {
  return new FetchTransport(remote, clock, onContact)
}

class FetchTransport implements Transport {
  readonly #remote: RemoteOptions
  readonly #clock: Clock
  readonly #onContact: () => void
  #hint: { readonly by: AnsweredBy; readonly chain: unknown; readonly lines: readonly unknown[] } | undefined

  constructor(remote: RemoteOptions, clock: Clock, onContact: () => void) {
    this.#remote = remote
    this.#clock = clock
    this.#onContact = onContact
  }

  info(signal: AbortSignal): Promise<InfoReply> {
    return this.#ask(
      { path: '/info', accept: 'application/json', as: undefined, signal },
      async ({ response, request, by }) => {
        const info = infoIn(await textOf(response, request, longestSilence, longestReply))
        const { log, epoch, author } = info
        return unlike(by, { log, epoch, author }) ?? { kind: 'info', info }
      },
    )
  }

  pull(
    { after, limit, as }: { after: Cursor; limit: number; as: AnsweredBy },
    signal: AbortSignal,
  ): Promise<PullReply> {
    const path = `/pull?after=${after.at}&chain=${encodeURIComponent(after.chain)}&limit=${limit}`
    return this.#ask({ path, accept: linesType, as, signal }, async ({ response, request, by }) => {
      const lines = new PulledLines(after, limit, by)
      try {
        await this.#read(lines, response, request)
      } catch (error) {
        if (error instanceof Inconsistent) throw error
        // Cut off: what is before the last cursor is kept.
      }
      return lines.page ?? { kind: 'offline', isCut: true as const }
    })
  }

  takeHint(by: AnsweredBy, chain: unknown, lines: readonly unknown[]): void {
    this.#onContact()
    this.#hint = { by, chain, lines }
  }

  dropHint(): void {
    this.#hint = undefined
  }

  hintPage({ after, limit, as }: { after: Cursor; limit: number; as: AnsweredBy }): PulledPage | undefined {
    const hint = this.#hint
    this.#hint = undefined
    if (hint?.chain !== after.chain || unlike(as, hint.by) !== undefined) return undefined
    try {
      const lines = new PulledLines(after, limit, hint.by)
      for (const line of hint.lines) lines.add(line)
      const { page } = lines
      return page && { ...page, isHint: true }
    } catch {
      // A page that makes no sense is asked for again, and then what the server says counts.
      return undefined
    }
  }

  async #read(lines: PulledLines, response: Response, request: TimedRequest): Promise<void> {
    const slices = new Slices(this.#clock.monotonic)
    let count = 0
    for await (const { lines: texts, isLast } of bodyLines(response, request, longestSilence)) {
      slices.began()
      for (const text of texts) {
        // A last line without a line feed is whole only if it says so.
        if (isLast && !isJson(text)) return
        lines.add(text)
        if (lines.isLarge) return
        if ((count += 1) % 16 === 0) await slices.turn()
      }
    }
  }

  push({ as, ...pushed }: Pushed & { as: AnsweredBy }, signal: AbortSignal): Promise<PushReply> {
    const asked: Asked = { path: '/push', accept: 'application/json', as, body: pushText(pushed), signal }
    return this.#ask(asked, async ({ response, request, by }) => ({
      ...pushedIn(await textOf(response, request, longestSilence, longestReply), pushed),
      by,
    }))
  }

  openWake(as: AnsweredBy, signal: AbortSignal): Promise<Opened | RequestFailure> {
    return this.#open({ path: '/wake?events=1', accept: 'text/event-stream', as, signal })
  }

  ticket(as: AnsweredBy, signal: AbortSignal): Promise<TicketFor | RequestFailure> {
    const asked: Asked = { path: '/ticket', accept: 'application/json', as, body: '{}', signal }
    return this.#ask(asked, async ({ response, request }) => {
      const { ticket } = parsedBody(await textOf(response, request, longestSilence, longestProblem))
      if (typeof ticket !== 'string') throw new Inconsistent(say`The ticket is no text.`)
      return {
        kind: 'ticket' as const,
        address: address(this.#remote.url, `/wake?ticket=${encodeURIComponent(ticket)}`),
      }
    })
  }

  /** Asks, and reads the body. */
  async #ask<T>(asked: Asked, read: (opened: Opened) => Promise<T>): Promise<T | RequestFailure> {
    const opened = await this.#open(asked)
    if (opened.kind !== 'opened') return opened
    try {
      return await read(opened)
    } catch (error) {
      asked.signal.throwIfAborted()
      return error instanceof Inconsistent ? inconsistent(error) : { kind: 'offline', message: messageOf(error) }
    } finally {
      opened.request.end()
    }
  }

  /** Asks, and once more with other headers after a 401. */
  async #open(asked: Asked): Promise<Opened | RequestFailure> {
    const { author, headers } = this.#remote
    // What is stored may be of another user already: nothing of that is sent either.
    const first = notOf(author, asked.as) ?? (await this.#fetch(asked, false))
    const isRefused = first.kind === 'refused' && first.status === 401
    return isRefused && typeof headers === 'function' ? this.#fetch(asked, true) : first
  }

  #looked(by: AnsweredBy | undefined, failure: RequestFailure): RequestFailure {
    if (__DEV__) lookAtAddress(this.#remote.url, by === undefined ? failure : undefined)
    return failure
  }

  /** @param unauthorized the headers were refused a moment ago */
  async #fetch({ path, accept, as, body, signal }: Asked, unauthorized: boolean): Promise<Opened | RequestFailure> {
    const request = new TimedRequest(this.#clock, longestSilence + (body?.length ?? 0) / slowestUpload, signal)
    let kept: Opened | undefined
    try {
      const { fetch = globalThis.fetch, author, headers, credentials } = this.#remote
      const own =
        typeof headers === 'function' ? await request.overApp(Promise.resolve(headers({ unauthorized }))) : headers
      const all = new Headers(own)
      for (const [name, value] of headersOf(as)) all.set(name, value)
      all.set('Accept', accept)
      if (body !== undefined) all.set('Content-Type', 'application/json')
      const response = await request.over(
        // Not as a method: browsers refuse that.
        fetch(address(this.#remote.url, path), {
          method: body === undefined ? 'GET' : 'POST',
          headers: all,
          ...(body === undefined ? {} : { body }),
          ...(credentials === undefined ? {} : { credentials }),
          // No redirect takes credentials elsewhere.
          redirect: 'error',
          cache: 'no-store',
          signal: request.signal,
        }),
      )
      const by = answeredBy(response)
      if (by !== undefined) this.#onContact()
      if (response.status !== 200) {
        const text = await textOf(response, request, longestSilence, longestProblem).catch(() => '')
        signal.throwIfAborted()
        return this.#looked(by, failureOf(response, text, this.#clock.now(), this.#remote.url))
      }
      // A captive portal says 200 to everything.
      if (by === undefined || typeOf(response) !== accept) return this.#looked(by, foreign(response, this.#remote.url))
      if (__DEV__) lookAtAddress(this.#remote.url, undefined)
      const refused = unlike(as, by) ?? notOf(author, by)
      if (refused !== undefined) return refused
      return (kept = { kind: 'opened', response, by, request })
    } catch (error) {
      signal.throwIfAborted()
      const isSlow = body !== undefined && request.isSlow
      return { kind: 'offline', message: messageOf(error), ...(isSlow && { isSlow }) }
    } finally {
      if (kept === undefined) request.end()
    }
  }
}

/** The longest text of a problem, in characters. */
const longestProblem = 65_536

/** With log and author once they are known. */
function headersOf(as: AnsweredBy | undefined): (readonly [string, string])[] {
  const version = [names.version, String(protocolVersion)] as const
  if (as === undefined) return [version]
  return [version, [names.log, `${as.log}/${as.epoch}`], [names.author, encodeURIComponent(as.author)]]
}

/** The address of a path of the log, whose own address may have a query. */
function address(url: string, path: string): string {
  const [base = '', query] = url.split('#', 1)[0]?.split(/\?(.*)/s, 2) ?? []
  const full = base.replace(/\/+$/, '') + path
  return query === undefined || query === '' ? full : `${full}${path.includes('?') ? '&' : '?'}${query}`
}

/** @throws Inconsistent */
function infoIn(text: string): LogInfo {
  const { log, epoch, author, head, first, format, limits } = parsedBody(text)
  const all = isObject(limits) ? (limits as Record<string, unknown>) : {}
  const limit = (name: keyof LogInfo['limits']): number => {
    const value = all[name] ?? leastLimits[name]
    if (!isCount(value) || value < 1) throw new Inconsistent(say`The server names limits that are no numbers.`)
    return value
  }
  if (
    !isName(log) ||
    !isName(epoch) ||
    typeof author !== 'string' ||
    !isCount(head) ||
    !isCount(first) ||
    !isCount(format)
  )
    throw new Inconsistent(say`The server said nothing that is known about its log.`)
  return {
    log,
    epoch,
    author,
    head,
    first,
    format,
    limits: {
      eventBytes: limit('eventBytes'),
      commitEvents: limit('commitEvents'),
      commitBytes: limit('commitBytes'),
      pushBytes: limit('pushBytes'),
    },
  }
}
