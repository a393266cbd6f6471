/** The stored form of commits: what the decision record 0001 settled. */
import { IntegrityError, describe } from '../errors.js'
import type { CatalogueCore } from '../events/catalogue.js'
import type { RecordedEvent } from '../events/event.js'
import { isUuidV7 } from '../events/identifier.js'
import { storedText, type PreparedAppend } from './prepare.js'

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
  /** The events as a JSON array. */
  readonly events: string
  /** Missing in records of format 1. A build that stores anything else names it here, so that older ones do not misread it (H53). */
  readonly format?: number
  /** Never stored: why the browser does not give this record back, which then holds nothing (H16). */
  readonly lost?: string
}

/** The position of a record's last event; 0 without a record. */
export const endOf = (record: CommitRecord | undefined): number => (record === undefined ? 0 : record.at + record.n - 1)

/** A record holds at most so many events … */
const maxRecordEvents = 256
/** … and about so many characters of JSON. */
const maxRecordCharacters = 256 * 1024

/** Whether a commit may go on in a second record: records are cut only where the next event does not fit any more. */
export function mayBeCut(before: Pick<CommitRecord, 'n' | 'events'>, next: string): boolean {
  return before.n >= maxRecordEvents || before.events.length + next.length > maxRecordCharacters
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

/** The records of an append that begins at a position. `versionOf` is asked for the versions before it. */
export function encodeRecords(prepared: PreparedAppend, at: number, versionOf: (stream: string) => number): { records: CommitRecord[]; versions: Map<string, number> } {
  const versions = new Map<string, number>()
  for (const stream of prepared.expected.keys()) versions.set(stream, versionOf(stream))
  const records: CommitRecord[] = []
  let texts: string[] = []
  let size = 0
  let first = at
  let heads = new Map<string, number>()
  let commits: number[] = []
  let ids = new Set<string>()
  /** What ids begin with that have the key added last. */
  let lastKey = otherIds
  const flush = () => {
    records.push({ at: first, n: texts.length, heads: [...heads], commits, ids: [...ids], events: `[${texts.join(',')}]` })
    first += texts.length
    texts = []
    size = 0
    heads = new Map()
    commits = []
    ids = new Set()
    lastKey = otherIds
  }
  for (const [index, event] of prepared.events.entries()) {
    const version = (versions.get(event.stream) ?? 0) + 1
    versions.set(event.stream, version)
    const text = storedText(event, version)
    if (texts.length > 0 && (texts.length >= maxRecordEvents || size + text.length > maxRecordCharacters)) flush()
    if (index === 0 || prepared.imported?.starts.has(index) === true) commits.push(first + texts.length)
    texts.push(text)
    size += text.length
    heads.set(event.stream, version)
    // Those that this append made are UUIDs of one millisecond, mostly.
    if (event.idGiven || !event.id.startsWith(lastKey)) ids.add((lastKey = idKey(event.id)))
  }
  if (texts.length > 0) flush()
  return { records, versions }
}

/** An event as it stands in a record. */
export interface StoredEvent {
  type: string
  data: unknown
  meta?: unknown
  stream: string
  version: number
  position: number
  id: string
  time: number
  /** The version of the event type's schema, where it is not 1. */
  schema?: number
}

/** The events of a record, with their positions. A record that cannot be read answers its placeholders and the reason. */
export function decodeRecord(record: CommitRecord): { events: StoredEvent[]; problem?: string } {
  let problem = 'its record does not hold what it should'
  if (record.lost !== undefined) problem = record.lost
  else if (record.format !== undefined && record.format !== 1) {
    problem = `a newer version of this app stored it, in format ${describe(record.format)}. Reload the page to get that version`
  } else {
    try {
      const events = JSON.parse(record.events) as StoredEvent[]
      if (Array.isArray(events) && events.length === record.n) {
        for (let index = 0; index < events.length; index += 1) (events[index] as StoredEvent).position = record.at + index
        return { events }
      }
    } catch (error) {
      problem = `its record is no JSON (${(error as Error).message})`
    }
  }
  const count = Number.isSafeInteger(record.n) && record.n > 0 && record.n <= 65536 ? record.n : 1
  const events = Array.from({ length: count }, (_, index) => ({
    type: '', data: null, stream: '', version: 0, position: record.at + index, id: '', time: 0,
  }))
  return { events, problem }
}

/** A stored event as readers see it: with the data of today's schema. */
export function restoreEvent(event: StoredEvent, catalogue: CatalogueCore): RecordedEvent {
  if (event.schema === undefined && catalogue.identity) return event as RecordedEvent
  const { schema, ...rest } = event
  return { ...rest, data: catalogue.restore(event.type, schema ?? 1, event.data, event.position) } as RecordedEvent
}

/** Positions have no holes (I1): what is missing was deleted by somebody, or lost by the browser. */
export function assertContiguous(record: CommitRecord, expectedAt: number): void {
  if (record.at > expectedAt) {
    throw new IntegrityError(expectedAt, `The log has a hole: positions ${expectedAt} to ${record.at - 1} are missing. Restore from an export; do not go on.`)
  }
}

