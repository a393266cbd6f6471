/** What both backends share in reading: pages, failures of single events, and iteration over pages. */
import { EventUnreadableError, messageOf } from '../errors.js'
import { say } from '../messages.js'
import type { CatalogueCore } from '../events/catalogue-core.js'
import type { EventShape, RecordedEvent } from '../events/event.js'
import { abortable, isThenable } from '../platform/promises.js'
import type { EventPage, PageRequest, ReadAllOptions, ReadOptions } from './event-store.js'
import { decodedBy, isEncoded, type Codec } from './encode.js'
import { compileFilter } from './filter.js'
import type { StoredEvent } from './record/record-text.js'
import { restoreEvent, unreadableError, type RecordProblem } from './record/record.js'
import { RecordsAhead } from './records-ahead.js'

/**
 * How this package's own callers read a page. The second argument of `readPage`, which its public type does not have.
 */
export interface PageOptions {
  /**
   * `'throw'` ends the page before the first unreadable event, and throws if there is none before it. `'collect'`
   * leaves the stored event in its place and lists the error in `unreadable`. @default 'throw'
   */
  readonly unreadable?: 'throw' | 'collect'
  /**
   * The page may come from what this instance appended last, without asking the storage. Its `head` then leaves out
   * what others appended in this moment: for callers that read the next page in any case. @default false
   */
  readonly own?: boolean
  /**
   * For a caller that reads page after page, and keeps this between them. A page then ends after half a slice of time,
   * with fewer events than `limit`, and its `head` is as it was when its records were read, unless the page reaches it.
   */
  readonly ahead?: RecordsAhead
  /** The page ends before this position. */
  readonly before?: number
}

/** A page that may hold unreadable events. */
export interface CollectedPage<E extends EventShape = EventShape> extends EventPage<E> {
  readonly unreadable?: readonly EventUnreadableError[]
  /** About how many characters of JSON were read for it, if that is known. */
  readonly characters?: number
}

/** Events that come in pages. */
export type EventPages<E extends EventShape> = AsyncGenerator<readonly RecordedEvent<E>[], void, undefined>

/** `readPage` of a store or any reader, as this package calls it. A reader of the app ignores the second argument. */
export type ReadPage<E extends EventShape = EventShape> = (
  request: PageRequest<E>,
  options?: PageOptions,
) => Promise<CollectedPage<E>>

/** Stored events, and why some of them cannot be read, by position. */
export interface FoundEvents {
  readonly found: readonly StoredEvent[]
  readonly broken: ReadonlyMap<number, RecordProblem>
}

/** What it takes to decode events. */
export interface Decoding {
  readonly catalogue: CatalogueCore
  readonly codec: Codec | undefined
}

/** Decodes what a scan found. */
export async function finishPage<E extends EventShape>(
  { found, broken }: FoundEvents,
  scannedTo: number,
  head: number,
  decoding: Decoding,
  options: PageOptions & ReadOptions,
): Promise<CollectedPage<E>> {
  const { catalogue, codec } = decoding
  if (
    codec === undefined &&
    catalogue.identity &&
    broken.size === 0 &&
    !found.some((event) => event.schema !== undefined || isEncoded(event.data))
  ) {
    return { events: found as unknown as RecordedEvent<E>[], scannedTo, head }
  }
  const events: RecordedEvent<E>[] = []
  const unreadable: EventUnreadableError[] = []
  for (const stored of found) {
    const { position } = stored
    try {
      const problem = broken.get(position)
      if (problem !== undefined) throw unreadableError(position, problem)
      let plain = stored
      if (codec !== undefined || isEncoded(stored.data)) {
        const data = decodedBy(codec, stored.data, stored, position)
        plain = { ...stored, data: isThenable(data) ? await abortable(data, options.signal) : data }
        // No data encodes to this; most often it is a forgotten return.
        if (plain.data === undefined) throw new EventUnreadableError(position, say`decoding it returned undefined.`)
      }
      events.push(restoreEvent(plain, catalogue) as RecordedEvent<E>)
    } catch (cause) {
      options.signal?.throwIfAborted()
      const error =
        cause instanceof EventUnreadableError
          ? cause
          : new EventUnreadableError(position, say`decoding it failed (${messageOf(cause)})`, cause)
      if (options.unreadable === 'collect') {
        events.push(stored as unknown as RecordedEvent<E>)
        unreadable.push(error)
      } else if (events.length === 0) throw error
      else return { events, scannedTo: position - 1, head }
    }
  }
  return unreadable.length === 0 ? { events, scannedTo, head } : { events, scannedTo, head, unreadable }
}

/**
 * How many events the first page of {@link readPages} holds at most, and a later one. A caller that stops early has not
 * paid for much.
 */
export const iterated = [1024, 4096] as const

/** The pages up to the head. */
export async function* readPages<E extends EventShape>(
  readPage: ReadPage<E>,
  { after = 0, before = Infinity, limit = Infinity, filter = {}, signal }: ReadAllOptions<E> = {},
): EventPages<E> {
  const ahead = new RecordsAhead()
  compileFilter(filter)
  for (let most: number = iterated[0]; limit > 0 && after < before - 1; most = iterated[1]) {
    await ahead.slices.turn()
    const page = await readPage(
      { filter, after, limit: Math.min(most, limit, before - 1 - after), signal },
      { ahead, before },
    )
    yield page.events
    if (page.scannedTo >= page.head) return
    limit -= page.events.length
    after = page.scannedTo
  }
}

/** Decodes events in the order in which they were found. Those before one that cannot be read come first. */
export async function* finishStream<E extends EventShape>(
  { found, broken }: FoundEvents,
  decoding: Decoding,
  signal: AbortSignal | undefined,
): EventPages<E> {
  for (let rest = found; rest.length > 0;) {
    const last = (rest.at(-1) as StoredEvent).position
    const { events } = await finishPage<E>({ found: rest, broken }, last, last, decoding, { signal })
    signal?.throwIfAborted()
    yield events
    rest = rest.slice(events.length)
  }
}
