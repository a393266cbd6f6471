/** Hints that a log has grown, as server-sent events. */
import type { Clock } from '../platform/clock.js'
import type { Listeners } from '../platform/listeners.js'
import type { LogTail, ServerLog } from './server-log.js'

/** The least time between two hints, ms: at most 20 a second. */
const betweenHints = 50

/** A comment is sent when there was no hint for this many ms, so that nothing on the way ends a connection that rests. */
const betweenComments = 25_000

/** A hint waits no longer than this for what goes with it, ms. */
const longestAsk = 1_000

/**
 * Asked before each hint but the first one: what came since a position, to go with it, and nothing where that is long or
 * there is no position. `end` ends the stream, of a client that may not have hints any more.
 */
export type AskBeforeHint = (after: number | undefined, end: () => void) => Promise<LogTail | undefined>

/**
 * A body that says the head immediately, and again when it is another one. Hints that the client does not take are replaced
 * by the next one. Ends with the client, with the signal, and with `streams`.
 */
export function wakeStream(
  log: ServerLog,
  head: number,
  timers: Pick<Clock, 'schedule'>,
  { signal, streams }: { readonly signal: AbortSignal; readonly streams: Listeners<[]> },
  ask: AskBeforeHint,
): ReadableStream<Uint8Array<ArrayBuffer>> {
  let body!: ReadableStreamDefaultController<Uint8Array<ArrayBuffer>>
  let waiting: number | undefined = head
  let said: number | undefined
  let isOver = false
  /** Whether the log has not replied yet, also to a question that a hint no longer waits for: one at a time. */
  let isAsking = false
  /** Ends the pause before the next hint, or the wait for what goes with this one. Until then no hint is sent. */
  let pause: (() => void) | undefined
  let rest = () => {}
  const isTaken = () => (body.desiredSize ?? 0) > 0
  const comment = () => {
    // Nothing is added where nothing is taken.
    if (isTaken()) send(': \n\n')
    else rest = timers.schedule(betweenComments, comment)
  }
  const send = (text: string) => {
    body.enqueue(new TextEncoder().encode(text))
    rest()
    rest = timers.schedule(betweenComments, comment)
  }
  /** Resolves with the reply, or with nothing if that fails or takes longer than `longestAsk`. */
  const asked = <T>(asking: Promise<T>): Promise<T | undefined> =>
    new Promise((resolve) => {
      isAsking = true
      const cancel = (pause = timers.schedule(longestAsk, () => resolve(undefined)))
      const done = () => {
        isAsking = false
        cancel()
      }
      asking.finally(done).then(resolve, () => resolve(undefined))
    })
  const hint = async () => {
    if (waiting === undefined || pause !== undefined || !isTaken()) return
    let moved = waiting
    waiting = undefined
    let tail: LogTail | undefined
    if (said !== undefined && !isAsking) {
      // What several processes say of one log may come late: only the log itself knows whether it became shorter.
      const now = moved < said ? await asked(log.info()) : undefined
      if (now && now.head >= said) moved = now.head
      // Without it the client asks, and the response says what is wrong.
      if (moved !== said && !isOver) tail = await asked(ask(moved > said ? said : undefined, abort))
    }
    if (isOver) return
    // N133: a store may say one move several times. What came meanwhile is next.
    if (moved === said) {
      pause = undefined
      return await hint()
    }
    said = tail?.head ?? moved
    pause = timers.schedule(betweenHints, () => {
      pause = undefined
      void hint()
    })
    const lines = tail && `,"chain":${JSON.stringify(tail.chain)},"lines":[${tail.lines.join(',')}]`
    send(`data: {"head":${said}${lines ?? ''}}\n\n`)
  }
  const abort = () => {
    if (isOver) return
    end()
    body.close()
  }
  const end = () => {
    isOver = true
    unsubscribe()
    forget()
    pause?.()
    rest()
    signal.removeEventListener('abort', abort)
  }
  const stream = new ReadableStream<Uint8Array<ArrayBuffer>>({
    start(controller) {
      body = controller
    },
    // Not waited for: it is asked again when there is something to say.
    pull: () => void hint(),
    cancel: end,
  })
  const forget = streams.add(abort)
  const unsubscribe = log.subscribe((moved) => {
    waiting = moved
    void hint()
  })
  signal.addEventListener('abort', abort)
  void hint()
  if (signal.aborted) abort()
  return stream
}
