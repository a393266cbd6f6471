/** Following the log: what is there, and then what is appended, by whichever context. */
import { hasCode } from '../errors.js'
import type { EventShape, RecordedEvent } from '../events/event.js'
import { pauseBefore } from '../platform/backoff.js'
import { sleep, type Clock } from '../platform/clock.js'
import type { FollowOptions } from './event-store.js'
import type { HeadWatch } from './head-watch.js'
import { EventIterator, left } from './iterate.js'
import { iterated, type CollectedPage, type EventPages, type ReadPage } from './pages.js'
import { RecordsAhead } from './records-ahead.js'

/** What following needs of a store. */
export interface FollowPorts {
  readonly clock: Clock
  readonly watch: Pick<HeadWatch, 'follow'>
  /** Aborts when the store is closed. */
  readonly closing: AbortSignal
}

/** Before a page that failed is read again, ms; twice as long after each failure. */
const pauses = { delay: 1_000, maxDelay: 30_000 }

/** The loop may be left also while it waits. */
class Following<E extends EventShape> extends EventIterator<RecordedEvent<E>> {
  readonly #end: AbortController

  constructor(pages: EventPages<E>, end: AbortController) {
    super(pages, end.signal)
    this.#end = end
  }

  override return(): Promise<IteratorResult<RecordedEvent<E>, undefined>> {
    this.#end.abort(left)
    return super.return()
  }
}

/** Nothing is read, and nothing listened to, before the first step. */
export function follow<E extends EventShape>(
  readPage: ReadPage<E>,
  options: FollowOptions<E>,
  ports: FollowPorts,
): AsyncIterableIterator<RecordedEvent<E>, undefined> {
  const end = new AbortController()
  return new Following<E>(pages(readPage, options, ports, end), end)
}

async function* pages<E extends EventShape>(
  readPage: ReadPage<E>,
  { after = 0, filter = {}, signal: outer }: FollowOptions<E>,
  { clock, watch, closing }: FollowPorts,
  end: AbortController,
): EventPages<E> {
  const { signal } = end
  let wake = () => {}
  /** Something may have been appended since the last page was asked for. */
  let grown = false
  const unlink = [outer, closing].map((each) => linked(each, end))
  const unfollow = watch.follow((head) => {
    if (head !== undefined && head <= after) return
    grown = true
    wake()
  })
  signal.addEventListener('abort', () => wake(), { once: true })
  const ahead = new RecordsAhead()
  try {
    for (let [limit, failures]: [number, number] = [iterated[0], 0]; signal.reason !== left;) {
      grown = false
      let page: CollectedPage<E>
      try {
        await ahead.slices.turn()
        page = await readPage({ filter, after, limit, signal }, { ahead })
      } catch (error) {
        if (signal.reason === left) return
        // What is lost, closed or unreadable stays so.
        if (signal.aborted || !hasCode(error, 'storage-failed', 'storage-busy', 'storage-full')) throw error
        ahead.forget()
        await sleep(clock, pauseBefore(failures, pauses), signal)
        failures += 1
        continue
      }
      failures = 0
      limit = iterated[1]
      after = page.scannedTo
      if (page.events.length > 0) yield page.events
      if (after >= page.head && !grown && !signal.aborted) await new Promise<void>((resolve) => (wake = resolve))
    }
  } finally {
    unfollow()
    for (const each of unlink) each()
  }
}

/** Aborts with another signal. Returns how to stop that. */
function linked(signal: AbortSignal | undefined, controller: AbortController): () => void {
  const abort = () => controller.abort(signal?.reason)
  signal?.addEventListener('abort', abort, { once: true })
  if (signal?.aborted === true) abort()
  return () => signal?.removeEventListener('abort', abort)
}
