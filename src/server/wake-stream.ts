/** Hints that a log has grown, as server-sent events. */
import type { Clock } from '../platform/clock.js'
import type { LogTail, ServerLog } from './server-log.js'

/** The least time between two hints, ms: at most 20 a second. */
const betweenHints = 50

/** A comment is sent when there was no hint for this many ms, so that nothing on the way ends a connection that rests. */
const betweenComments = 25_000

/**
 * A body that says the head immediately, and again when it moves. Hints that the client does not take are replaced by the
 * next one. Ends with the client or the signal.
 *
 * @param tailOf what came since a position, to go with the hint; nothing where that is long, or not for this client
 */
export function wakeStream(
  log: ServerLog,
  head: number,
  clock: Clock,
  signal: AbortSignal,
  tailOf?: (after: number) => Promise<LogTail | undefined>,
): ReadableStream<Uint8Array<ArrayBuffer>> {
  const encoder = new TextEncoder()
  let end = () => {}
  let takeMore = () => {}
  return new ReadableStream<Uint8Array<ArrayBuffer>>({
    start(controller) {
      let waiting: number | undefined = head
      let said: number | undefined
      let isOver = false
      let isReading = false
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
      const hint = async () => {
        if (isReading || waiting === undefined || pause !== undefined || (controller.desiredSize ?? 0) <= 0) return
        const moved = waiting
        waiting = undefined
        let tail: LogTail | undefined
        if (tailOf !== undefined && said !== undefined && moved > said) {
          isReading = true
          // Without it the client asks, and the response says what is wrong.
          tail = await tailOf(said).catch(() => undefined)
          isReading = false
          if (isOver) return
        }
        said = tail?.head ?? moved
        pause = clock.schedule(betweenHints, () => {
          pause = undefined
          void hint()
        })
        const lines = tail && `,"chain":${JSON.stringify(tail.chain)},"lines":[${tail.lines.join(',')}]`
        send(`data: {"head":${said}${lines ?? ''}}\n\n`)
      }
      const unsubscribe = log.subscribe((moved) => {
        waiting = moved
        void hint()
      })
      const abort = () => {
        end()
        controller.close()
      }
      end = () => {
        isOver = true
        unsubscribe()
        pause?.()
        rest()
        signal.removeEventListener('abort', abort)
      }
      takeMore = () => void hint()
      signal.addEventListener('abort', abort, { once: true })
      void hint()
      if (signal.aborted) abort()
    },
    pull: () => takeMore(),
    cancel: () => end(),
  })
}
