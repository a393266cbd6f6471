/**
 * Reads pages, and the next page while one is applied and committed: its records, or all of it. Holds two pages at
 * most.
 */
import type { EventShape } from '../events/event.js'
import { RecordsAhead } from '../log/records-ahead.js'
import type { CollectedPage, PageOptions, ReadPage } from '../log/pages.js'
import { optional } from '../platform/promises.js'
import type { Slices } from '../platform/slices.js'
import type { RunContext } from './run-context.js'

/** A page is made longer until it has this many characters of JSON, then by no further page. */
const longPageCharacters = 4 * 1024 * 1024

export class ReadAhead<E extends EventShape> {
  readonly #context: RunContext<E>
  readonly #signal: AbortSignal
  readonly #slices: Slices
  readonly #reading: () => void
  /** What a reader that can keep records reads ahead. Other readers read events ahead. */
  readonly #records: RecordsAhead
  #ahead: { readonly after: number; readonly limit: number; readonly page: Promise<CollectedPage<E>> } | undefined
  /** The last page. */
  page: CollectedPage<E> = { events: [], scannedTo: 0, head: 0 }

  /** `reading` is called before each read. */
  constructor(context: RunContext<E>, signal: AbortSignal, slices: Slices, reading: () => void) {
    this.#context = context
    this.#signal = signal
    this.#slices = slices
    this.#reading = reading
    this.#records = new RecordsAhead(slices)
  }

  async next(after: number, limit: number, most: number): Promise<CollectedPage<E>> {
    const { target } = this.#context
    const records = this.#records
    const ahead = this.#ahead
    this.#ahead = undefined
    let page = await (ahead?.after === after && ahead.limit === limit
      ? ahead.page
      : this.#read(after, limit, { ahead: records }))
    while (
      target.preparesMuch === true &&
      page.events.length < most &&
      (page.characters ?? 0) < longPageCharacters &&
      records.follows(page.scannedTo)
    ) {
      await this.#slices.turn()
      this.#signal.throwIfAborted()
      const more = Math.min(limit, most - page.events.length)
      page = joined(page, await this.#read(page.scannedTo, more, { ahead: records }))
    }
    if (page.scannedTo < page.head && page.events.length > 0 && !records.follows(page.scannedTo)) {
      // Its failure is reported when this page is asked for, which may never happen.
      this.#ahead = { after: page.scannedTo, limit, page: optional(this.#read(page.scannedTo, limit, {})) }
    }
    return (this.page = page)
  }

  forget(): void {
    this.#ahead = undefined
    this.#records.forget()
  }

  #read(after: number, limit: number, keep: Pick<PageOptions, 'ahead'>): Promise<CollectedPage<E>> {
    const { target, ports, settings } = this.#context
    // A batch runs up to the head as it is now, whichever context appended last.
    const own = settings.mode === 'continuous'
    const options: PageOptions = { unreadable: 'collect', own, ...keep }
    this.#reading()
    const reader = ports.reader as { readPage: ReadPage<E> }
    return reader.readPage({ filter: target.filter, after, limit, signal: this.#signal }, options)
  }
}

/** Two pages that follow each other. */
function joined<E extends EventShape>(page: CollectedPage<E>, next: CollectedPage<E>): CollectedPage<E> {
  const unreadable = [...(page.unreadable ?? []), ...(next.unreadable ?? [])]
  return {
    events: [...page.events, ...next.events],
    scannedTo: next.scannedTo,
    head: next.head,
    ...(unreadable.length === 0 ? {} : { unreadable }),
    characters: (page.characters ?? 0) + (next.characters ?? 0),
  }
}
