/** `durableLog`: one log of synced stores in one Durable Object. */
import { InvalidArgumentError } from '../errors.js'
import { say } from '../messages.js'
import { onlyKnown, wholeNumber } from '../platform/arguments.js'
import { systemClock, type Clock } from '../platform/clock.js'
import { BodySpace } from '../server/body-space.js'
import { problemResponse, syncHandlerWith, type AcceptSession } from '../server/sync-handler.js'
import { RequestRefusedError } from '../server/request-refused.js'
import { isAllowedOrigin, type Origins } from '../server/cors.js'
import type { Refusal } from '../server/check-push.js'
import { serverLog, type ServerLog } from '../server/server-log.js'
import { leastLimits, type WireCommit } from '../wire/protocol.js'
import type { DurableContext, DurableSocket } from './durable-types.js'
import { openObjectLog, type DurableLogStore } from './object-log-store.js'
import { WakeSockets } from './wake-sockets.js'

/** Bytes of pushes that are in memory: there are 128 MB, and a push of 4 MB takes about 25. */
const mostBodies = 8_388_608

/** Who a request is from. */
export interface DurableSession<C> {
  /** The user: opaque, the same for all devices. Anything but a text, such as a missing header, is a 503. */
  readonly author: string | null
  /** Whatever `accept` needs to know about the session. */
  readonly claims?: C
}

/** Options of {@link durableLog}. */
export interface DurableLogOptions<C = undefined> {
  /**
   * Who a request is from: what the Worker in front found out and says in a header of its own, which it never takes from
   * outside. A `Response` (401, 403 …) is sent as it is. Not called for a WebSocket, which has a ticket.
   */
  session(request: Request): DurableSession<C> | Response | Promise<DurableSession<C> | Response>
  /**
   * What the owner of the log must be able to rely on: as `accept` of `syncHandler`.
   *
   * @default every commit is accepted
   */
  accept?(
    commit: WireCommit,
    session: AcceptSession<C>,
  ): void | undefined | Refusal | Promise<void | undefined | Refusal>
  /** From which other origins browsers may use this, WebSockets included: as `origins` of `syncHandler`. @default none */
  readonly origins?: Origins
  /** Compresses pages if the client takes gzip. @default true */
  readonly compress?: boolean
  /** Gets what was thrown, which no response shows, also when the alarm could not be set. @default `console.error` */
  readonly onError?: (error: unknown) => void
  /** The id of a log that begins in this object. @default a random one */
  readonly log?: string
  /** Another one than before begins a new epoch: as `generation` of `durableLogStore`. @default '' */
  readonly generation?: string
  /** For tests. @default that of this context */
  readonly clock?: Clock
}

/** What a log in a Durable Object is at the moment. */
export interface DurableStats {
  /** The position of the last event. */
  readonly head: number
  /** All that is stored in the object, that of the app included. */
  readonly bytes: number
  /** How many WebSockets of devices are open. */
  readonly sockets: number
}

/** A log in a Durable Object: its methods are those that the object has to pass on. */
export interface DurableLog {
  /** For the code of the object: what `serverLog` offers. */
  readonly log: ServerLog
  readonly store: DurableLogStore
  /** Serves `info`, `push`, `pull`, `wake` and `ticket`. */
  fetch(request: Request): Promise<Response>
  /** Sockets that the app accepted itself may come here too: nothing is done with them. */
  webSocketMessage(socket: DurableSocket, message: unknown): void
  webSocketClose(socket: DurableSocket): void
  webSocketError(socket: DurableSocket): void
  /**
   * Drops verdicts that are older than 90 days, and sets the next alarm if none is set. An object that has alarms of its own
   * calls it in each of them, after it has set its next one: an object has one alarm, and the log sets none over it.
   */
  alarm(): Promise<void>
  /**
   * Goes back to how the log was: the runtime's point-in-time recovery, to any moment of the last 30 days. The object
   * ends with it, so the call rejects. Call `renewEpoch()` immediately afterwards: docs/durable-objects.md.
   *
   * @param to a bookmark, or a time in ms since 1970
   * @param onUndo gets the bookmark that takes it back, before anything happens. If it throws, nothing goes back
   * @throws InvalidArgumentError for what is not a time, such as that of a date that could not be parsed
   */
  restore(to: string | number, onUndo?: (bookmark: string) => void | Promise<void>): Promise<never>
  /** Begins a new epoch: {@link DurableLogStore.renewEpoch}. */
  renewEpoch(): Promise<void>
  /** For monitoring. */
  stats(): Promise<DurableStats>
}

/**
 * Keeps one log in a Durable Object with SQLite, and serves it: to devices by their requests, with WebSockets that
 * outlast the object while it sleeps.
 *
 * @param ctx what the constructor of the object gets
 *
 * @example
 * export class Log extends DurableObject {
 *   #log = durableLog(this.ctx, { session: (request) => ({ author: request.headers.get('X-User') }) })
 *   fetch(request) { return this.#log.fetch(request) }
 *   webSocketMessage(socket, message) { this.#log.webSocketMessage(socket, message) }
 *   webSocketClose(socket) { this.#log.webSocketClose(socket) }
 *   alarm() { return this.#log.alarm() }
 * }
 *
 * @throws InvalidArgumentError for unknown or missing options, and for an object without SQLite
 */
export function durableLog<C = undefined>(ctx: DurableContext, options: DurableLogOptions<C>): DurableLog {
  onlyKnown(options, ['session', 'accept', 'origins', 'compress', 'onError', 'log', 'generation', 'clock'])
  const { session, origins = [], log: id, generation, clock = systemClock, ...rest } = options
  const { onError = (error: unknown) => console.error(error) } = options
  if (typeof session !== 'function') throw new InvalidArgumentError('session', say`must be a function.`)
  const retention = new Retention(ctx, onError)
  const storeOptions = {
    now: () => clock.now(),
    ...(id !== undefined && { log: id }),
    ...(generation !== undefined && { generation }),
  }
  const store = openObjectLog(ctx, storeOptions, (due) => retention.expect(due))
  const log = serverLog(store)
  const sockets = new WakeSockets(ctx, clock)
  store.subscribe((head) => sockets.tell(head))
  const handle = syncHandlerWith<C>(
    {
      ...rest,
      origins,
      clock,
      async open(request) {
        const opened = await session(request)
        if (opened instanceof Response) return opened
        // A header that the Worker forgot must not make an author of its own.
        if (typeof opened?.author !== 'string') throw new InvalidArgumentError('session', say`must return an author.`)
        return { ...opened, author: opened.author, log }
      },
    },
    () => sockets.issue(),
    // Of this object, and gone with it: one that is aborted leaves nothing behind.
    new BodySpace(mostBodies),
  )
  return {
    log,
    store,
    async fetch(request) {
      const ticket = ticketOf(request)
      if (ticket === undefined) return drained(request, await handle(request))
      if (!isAllowedOrigin(request, origins)) return problemResponse(foreignOrigin())
      try {
        return (await sockets.accept(ticket, () => store.head())) ?? problemResponse(noTicket())
      } catch (error) {
        onError(error)
        return problemResponse(new RequestRefusedError(503, 'unavailable', say`The server cannot do this now.`))
      }
    },
    webSocketMessage: (socket, message) => sockets.heard(socket, message),
    webSocketClose: (socket) => sockets.closed(socket),
    webSocketError: (socket) => sockets.closed(socket),
    alarm: async () => retention.done(await store.prune()),
    async restore(to, onUndo) {
      const { storage } = ctx
      const bookmark = typeof to === 'string' ? to : await storage.getBookmarkForTime(wholeNumber(to, 'to'))
      // First: what throws after the next call would leave an object that goes back later, whenever it ends.
      await onUndo?.(await storage.getCurrentBookmark())
      await storage.onNextSessionRestoreBookmark(bookmark)
      ctx.abort(say`The log goes back to an earlier state.`)
      throw new Error(say`The object ends.`)
    },
    renewEpoch: () => store.renewEpoch(),
    stats: async () => ({
      head: store.hasBegun() ? await store.head() : 0,
      bytes: ctx.storage.sql.databaseSize,
      sockets: sockets.count,
    }),
  }
}

/**
 * Whether a request is for a WebSocket with a ticket: the one kind that the Worker in front passes on without knowing the
 * user, since the object checks the ticket. Browsers send no headers with it.
 *
 * @example
 * if (isTicketed(request)) return env.LOG.get(env.LOG.idFromName(name)).fetch(request)
 */
export const isTicketed = (request: Request): boolean => ticketOf(request) !== undefined

function ticketOf(request: Request): string | undefined {
  if (request.method !== 'GET' || request.headers.get('Upgrade')?.toLowerCase() !== 'websocket') return undefined
  const { pathname, searchParams } = new URL(request.url)
  return pathname.endsWith('/wake') ? (searchParams.get('ticket') ?? undefined) : undefined
}

const noTicket = () =>
  new RequestRefusedError(401, 'unauthorized', say`The ticket is not good any more: each is good once, for a minute.`)

const foreignOrigin = () => new RequestRefusedError(403, 'forbidden', say`The origin of the page is not allowed.`)

/** The most bytes of a body that are read for nothing. */
const mostDrained = 2 * leastLimits.pushBytes

/** workerd ends the connection if a body was not read, and the client does not get its response. */
async function drained(request: Request, response: Response): Promise<Response> {
  if (request.body === null || request.bodyUsed) return response
  let size = 0
  const counting = new WritableStream<Uint8Array>({
    write(bytes) {
      size += bytes.byteLength
      // No device sends as much: such a client may go without its response.
      if (size > mostDrained) throw new Error()
    },
  })
  await request.body.pipeTo(counting).catch(() => {})
  return response
}

/**
 * The alarm that drops old verdicts. An object has one alarm. One that is there already is left alone, however late it is: it
 * is the app's, which calls `alarm()` in it, and until then verdicts are kept for longer.
 */
class Retention {
  readonly #ctx: DurableContext
  readonly #onError: (error: unknown) => void
  #isSet = false

  constructor(ctx: DurableContext, onError: (error: unknown) => void) {
    this.#ctx = ctx
    this.#onError = onError
  }

  expect(due: number): void {
    if (this.#isSet) return
    this.#isSet = true
    // Should it fail, as in an object that passes on no `alarm`, the next verdict tries it again.
    this.#set(due).catch((error: unknown) => {
      this.#isSet = false
      this.#onError(error)
    })
  }

  async #set(due: number): Promise<void> {
    const { storage } = this.#ctx
    // A day later, so that what is due on one day is one alarm.
    if ((await storage.getAlarm()) === null) await storage.setAlarm(due + aDay)
  }

  async done(next: number | undefined): Promise<void> {
    this.#isSet = next !== undefined
    if (next !== undefined) await this.#set(next)
  }
}

const aDay = 86_400_000
