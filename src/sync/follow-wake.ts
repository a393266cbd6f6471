/** Follows the hints of a server that its log has grown, and opens their stream again when it ends. A lost hint is made up for by pulls. */
import { sleep, type Clock } from '../platform/clock.js'
import { piecesOf } from './request.js'
import { isCount } from './responses.js'
import type { AnsweredBy } from './sync-effects.js'
import type { Opened, Transport } from './transport.js'
import { followWakeSocket } from './wake-socket.js'

/** How long a stream may be silent, ms. A server sends something at least every 25 s. */
const longestSilence = 60_000
/** The pause before a stream is opened again, ms: at random in between, so that a server that starts again is not overrun. */
const pause = { least: 1_000, most: 30_000 }
/** The least pause where the server has no such stream, ms. */
const pauseWithoutStream = 300_000
/**
 * A WebSocket by which nothing comes `least` ms after it was opened was cut off: each ping before that is one every 25 s.
 * After `most` of those in a row the stream is followed for `rest` ms, and then a WebSocket is tried again.
 */
const cutOff = { least: 30_000, most: 3, rest: 600_000 }
/** A longer message, in characters, is not a hint. */
const longestMessage = 65_536

export interface WakeOptions {
  readonly transport: Transport
  readonly clock: Clock
  readonly as: AnsweredBy
  /** By a WebSocket, where the server and this context have them. @default false */
  readonly bySocket?: boolean | undefined
  /** A server responds with a stream; its first hint says where the log is now. */
  readonly onOpen: () => void
  /** A hint: it gets through. */
  readonly onHead: (head: number) => void
  /** The server has another log, epoch or author than this device believes. */
  readonly onConflict?: () => void
  /** The stream has ended, or could not be opened. It is tried again. */
  readonly onEnd?: () => void
}

/** Rejects with the reason of the signal, and with nothing else. */
export async function followWake(options: WakeOptions, signal: AbortSignal): Promise<never> {
  const { clock, bySocket = false } = options
  const aborted = () => signal.throwIfAborted()
  let inARow = 0
  let restsUntil = -Infinity
  for (;;) {
    aborted()
    let least: number | undefined = pause.least
    const heardFor = bySocket && clock.monotonic() >= restsUntil ? await followSocket(options, signal) : undefined
    aborted()
    if (heardFor !== undefined) {
      options.onEnd?.()
      inARow = heardFor < cutOff.least ? inARow + 1 : 0
      if (inARow >= cutOff.most) restsUntil = clock.monotonic() + cutOff.rest
    }
    if (heardFor === undefined || inARow >= cutOff.most) {
      least = await followStream(options, restsUntil - clock.monotonic(), signal)
      aborted()
      options.onEnd?.()
    }
    // Without a pause, a WebSocket that is cut off again costs only a moment without hints.
    if (least !== undefined) await sleep(clock, least + (pause.most - pause.least) * clock.random(), signal)
  }
}

/** Resolves when a WebSocket has ended, as {@link followWakeSocket} does; with nothing where the server has none. */
async function followSocket(
  { transport, clock, as, onOpen, onHead }: WakeOptions,
  signal: AbortSignal,
): Promise<number | undefined> {
  const ticket = await transport.ticket(as, signal)
  if (ticket.kind !== 'ticket') return undefined
  const onText = (text: string) => hinted(text, onHead)
  return await followWakeSocket(ticket.address, clock, { onOpen, onText }, signal)
}

/**
 * Returns the least pause before the next one, in ms.
 *
 * @param most how long it is followed, ms, if that is above 0; undefined is returned then
 */
async function followStream(options: WakeOptions, most: number, signal: AbortSignal): Promise<number | undefined> {
  const opened = await options.transport.openWake(options.as, signal)
  if (opened.kind === 'opened') {
    let isOver = false
    const end = () => {
      isOver = true
      opened.request.end()
    }
    const cancel = most > 0 ? options.clock.schedule(most, end) : undefined
    options.onOpen()
    await readHints(opened, options)
    cancel?.()
    if (isOver) return undefined
  } else if (opened.kind === 'busy') return Math.max(pause.least, opened.after ?? 0)
  else if (opened.kind === 'refused' && isMissing(opened.status)) return pauseWithoutStream
  else if (opened.kind === 'refused' && opened.status === 409) options.onConflict?.()
  return pause.least
}

const isMissing = (status: number): boolean => status === 404 || status === 405

/** Until the stream ends, however it does. */
async function readHints({ response, request }: Opened, { transport, as, onHead }: WakeOptions): Promise<void> {
  let pending = ''
  try {
    for await (const piece of piecesOf(response, request, longestSilence)) {
      const lines = (pending + piece).split(/\r\n|\r|\n/)
      pending = lines.pop() ?? ''
      if (pending.length > longestMessage) return
      // A hint is one line, so the empty line behind it says nothing more.
      for (const line of lines)
        if (line.startsWith('data:'))
          hinted(line.slice(5), onHead, (chain, lines) => transport.takeHint(as, chain, lines))
    }
  } catch {
    // However the stream ends, it is opened again.
  } finally {
    transport.dropHint()
    request.end()
  }
}

/** Takes in the text of one hint. @param onLines gets the page that came with it */
function hinted(
  text: string,
  onHead: (head: number) => void,
  onLines?: (chain: unknown, lines: readonly unknown[]) => void,
): void {
  if (text.length > longestMessage) return
  try {
    const { head, chain, lines } = Object(JSON.parse(text)) as { [N in 'head' | 'chain' | 'lines']?: unknown }
    if (Array.isArray(lines)) onLines?.(chain, lines)
    if (isCount(head)) onHead(head)
  } catch {
    // A hint of a later version is ignored.
  }
}
