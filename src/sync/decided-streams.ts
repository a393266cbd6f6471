/**
 * Streams as commits are decided on them again, one after the other. The list of commits only grows from one decision to the
 * next, so what was read for one is there for all that follow, and only the commits that were added are looked at.
 */
import type { EventShape, RecordedEvent } from '../events/event.js'
import { canBeCopied, freshCopy } from '../events/fresh-copy.js'
import { finishStream, type Decoding, type EventPages } from '../log/pages.js'
import type { StoredEvent } from '../log/record/record-text.js'
import { Slices } from '../platform/slices.js'
import { isShown } from './overlay/in-rows.js'
import { storedOf } from './stored-of.js'
import type { OutboxRow, SyncSnapshot } from './sync-state.js'

/** The most events that are kept for a list. Streams beyond that are read for each decision. */
const mostKept = 50_000
/** How many events are copied together. */
const together = 256

interface Seen {
  readonly events: readonly RecordedEvent[]
  /** Up to which commit of the list, and how many events of the outbox that is. */
  readonly rows: number
  readonly places: number
}

interface List {
  readonly streams: Map<string, Seen>
  kept: number
}

/** A copy of what a command may change. `freshCopy` of the whole event takes several times as long. */
const copied = (event: RecordedEvent): RecordedEvent => ({
  ...event,
  data: freshCopy(event.data),
  ...(event.meta !== undefined && { meta: freshCopy(event.meta) }),
})

/**
 * Reads a stream with the pending events of a list of commits. Each reader gets events of its own, which a command may
 * change.
 *
 * @param confirmed reads what is confirmed of a stream, up to the cursor
 */
export function decidedStreams(
  confirmed: (stream: string, at: SyncSnapshot) => EventPages<EventShape>,
  decoding: Decoding,
): (stream: string, at: SyncSnapshot) => EventPages<EventShape> {
  // Forgotten together with the list.
  const lists = new WeakMap<readonly OutboxRow[], List>()
  const slices = new Slices()
  /** Events are as they are stored. Upcasters and a codec may make anything. */
  const isJson = decoding.codec === undefined && decoding.catalogue.identity
  return async function* (stream, { state, outbox }) {
    const list = lists.get(outbox) ?? { streams: new Map<string, Seen>(), kept: 0 }
    lists.set(outbox, list)
    const seen = list.streams.get(stream)
    const all: RecordedEvent[] = []
    let places = seen?.places ?? 0
    let version = 0
    const pending = async function* (): EventPages<EventShape> {
      const found: StoredEvent[] = []
      for (const row of outbox.slice(seen?.rows))
        for (const event of isShown(row) ? row.events : []) {
          places += 1
          if (event.stream === stream) found.push(storedOf(event, version + found.length + 1, state.cursor.at + places))
        }
      for await (const events of finishStream({ found, broken: new Map() }, decoding, undefined))
        yield events.map((event) => ({ ...event, pending: true }))
    }
    const parts = [seen === undefined ? confirmed(stream, { state, outbox: [] }) : [seen.events], pending()]
    for (const part of parts)
      for await (const page of part) {
        version = page.at(-1)?.version ?? version
        const isKept =
          list.kept + all.length + page.length - (seen?.events.length ?? 0) <= mostKept &&
          (isJson || page.every(({ data, meta }) => canBeCopied([data, meta])))
        for (const event of isKept ? page : []) all.push(event)
        for (let from = 0; from < page.length; from += together) {
          await slices.turn()
          yield page.slice(from, from + together).map(copied)
        }
      }
    // If something was too much to keep, could not be read, or would be shared by commands, a version is missing in it.
    if (all.length !== version) return
    list.streams.set(stream, { events: all, rows: outbox.length, places })
    list.kept += all.length - (seen?.events.length ?? 0)
  }
}
