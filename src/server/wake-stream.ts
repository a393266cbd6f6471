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
  clock: Clock,
  signal: AbortSignal,
): ReadableStream<Uint8Array<ArrayBuffer>> {
  const encoder = new TextEncoder()
  let end = () => {}
  let takeMore = () => {}
  return new ReadableStream<Uint8Array<ArrayBuffer>>({
    start(controller) {
      let waiting: number | undefined = head
      let pause: (() => void) | undefined
      let rest = () => {}
      const comment = () => {
        // Nothing is added where nothing is taken.
        if ((controller.desiredSize ?? 0) > 0) send(': \n\n')
        else rest = clock.schedule(betweenComments, comment)
      }
      const send = (text: string) => {
        controller.enqueue(encoder.encode(text))
        rest()
        rest = clock.schedule(betweenComments, comment)
      }
      const hint = () => {
        if (waiting === undefined || pause !== undefined || (controller.desiredSize ?? 0) <= 0) return
        const data = JSON.stringify({ head: waiting })
        waiting = undefined
        pause = clock.schedule(betweenHints, () => {
          pause = undefined
          hint()
        })
        send(`data: ${data}\n\n`)
      }
      const unsubscribe = log.subscribe((moved) => {
        waiting = moved
        hint()
      })
      const abort = () => {
        end()
        controller.close()
      }
      end = () => {
        unsubscribe()
        pause?.()
        rest()
        signal.removeEventListener('abort', abort)
      }
      takeMore = hint
      signal.addEventListener('abort', abort, { once: true })
      hint()
      if (signal.aborted) abort()
    },
    pull: () => takeMore(),
    cancel: () => end(),
  })
}
