/** Hints that a log has grown, to WebSockets that outlast their object. */
import type { Clock } from '../platform/clock.js'
import { feature } from '../platform/features.js'
import { ticketSeconds, Tickets } from './tickets.js'
import type { DurableContext, DurableGlobals, DurableSocket } from './durable-types.js'

/** The least time between two rounds, ms: at most 20 a second. */
const betweenHints = 50
/** At least this for each socket, ms: telling one takes a tenth of that. */
const perSocket = 1

/** The tag of these sockets: the app may have others in the same object, which the log leaves alone. */
const tag = 'tidemark'

/** What a device sends at intervals, and what the runtime returns without waking the object. */
const [ping, pong] = ['ping', 'pong']

export class WakeSockets {
  readonly #ctx: DurableContext
  readonly #clock: Clock
  readonly #tickets: Tickets
  #waiting: number | undefined
  /** How often the log has moved. */
  #moves = 0
  #isPausing = false

  constructor(ctx: DurableContext, clock: Clock) {
    this.#ctx = ctx
    this.#clock = clock
    this.#tickets = new Tickets(clock)
    const Pair = feature((here) => (here as DurableGlobals).WebSocketRequestResponsePair)
    if (Pair !== undefined) ctx.setWebSocketAutoResponse(new Pair(ping, pong))
  }

  /** What `POST /ticket` returns. */
  issue(): { readonly ticket: string; readonly seconds: number } {
    return { ticket: this.#tickets.issue(), seconds: ticketSeconds }
  }

  /**
   * The response to a request for a socket.
   *
   * @param head asked only for who has a ticket
   */
  async accept(ticket: string, head: () => Promise<number>): Promise<Response | undefined> {
    const Pair = feature((here) => (here as DurableGlobals).WebSocketPair)
    if (Pair === undefined || !this.#tickets.take(ticket)) return undefined
    let [now, moves] = [0, -1]
    // A socket that opens while a commit is stored must not miss the hint of it.
    while (moves !== this.#moves) {
      moves = this.#moves
      now = await head()
    }
    const { 0: client, 1: own } = new Pair()
    this.#ctx.acceptWebSocket(own, [tag])
    own.send(hint(now))
    return new Response(null, { status: 101, webSocket: client } as ResponseInit)
  }

  /** Tells all of them where the log is: now, or together with what comes in the next moment. */
  tell(head: number): void {
    this.#moves += 1
    this.#waiting = head
    if (!this.#isPausing) this.#round()
  }

  #round(): void {
    if (this.#waiting === undefined) return
    const text = hint(this.#waiting)
    this.#waiting = undefined
    const sockets = this.#ctx.getWebSockets(tag)
    if (sockets.length === 0) return
    for (const socket of sockets) {
      try {
        socket.send(text)
      } catch {
        // It is closing.
      }
    }
    this.#isPausing = true
    this.#clock.schedule(Math.max(betweenHints, sockets.length * perSocket), () => {
      this.#isPausing = false
      this.#round()
    })
  }

  /** Devices have nothing to say but `ping`, to which the runtime responds. */
  heard(socket: DurableSocket, message: unknown): void {
    this.#act(socket, () => (message === ping ? socket.send(pong) : socket.close(1008, 'unexpected')))
  }

  /** Ends a socket that its device has closed. */
  closed(socket: DurableSocket): void {
    this.#act(socket, () => socket.close(1000))
  }

  get count(): number {
    return this.#ctx.getWebSockets(tag).length
  }

  #act(socket: DurableSocket, act: () => void): void {
    try {
      if (this.#ctx.getTags(socket).includes(tag)) act()
    } catch {
      // It is closed already.
    }
  }
}

const hint = (head: number): string => JSON.stringify({ head })
