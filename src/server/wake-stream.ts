/** Hints that a log has grown, as server-sent events. */
import type { Clock } from '../platform/clock.js'
import type { ServerLog } from './server-log.js'

/** The least time between two hints, ms: at most 20 a second. */
const betweenHints = 50

/** A comment is sent when there was no hint for this many ms, so that nothing on the way ends a connection that rests. */
const betweenComments = 25_000

/**
 * A body that says the head immediately, and again when it moves. Hints that the client does not take are replaced by the
 * next one. Ends with the client or the signal.
 */
export function wakeStream(
  log: ServerLog,
  head: number,
  timers: Pick<Clock, 'schedule'>,
  signal: AbortSignal,
): ReadableStream<Uint8Array<ArrayBuffer>> {
  let body!: ReadableStreamDefaultController<Uint8Array<ArrayBuffer>>
  let waiting: number | undefined = head
  let pause: (() => void) | undefined
  let rest = () => {}
  // Nothing is added where nothing is taken.
  const isTaken = () => (body.desiredSize ?? 0) > 0
  const send = (text: string) => {
    if (isTaken()) body.enqueue(new TextEncoder().encode(text))
    rest()
    rest = timers.schedule(betweenComments, () => send(': \n\n'))
  }
  const hint = () => {
    if (waiting === undefined || pause !== undefined || !isTaken()) return
    const data = JSON.stringify({ head: waiting })
    waiting = undefined
    pause = timers.schedule(betweenHints, () => {
      pause = undefined
      hint()
    })
    send(`data: ${data}\n\n`)
  }
  const abort = () => {
    end()
    body.close()
  }
  const end = () => {
    unsubscribe()
    pause?.()
    rest()
    signal.removeEventListener('abort', abort)
  }
  const stream = new ReadableStream<Uint8Array<ArrayBuffer>>({
    start(controller) {
      body = controller
    },
    pull: hint,
    cancel: end,
  })
  const unsubscribe = log.subscribe((moved) => {
    waiting = moved
    hint()
  })
  signal.addEventListener('abort', abort)
  hint()
  if (signal.aborted) abort()
  return stream
}
