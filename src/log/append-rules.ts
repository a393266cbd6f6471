/**
 * What an append must meet: given ids are unique, or those of the same events; the expected versions; the condition.
 * Each backend asks {@link decideAppend} inside the transaction that stores the append, so that no other append can
 * come between the answer and the write.
 */
import { ConditionFailedError, InvalidEventError, VersionConflictError, type ExpectedVersion } from '../errors.js'
import { say } from '../messages.js'
import { isSameJson } from '../events/json.js'
import type { AppendResult } from './event-store.js'
import type { KnownEvents, PreparedAppend } from './prepared-append.js'
import type { EventText, StoredEvent } from './record/record-text.js'

type VersionOf = (stream: string) => number

/** What the log holds when the append is decided, as far as the append depends on it. */
export interface LogState {
  /** The position of the last event. */
  readonly head: number
  /** The stored events that have an id of the append. */
  readonly known: KnownEvents
  /** The version of a stream that the append names; 0 for a new one. */
  readonly versionOf: VersionOf
  /** Whether `data` is stored as it was given: a codec may make another text of the same data each time. */
  readonly isPlain: boolean
  /** The position of the first event that the condition forbids. Called only if the append has a condition. */
  firstMatch(): number | undefined
}

/**
 * Returns what is to be stored, or the result of an append that stores nothing: one that was made before, or one
 * without events.
 *
 * @throws InvalidEventError if an id belongs to another event, or only some of the events are in the log
 * @throws VersionConflictError, ConditionFailedError
 */
export function decideAppend(
  append: PreparedAppend,
  log: LogState,
): { store: PreparedAppend } | { result: AppendResult } {
  const { known, versionOf, head } = log
  const { events, expected, condition, imported } = append
  assertSameEvents(append, log)
  const store = imported?.without(known, versionOf) ?? append
  if (store === append && known.size > 0) return { result: firstResult(append, log) }
  const conflict = findConflict(expected, versionOf)
  if (conflict !== undefined) throw conflict
  const forbidden = condition === undefined ? undefined : log.firstMatch()
  if (forbidden !== undefined) throw new ConditionFailedError(forbidden)
  if (events.length > 0) return { store }
  return {
    result: { position: head, firstPosition: head, versions: versionsOf(expected, versionOf), duplicate: false },
  }
}

/** The first expectation that the given versions do not meet. */
export function findConflict(
  expected: ReadonlyMap<string, ExpectedVersion>,
  versionOf: VersionOf,
): VersionConflictError | undefined {
  for (const [stream, wanted] of expected) {
    const actual = versionOf(stream)
    const met =
      wanted === 'any' ||
      (wanted === 'no-stream' ? actual === 0 : wanted === 'stream-exists' ? actual > 0 : actual === wanted)
    if (!met) return new VersionConflictError({ stream, expected: wanted, actual })
  }
  return undefined
}

/** The version of each stream that an append names. */
export function versionsOf(expected: PreparedAppend['expected'], versionOf: VersionOf): Record<string, number> {
  // No prototype, so that a stream named `__proto__` is a key like any other (H48).
  const versions: Record<string, number> = Object.create(null)
  for (const stream of expected.keys()) versions[stream] = versionOf(stream)
  return versions
}

/**
 * Refuses an append that gives the id of a stored event to another event, which would be lost without an error. Stream
 * and type are compared, and `data` if it is stored as it was given and in the same version of its type. The order of
 * properties does not count, and `meta` is not compared: a second try may carry another trace.
 */
function assertSameEvents(append: PreparedAppend, { known, isPlain }: LogState): void {
  if (known.size === 0) return
  for (const [index, event] of append.events.entries()) {
    const stored = known.get(event.id)
    const differs = stored === undefined ? undefined : difference(event, stored, isPlain)
    if (differs === undefined) continue
    throw new InvalidEventError(
      `${append.pathOf(index)}.id`,
      say`is '${event.id}', and the event at position ${stored?.position} has that id and ${differs}. Give each event an id of its own.`,
    )
  }
}

function difference(event: EventText, stored: StoredEvent, isPlain: boolean): string | undefined {
  if (stored.stream !== event.stream) return say`is in stream '${stored.stream}', not '${event.stream}'`
  if (stored.type !== event.type) return say`is of type '${stored.type}', not '${event.type}'`
  if (!isPlain || (stored.schema ?? 1) !== event.schema || JSON.stringify(stored.data) === event.data) return undefined
  return isSameJson(stored.data, JSON.parse(event.data)) ? undefined : say`holds other data`
}

/**
 * The result that an append had when it was made before.
 * @throws InvalidEventError if the log holds only some of its events
 */
function firstResult(append: PreparedAppend, { known, versionOf }: LogState): AppendResult {
  const { events, expected } = append
  const hits = events.map(({ id }) => known.get(id))
  const index = hits.findIndex((hit) => hit !== undefined)
  if (hits.includes(undefined)) {
    throw new InvalidEventError(
      `${append.pathOf(index)}.id`,
      say`is '${events[index]?.id}', which is in the log already, at position ${hits[index]?.position}, but not all events of this append are. Append the others alone.`,
    )
  }
  let [position, firstPosition] = [0, Infinity]
  const reached = new Map<string, number>()
  for (const hit of hits as StoredEvent[]) {
    position = Math.max(position, hit.position)
    firstPosition = Math.min(firstPosition, hit.position)
    reached.set(hit.stream, Math.max(reached.get(hit.stream) ?? 0, hit.version))
  }
  const versions = versionsOf(expected, (stream) => reached.get(stream) ?? versionOf(stream))
  return { position, firstPosition, versions, duplicate: true }
}
