/** The stored form of commits: the layout of decision 0001. Their events as text or columns are in `record-text.ts`. */
import { isObject } from '../../platform/objects.js'
import {
  EventUnreadableError,
  LogInconsistentError,
  describe,
  type TidemarkError,
  type WriteOutcome,
} from '../../errors.js'
import { say } from '../../messages.js'
import type { CatalogueCore } from '../../events/catalogue-core.js'
import type { RecordedEvent } from '../../events/event.js'
import { isUuidV7 } from '../../events/identifier.js'
import type { EncodableAppend } from '../prepared-append.js'
import type { CommitOrigin } from './commit-origin.js'
import {
  columnsFormat,
  eventsOf,
  eventsText,
  rowsFormat,
  weightOf,
  type EventText,
  type StoredEvent,
} from './record-text.js'

/** Some events of one commit, or of several after compaction. */
export interface CommitRecord {
  /** Position of the first event: the key. */
  readonly at: number
  /** How many events. */
  readonly n: number
  /** `[stream, last version in this record]` of every stream in it; index `heads`. */
  readonly heads: readonly (readonly [string, number])[]
  /** First position of each commit that begins in this record; unique index, the whole concurrency check. */
  readonly commits: readonly number[]
  /** Where to look for event ids, see {@link idKey}; index `ids`. */
  readonly ids: readonly string[]
  /** The events as JSON; see `record-text.ts`. */
  readonly events: string
  /**
   * How the events are stored: missing means that they follow each other. Every other way is named, so that older
   * builds do not misread it.
   */
  readonly format?: number
  /** Only of the log of a server: who appended its commit, and when. */
  readonly origin?: CommitOrigin
  /** Never stored: why the browser does not give this record back, which then holds nothing. */
  readonly lost?: string
}

/** The position of a record's last event; 0 without a record. */
export const endOf = (record: CommitRecord | undefined): number => (record === undefined ? 0 : record.at + record.n - 1)

/** How much text a record holds: none where something else was put there by hand. */
export const sizeOf = ({ events }: CommitRecord): number => (typeof events === 'string' ? events.length : 0)

/** A record holds at most this many events … */
const maxRecordEvents = 512
/** … and those of format 1 were cut at fewer. */
const maxRowEvents = 256
/** … and about this many characters of `data` and `meta`. */
const maxRecordCharacters = 256 * 1024

/**
 * Whether a commit may continue in a second record: records are cut only where the next event does not fit any more.
 */
export function mayBeCut(before: Pick<CommitRecord, 'n' | 'events' | 'format'>, next: string): boolean {
  return (
    before.n >= (before.format === columnsFormat ? maxRecordEvents : maxRowEvents) ||
    before.events.length + next.length > maxRecordCharacters
  )
}

/** Sorts after the keys of all UUIDv7. */
export const otherIds = '~'

/**
 * The index key of an event id: for a UUIDv7 its millisecond, which a burst of events shares, so that bulk appends pay
 * for few entries; for any other id the id itself.
 */
export function idKey(id: string): string {
  return isUuidV7(id) ? id.slice(0, 13) : otherIds + id
}

/**
 * Makes the records of an append that begins at a position, one by one: the storage has something to do meanwhile.
 * `versionOf` is asked for the versions before it. Returns those after it.
 */
export function* encodeRecords(
  prepared: EncodableAppend,
  at: number,
  versionOf: (stream: string) => number,
): Generator<CommitRecord, ReadonlyMap<string, number>, undefined> {
  const versions = new Map<string, number>()
  for (const stream of prepared.expected.keys()) versions.set(stream, versionOf(stream))
  let first = at
  let events: EventText[] = []
  let weight = 0
  let eventVersions: number[] = []
  let heads = new Map<string, number>()
  let commits: number[] = []
  let ids = new Set<string>()
  /** What ids begin with that have the key added last. */
  let lastKey = otherIds
  const flush = (): CommitRecord => {
    const record = {
      at: first,
      n: events.length,
      heads: [...heads],
      commits,
      ids: [...ids],
      ...eventsText(events, eventVersions),
    }
    first += events.length
    events = []
    weight = 0
    eventVersions = []
    heads = new Map()
    commits = []
    ids = new Set()
    lastKey = otherIds
    return record
  }
  for (const [index, event] of prepared.events.entries()) {
    const version = (versions.get(event.stream) ?? 0) + 1
    versions.set(event.stream, version)
    if (events.length > 0 && (events.length >= maxRecordEvents || weight + weightOf(event) > maxRecordCharacters))
      yield flush()
    if (index === 0 || prepared.imported?.starts.has(index) === true) commits.push(first + events.length)
    events.push(event)
    eventVersions.push(version)
    weight += weightOf(event)
    heads.set(event.stream, version)
    // Those that this append made are UUIDs of one millisecond, mostly.
    if (event.idGiven || !event.id.startsWith(lastKey)) ids.add((lastKey = idKey(event.id)))
  }
  if (events.length > 0) yield flush()
  return versions
}

/** Whether this build can read it. */
export const isKnownFormat = (format: unknown): boolean =>
  format === undefined || format === rowsFormat || format === columnsFormat

/** Why the events of a record cannot be read. */
export interface RecordProblem {
  readonly text: string
  /** A newer build wrote them, and reads them. */
  readonly newer: boolean
}

/** The error of an event of such a record. */
export const unreadableError = (position: number, { text, newer }: RecordProblem): EventUnreadableError =>
  new EventUnreadableError(position, text, undefined, newer)

/** The error of what needs a whole record: the log contradicts itself, unless a newer build can read it. */
export const recordError = (position: number, problem: RecordProblem, outcome?: WriteOutcome): TidemarkError =>
  problem.newer ? unreadableError(position, problem) : new LogInconsistentError(position, problem.text, outcome)

/** The events of a record, with their positions. For a record that cannot be read: placeholders, and the reason. */
export function decodeRecord(record: CommitRecord): { events: StoredEvent[]; problem?: RecordProblem } {
  let text = say`its record does not hold what it should`
  const newer = record.lost === undefined && !isKnownFormat(record.format)
  if (record.lost !== undefined) text = record.lost
  else if (newer) {
    text = say`a newer version of this app stored it, in format ${describe(record.format)}. Reload the page to get that version`
  } else {
    try {
      const events = eventsOf(record.events, record.at, record.format)
      if (events?.length === record.n && events.every(isObject)) return { events }
    } catch (error) {
      text = say`its record is no JSON (${(error as Error).message})`
    }
  }
  const count = Number.isSafeInteger(record.n) && record.n > 0 && record.n <= mostEvents ? record.n : 1
  const events = Array.from({ length: count }, (_, index) => ({
    type: '',
    data: null,
    stream: '',
    version: 0,
    position: record.at + index,
    id: '',
    time: 0,
  }))
  return { events, problem: { text, newer } }
}

/** Whether one of the records holds an event of this id in a stream. */
export const anyHolds = (records: readonly CommitRecord[], id: string, stream: string): boolean =>
  records.some((record) => decodeRecord(record).events.some((event) => event.id === id && event.stream === stream))

/** A stored event as readers see it: with the data of today's schema. */
export function restoreEvent(event: StoredEvent, catalogue: CatalogueCore): RecordedEvent {
  if (event.schema === undefined && catalogue.identity) return event as RecordedEvent
  const { schema, ...rest } = event
  return { ...rest, data: catalogue.restore(event.type, schema ?? 1, event.data, event.position) } as RecordedEvent
}

/** A record that holds more events was never written. */
const mostEvents = 65_536

/** @param outcome for what fails over it, if that is a write */
export const editedError = (position: unknown, problem: string, outcome?: WriteOutcome): LogInconsistentError =>
  new LogInconsistentError(
    Number(position),
    say`${problem}: it was edited or damaged. Restore the log from an export; do not append to it.`,
    outcome,
  )

/**
 * Positions are whole numbers, and a next one is always left: all else was edited by hand, or damaged.
 *
 * @throws LogInconsistentError
 */
export function assertPlaced({ at, n, lost }: CommitRecord, outcome?: WriteOutcome): void {
  if (!Number.isSafeInteger(at) || at < 1)
    throw editedError(at, say`A record has the key ${describe(at)}, which is no position`, outcome)
  if (!Number.isSafeInteger(n) || n < 1 || (n > mostEvents && lost === undefined) || at + n > Number.MAX_SAFE_INTEGER) {
    throw editedError(
      at,
      say`The record at position ${at} says that it holds ${describe(n)} events, which cannot be`,
      outcome,
    )
  }
}

/** Positions have no holes: what is missing was deleted by hand, or lost by the browser. */
export const holeError = (from: number, to: number): LogInconsistentError =>
  new LogInconsistentError(
    from,
    say`The log has a hole: positions ${from} to ${to} are missing. Restore the log from an export; do not append to it.`,
  )

/** @throws LogInconsistentError if positions are missing before the record */
export function assertContiguous(record: CommitRecord, expectedAt: number): void {
  assertPlaced(record)
  if (record.at > expectedAt) throw holeError(expectedAt, record.at - 1)
}
