/** Appends that were made before: the same event ids are the same events, stored once (H17). */
import { InvalidEventError } from '../errors.js'
import type { AppendResult } from './event-store.js'
import type { PreparedAppend } from './prepare.js'
import type { EventText, StoredEvent } from './record/record-text.js'

/** Events of the log by their ids, as they are stored. */
export type KnownEvents = ReadonlyMap<string, StoredEvent>

const pathOf = ({ pathOf, events }: PreparedAppend, index: number): string =>
  pathOf === undefined ? `The event with id '${events[index]?.id}'` : `${pathOf(index)}.id`

/**
 * Refuses an append that gives the id of a stored event to another one, which would be dropped without a word. Stream and type are
 * compared, and `data` where it is stored as it was given and in the same version of its type. The order of properties does not count, and
 * `meta` is not compared: a second try may carry another trace.
 *
 * @param isPlain no codec made what is stored of `data`: encrypted twice, the same data is another text each time
 * @throws InvalidEventError that names the position of the stored event, and what differs
 */
export function assertSameEvents(prepared: PreparedAppend, known: KnownEvents, isPlain: boolean): void {
  if (known.size === 0) return
  for (const [index, event] of prepared.events.entries()) {
    const stored = known.get(event.id)
    const differs = stored === undefined ? undefined : difference(event, stored, isPlain)
    if (differs === undefined) continue
    throw new InvalidEventError(
      pathOf(prepared, index),
      `is '${event.id}', and the event at position ${stored?.position} has that id and ${differs}. Give each event an id of its own.`,
    )
  }
}

function difference(event: EventText, stored: StoredEvent, isPlain: boolean): string | undefined {
  if (stored.stream !== event.stream) return `is in stream '${stored.stream}', not '${event.stream}'`
  if (stored.type !== event.type) return `is of type '${stored.type}', not '${event.type}'`
  if (!isPlain || (stored.schema ?? 1) !== event.schema || JSON.stringify(stored.data) === event.data) return undefined
  return isSame(stored.data, JSON.parse(event.data)) ? undefined : 'holds other data'
}

/** Compares JSON values. */
function isSame(left: unknown, right: unknown): boolean {
  if (typeof left !== 'object' || typeof right !== 'object' || left === null || right === null) return left === right
  const keys = Object.keys(left)
  return (
    Array.isArray(left) === Array.isArray(right) &&
    keys.length === Object.keys(right).length &&
    keys.every(
      (key) => Object.hasOwn(right, key) && isSame(left[key as keyof typeof left], right[key as keyof typeof right]),
    )
  )
}

/**
 * What a repeated append returns: the first result if all of its ids are there, nothing if no id is.
 *
 * @throws InvalidEventError if only some are: that is no second try, and storing the rest would tear the batch apart
 */
export function duplicateResult(
  prepared: PreparedAppend,
  known: KnownEvents,
  versionOf: (stream: string) => number,
): AppendResult | undefined {
  if (known.size === 0) return undefined
  let [found, last, first] = [0, 0, Infinity]
  let missing = -1
  const reached = new Map<string, number>()
  for (const [index, { id, stream }] of prepared.events.entries()) {
    const hit = known.get(id)
    if (hit === undefined) {
      missing = index
      continue
    }
    found += 1
    last = Math.max(last, hit.position)
    first = Math.min(first, hit.position)
    reached.set(stream, Math.max(reached.get(stream) ?? 0, hit.version))
  }
  if (found === 0) return undefined
  if (missing >= 0) {
    const index = prepared.events.findIndex(({ id }) => known.has(id))
    const id = prepared.events[index]?.id as string
    throw new InvalidEventError(
      pathOf(prepared, index),
      `is '${id}', which is in the log already, at position ${known.get(id)?.position}, but not all events of this append are. Append the others alone.`,
    )
  }
  const versions: Record<string, number> = Object.create(null)
  for (const stream of prepared.expected.keys()) versions[stream] = reached.get(stream) ?? versionOf(stream)
  return { position: last, firstPosition: first, versions, duplicate: true }
}
