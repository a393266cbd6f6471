/** Own events as handlers get them: of the log, and of the outbox. */
import type { RecordedEvent } from '../../events/event.js'
import type { EventFilter } from '../../log/event-store.js'
import { encodedBegins } from '../../log/encode.js'
import { finishPage, type Decoding, type ReadPage } from '../../log/pages.js'
import type { EventText } from '../../log/record/record-text.js'
import type { OutboxCopy } from '../outbox-copy.js'
import { storedOf } from '../stored-of.js'
import type { OwnApplied } from './overlay-work.js'

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
}

/** What versions of pending events are counted from. */
export interface VersionsAt {
  readonly copy: OutboxCopy
  readonly pending: readonly PendingPlace[]
  nth(): ReadonlyMap<string, number>
}

/** Own events that are no more than this far apart in the log are read together with what is between them. */
const gap = 64
/** How many events are decoded together, or versions of streams read. */
const together = 1024

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

/** Of an event what its version and its position are found by. */
type Named = Pick<RecordedEvent, 'id' | 'stream'>

/** Properties of an event that are looked up when they are asked for. */
interface Provisional {
  readonly version: PropertyDescriptor
  readonly position: PropertyDescriptor
}

interface KnownVersions {
  readonly identity: string | undefined
  readonly cursor: number
  readonly versions: ReadonlyMap<string, number>
}

/**
 * The versions and positions of pending events, which are provisional. Versions are read only once a handler has asked for
 * one, since most look at none.
 */
export class Versions {
  readonly #parts: OwnReadingParts
  #at: VersionsAt | undefined
  /** Of streams with pending events: their versions in the log, where it ends at a cursor. */
  #known: KnownVersions = { identity: undefined, cursor: 0, versions: new Map() }
  #nth: ReadonlyMap<string, number> | undefined
  #positions: ReadonlyMap<string, number> | undefined
  /** What handlers saw since {@link forget}, by the event and by what they asked for. */
  #told: Map<string, () => boolean> | undefined
  #isAsked = false
  /** Those of all that is pending now are known. */
  #isRead = false
  /** A version was asked for that is not known. */
  isLacking = false
  /** The same for all events, so that they are of one shape. */
  readonly getters: Provisional

  constructor(parts: OwnReadingParts) {
    this.#parts = parts
    this.getters = {
      version: this.#getter('v', (event) => this.#of(event)),
      position: this.#getter('p', (event) => this.#positionOf(event)),
    }
  }

  #getter(name: string, of: (event: Named) => number): PropertyDescriptor {
    const told = (event: Named): number => {
      const value = of(event)
      const { id, stream } = event
      this.#told?.set(name + id, () => of({ id, stream }) === value)
      return value
    }
    return {
      get(this: Named) {
        return told(this)
      },
      enumerable: true,
      configurable: true,
    }
  }

  /** From now on it is remembered what handlers see. */
  forget(): void {
    this.#told = new Map()
  }

  /** Whether they would see the same now. */
  get areStill(): boolean {
    return [...(this.#told?.values() ?? [])].every((isStill) => isStill())
  }

  #positionOf({ id }: Named): number {
    this.#positions ??= new Map(this.#at?.pending.map(({ text, position }) => [text.id, position]))
    return this.#positions.get(id) ?? 0
  }

  #of({ stream, id }: Named): number {
    const confirmed = this.#known.versions.get(stream)
    this.#isAsked = true
    // A handler may have kept an event of a stream that has none now.
    this.isLacking ||= confirmed === undefined && !this.#isRead
    this.#nth ??= this.#at?.nth()
    return (confirmed ?? 0) + (this.#nth?.get(id) ?? 0)
  }

  /** These are pending now: reads what was asked for again, of no more streams than have pending events. */
  async at(now: VersionsAt): Promise<void> {
    this.#at = now
    this.#nth = this.#positions = undefined
    this.isLacking = this.#isRead = false
    if (!this.#isAsked) return
    const { identity, cursor } = now.copy.state
    const before = this.#known.identity === identity ? await this.#readOn(this.#known, cursor.at) : undefined
    const streams = [...new Set(now.pending.map(({ text }) => text.stream))]
    const versions = new Map<string, number>()
    for (let from = 0; from < streams.length; from += together)
      await Promise.all(
        streams
          .slice(from, from + together)
          .map(async (stream) =>
            versions.set(stream, before?.get(stream) ?? (await this.#parts.streamVersion(stream))),
          ),
      )
    // Not if another look has begun meanwhile, nor if this one failed.
    if (this.#at !== now) return
    this.#known = { identity, cursor: cursor.at, versions }
    this.#isRead = true
  }

  /** What is known, with the events that came since. Nothing is returned if there are many. */
  async #readOn(
    { cursor: after, versions }: KnownVersions,
    cursor: number,
  ): Promise<KnownVersions['versions'] | undefined> {
    if (after === cursor) return versions
    if (cursor - after > together) return undefined
    const page = await this.#parts.readPage({ after, limit: together }, { unreadable: 'collect', before: cursor + 1 })
    const grown = new Map(versions)
    for (const { stream, version } of page.events) if (grown.has(stream)) grown.set(stream, version)
    return page.scannedTo >= cursor ? grown : undefined
  }
}

/** Pending events, page by page, decoded again each time: a handler may change the objects that it is given. */
export async function* pendingEvents(
  { decoding }: OwnReadingParts,
  places: readonly PendingPlace[],
  { getters }: Versions,
): AsyncGenerator<readonly OwnApplied[], void, undefined> {
  const { catalogue, codec } = decoding
  for (let from = 0; from < places.length; from += together) {
    const part = places.slice(from, from + together)
    const isPlain = ({ text: { schema, data } }: PendingPlace) => schema === 1 && !data.startsWith(encodedBegins)
    if (codec === undefined && catalogue.identity && part.every(isPlain)) {
      yield part.map((place) => ({ event: own(plainOf(place), getters), commit: place.commit }))
      continue
    }
    const found = part.map(({ text, position }) => storedOf(text, 0, position))
    const page = await finishPage({ found, broken: new Map() }, 0, 0, decoding, { unreadable: 'collect' })
    const broken = new Map(page.unreadable?.map((error) => [error.position, error]))
    yield page.events.map((decoded, at) => {
      const error = broken.get(decoded.position)
      const event = own({ ...decoded, pending: true }, getters)
      return { event, commit: (part[at] as PendingPlace).commit, ...(error !== undefined && { error }) }
    })
  }
}

/** One after the other, which is twice as fast as both in one call. */
const own = (event: object, { version, position }: Provisional): RecordedEvent =>
  Object.defineProperty(Object.defineProperty(event, 'version', version), 'position', position) as RecordedEvent

/** An event that needs no decoding: the usual case. */
function plainOf({ text }: PendingPlace): object {
  const { type, stream, id, time, data, meta } = text
  return {
    type,
    data: JSON.parse(data) as unknown,
    ...(meta !== undefined && { meta: JSON.parse(meta) as unknown }),
    stream,
    id,
    time,
    pending: true,
  }
}
