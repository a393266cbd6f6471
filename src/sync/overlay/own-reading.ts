/** Own events as handlers get them: of the log, and of the outbox. */
import type { RecordedEvent } from '../../events/event.js'
import type { EventFilter } from '../../log/event-store.js'
import { finishPage, type Decoding, type ReadPage } from '../../log/pages.js'
import type { EventText } from '../../log/record/record-text.js'
import { storedOf } from '../stored-of.js'
import type { OwnApplied } from './laying.js'

/** What own events are read with. */
export interface OwnReadingParts {
  readonly decoding: Decoding
  /** Of the log. */
  readonly readPage: ReadPage
  /** Of a stream in the log. */
  readonly streamVersion: (stream: string) => Promise<number>
}

/** A pending event and its place: where it is shown until it is confirmed. */
export interface PendingPlace {
  readonly text: EventText
  readonly commit: string
  readonly position: number
  /** How many pending events of its stream come before it, and this one. */
  readonly nth: number
}

/** Own events that are no more than this far apart in the log are read together with what is between them. */
const gap = 64
/** How many events are decoded together, or versions of streams read. */
const together = 512

/** Events of the log at these positions that a filter lets through, by position. @param positions in ascending order */
export async function confirmedEvents(
  { readPage }: OwnReadingParts,
  positions: readonly number[],
  filter: EventFilter,
): Promise<ReadonlyMap<number, OwnApplied>> {
  const wanted = new Set(positions)
  const found = new Map<number, OwnApplied>()
  for (let at = 0; at < positions.length;) {
    const from = positions[at] as number
    let to = from
    for (at += 1; at < positions.length && (positions[at] as number) - to <= gap; at += 1) to = positions[at] as number
    for (let after = from - 1; after < to;) {
      const page = await readPage(
        { filter, after, limit: Math.min(to - after, 4096) },
        { unreadable: 'collect', before: to + 1 },
      )
      const broken = new Map(page.unreadable?.map((error) => [error.position, error]))
      for (const event of page.events) {
        const error = broken.get(event.position)
        if (wanted.has(event.position))
          found.set(event.position, { event, commit: undefined, ...(error !== undefined && { error }) })
      }
      // It was taken back meanwhile.
      if (page.scannedTo <= after) break
      after = page.scannedTo
    }
  }
  return found
}

/** Versions of streams, read only once a handler has asked for one: most look at none. */
export class Versions {
  readonly #versionOf: (stream: string) => Promise<number>
  readonly #known = new Map<string, number>()
  readonly #asked = new Set<string>()
  #cursor = -1

  constructor(versionOf: (stream: string) => Promise<number>) {
    this.#versionOf = versionOf
  }

  /** The version of a stream in the log, as far as that is known. */
  of(stream: string): number {
    const known = this.#known.get(stream)
    if (known !== undefined) return known
    this.#asked.add(stream)
    return 0
  }

  /** A version was asked for that is not known. */
  get isLacking(): boolean {
    for (const stream of this.#asked) if (!this.#known.has(stream)) return true
    return false
  }

  /** The log ends here now: reads what was asked for again. */
  async at(cursor: number): Promise<void> {
    if (cursor !== this.#cursor) this.#known.clear()
    this.#cursor = cursor
    const missing = [...this.#asked].filter((stream) => !this.#known.has(stream))
    for (let from = 0; from < missing.length; from += together)
      await Promise.all(
        missing
          .slice(from, from + together)
          .map(async (stream) => this.#known.set(stream, await this.#versionOf(stream))),
      )
  }
}

/** Pending events, decoded again each time: a handler may change the objects that it is given. */
export async function pendingEvents(
  { decoding }: OwnReadingParts,
  places: readonly PendingPlace[],
  versions: Versions,
): Promise<OwnApplied[]> {
  const events: OwnApplied[] = []
  const { catalogue, codec } = decoding
  for (let from = 0; from < places.length; from += together) {
    const part = places.slice(from, from + together)
    if (codec === undefined && catalogue.identity && part.every(({ text }) => text.schema === 1)) {
      for (const place of part) events.push({ event: plainOf(place, versions), commit: place.commit })
      continue
    }
    const found = part.map(({ text, position, nth }) => storedOf(text, nth, position))
    const page = await finishPage({ found, broken: new Map() }, 0, 0, decoding, { unreadable: 'collect' })
    const broken = new Map(page.unreadable?.map((error) => [error.position, error]))
    for (const [at, decoded] of page.events.entries()) {
      const { text, commit, nth } = part[at] as PendingPlace
      const error = broken.get(decoded.position)
      const event = Object.defineProperty({ ...decoded, pending: true } as RecordedEvent, 'version', {
        get: () => versions.of(text.stream) + nth,
        enumerable: true,
        configurable: true,
      })
      events.push({ event, commit, ...(error !== undefined && { error }) })
    }
  }
  return events
}

/** An event that needs no decoding: the usual case. */
function plainOf({ text, position, nth }: PendingPlace, versions: Versions): RecordedEvent {
  const { type, stream, id, time, data, meta } = text
  return {
    type,
    data: JSON.parse(data) as unknown,
    ...(meta !== undefined && { meta: JSON.parse(meta) as unknown }),
    stream,
    get version() {
      return versions.of(stream) + nth
    },
    position,
    id,
    time,
    pending: true,
  }
}
