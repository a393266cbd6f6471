/** What can be wrong with a log, found record by record. Pure: it is fed, and remembers one version per stream. */
import { describe } from '../errors.js'
import { notice, say } from '../messages.js'
import { eventType, isEventId, streamName } from '../events/names.js'
import { format, type LogMeta } from '../log/indexeddb/format.js'
import { eventsOf, type StoredEvent } from '../log/record/record-text.js'
import { idKey, isKnownFormat, mayBeCut, type CommitRecord } from '../log/record/record.js'
import { isObject } from '../platform/objects.js'

/** What can be wrong with a log. */
export type LogDefectKind =
  /** The row that identifies the log is missing, malformed, or another log's. */
  | 'meta'
  /** A record has a key that is no position, or does not have the properties of a record. */
  | 'record'
  /** The storage cannot give a record back. */
  | 'unreadable'
  /** The events of a record are no JSON, or no list of events. */
  | 'json'
  /** Positions are missing. */
  | 'hole'
  /** Two records claim the same positions. */
  | 'overlap'
  /** A record does not hold as many events as it says. */
  | 'count'
  /** An event lacks what every event has. */
  | 'event'
  /** A record names other streams, or other last versions, than its events have. */
  | 'heads'
  /** The versions of a stream have a gap, decrease or repeat. */
  | 'version'
  /** The index entries of a record do not fit its events, or an index does not fit its records. */
  | 'index'
  /** One event id is at two positions. */
  | 'duplicate-id'
  /** A checkpoint of a plain projector is no position, or lies beyond the head. */
  | 'checkpoint'

/** One thing that is wrong with a log. */
export interface LogDefect {
  readonly kind: LogDefectKind
  /** Where, if it is at one place: of the event, or of the first event of the record. */
  readonly position?: number
  /** Of which stream, if it is about one. */
  readonly stream?: string
  readonly message: string
}

/** What a database keeps in addition to the records, all read at one moment. */
export interface StoredBeside {
  /** The row that identifies the log; not asked of a log that has none, such as one in memory. */
  readonly meta?: { readonly row: unknown; readonly logId: string }
  /** How many entries each index has. */
  readonly indexes?: Readonly<Record<IndexName, number>>
  readonly checkpoints: readonly unknown[]
}

export type IndexName = 'heads' | 'commits' | 'ids'

/** More defects than these are counted, not listed. */
const maxListed = 1000

export class LogAudit {
  readonly defects: LogDefect[] = []
  /** Defects beyond the first 1,000. */
  unlisted = 0
  /** The last position seen. */
  head = 0
  /** Readable events seen. */
  events = 0
  #versions = new Map<string, number>()
  /** The versions before a record that cannot be read, in which any stream may have moved on. */
  #atLeast: Map<string, number> | undefined
  /** The record that ends at `head`, if there is one. */
  #before: Pick<CommitRecord, 'n' | 'events' | 'format'> | undefined
  /** Entries that the indexes should have. */
  #entries: Record<IndexName, number> = { heads: 0, commits: 0, ids: 0 }
  #entriesKnown = true

  /** The next record in the order of keys. */
  record(row: unknown): void {
    const {
      at,
      n,
      heads,
      commits,
      ids,
      events: text,
      format: stored,
      lost,
    } = (isObject(row) ? row : {}) as Record<keyof CommitRecord, unknown>
    if (!isCount(at))
      return this.#malformed(
        undefined,
        say`A record has the key ${describe(at)}, which is no position. Nothing reads it.`,
      )
    if (typeof lost === 'string') return this.#lost(at, n as number, lost)
    if (!isKnownFormat(stored)) return this.#newer(at, n, heads, stored)
    if (
      !isCount(n) ||
      !Array.isArray(heads) ||
      !Array.isArray(commits) ||
      !Array.isArray(ids) ||
      typeof text !== 'string'
    ) {
      this.#malformed(at, say`The record at ${at} does not have the properties of a record.`)
    }
    const events = parse(text, at, stored as number | undefined)
    this.#place(at, events?.length ?? (isCount(n) ? n : 1))
    this.#index('heads', heads, headsText)
    this.#index('commits', commits, String)
    this.#index('ids', ids, String)
    if (events === undefined && typeof text === 'string') {
      this.#add({
        kind: 'json',
        position: at,
        message: say`The events of the record at ${at} are not the JSON that they should be: none of them can be read.`,
      })
    }
    if (isCount(n) && events !== undefined && events.length !== n) {
      this.#add({
        kind: 'count',
        position: at,
        message: say`The record at ${at} says that it holds ${n} events, and holds ${events.length}.`,
      })
    }
    if (events === undefined || !this.#inside(at, events, { heads, ids })) {
      // What the record says about its streams is assumed to be true, so that one defect is not reported as many.
      for (const [stream, version] of entries(heads)) this.#versions.set(stream, version)
    }
    if (
      events !== undefined &&
      Array.isArray(commits) &&
      !this.#beginsCommits(at, events.length, text as string, commits)
    ) {
      this.#add({
        kind: 'index',
        position: at,
        message: say`The record at ${at} does not say where its commits begin.`,
      })
    }
    this.#before = { n: events?.length ?? 0, events: String(text), format: stored as number }
  }

  /** The end: what is stored in addition to the records. */
  beside({ meta, indexes, checkpoints }: StoredBeside): void {
    if (meta !== undefined) this.#meta(meta.row, meta.logId)
    if (indexes !== undefined && this.#entriesKnown) {
      for (const name of Object.keys(this.#entries) as IndexName[]) {
        if (indexes[name] === this.#entries[name]) continue
        this.#add({
          kind: 'index',
          message: say`The index '${name}' has ${indexes[name]} entries, and the records ask for ${this.#entries[name]}: the browser's storage is damaged.`,
        })
      }
    }
    for (const row of checkpoints) {
      const { name, position } = row as { name?: unknown; position?: unknown }
      const what = say`The checkpoint ${describe(name)}`
      if (position !== 0 && !isCount(position))
        this.#add({ kind: 'checkpoint', message: say`${what} is ${describe(position)}, which is no position.` })
      else if (position > this.head) {
        this.#add({
          kind: 'checkpoint',
          position,
          message: say`${what} is at ${position}, beyond the head ${this.head}: it would miss what comes next. It belongs to another log, or was edited.`,
        })
      }
    }
  }

  /** An id that is in two records. */
  duplicateId(id: string, first: number, position: number): void {
    this.#add({
      kind: 'duplicate-id',
      position,
      message: say`The event id '${id}' stands at position ${first} and again at ${position}.`,
    })
  }

  /**
   * Checks the events against each other and against what their record says about them. False if one of them is not an
   * event.
   */
  #inside(at: number, events: readonly unknown[], said: { heads: unknown; ids: unknown }): boolean {
    let sound = true
    const heads = new Map<string, number>()
    const ids = new Map<string, number>()
    const keys = new Set<string>()
    for (const [index, event] of events.entries()) {
      const position = at + index
      const problem = problemOf(event)
      if (problem !== undefined) {
        this.#add({ kind: 'event', position, message: say`The event at position ${position} ${problem}.` })
        sound = false
        continue
      }
      const { stream, version, id } = event as StoredEvent
      this.events += 1
      this.#version(stream, version, position)
      heads.set(stream, version)
      keys.add(idKey(id))
      const first = ids.get(id)
      if (first === undefined) ids.set(id, position)
      else this.duplicateId(id, first, position)
    }
    if (!sound) return false
    const wrongHead = difference(heads, new Map(entries(said.heads)))
    if (wrongHead !== undefined || (Array.isArray(said.heads) && said.heads.length !== heads.size)) {
      const stream = wrongHead ?? ''
      this.#add({
        kind: 'heads',
        position: at,
        ...(stream === '' ? {} : { stream }),
        message: say`The record at ${at} does not name the last versions of its streams${stream === '' ? '' : say`: stream '${stream}' is ${heads.has(stream) ? say`at ${heads.get(stream)}` : 'not'} in it`}. Reading single streams misses events.`,
      })
    }
    if (
      Array.isArray(said.ids) &&
      (said.ids.length !== keys.size || said.ids.some((key) => !keys.has(key as string)))
    ) {
      this.#add({
        kind: 'index',
        position: at,
        message: say`The record at ${at} is indexed under other ids than its events have: a repeated append could store them twice.`,
      })
    }
    return true
  }

  /** Whether a list of commits can be right: ascending, inside, and none at the start only where a commit was split. */
  #beginsCommits(at: number, length: number, text: string, commits: readonly unknown[]): boolean {
    if (
      !commits.every(
        (start, index) =>
          isCount(start) &&
          start >= at &&
          // One that was adopted keeps the next position taken, so that no writer adds a record without a look.
          (start < at + length || (start === at + length && index === commits.length - 1)) &&
          (index === 0 || start > (commits[index - 1] as number)),
      )
    )
      return false
    if (commits[0] === at) return true
    // The commit continues from the record before, if that is known.
    return this.#before === undefined ? at !== 1 : mayBeCut(this.#before, text)
  }

  #place(at: number, length: number): void {
    const expected = this.head + 1
    if (at > expected) {
      this.#before = undefined
      this.#add({ kind: 'hole', position: expected, message: say`Positions ${expected} to ${at - 1} are missing.` })
    } else if (at < expected) {
      this.#add({
        kind: 'overlap',
        position: at,
        message: say`The record at ${at} begins inside the one before it, which ends at ${this.head}.`,
      })
    }
    this.head = Math.max(this.head, at + length - 1)
  }

  #version(stream: string, version: number, position: number): void {
    const before = this.#versions.get(stream)
    const atLeast = before === undefined ? (this.#atLeast?.get(stream) ?? 0) : undefined
    const expected = (before ?? atLeast ?? 0) + 1
    const follows = this.#atLeast !== undefined && before === undefined ? version >= expected : version === expected
    if (!follows) {
      this.#add({
        kind: 'version',
        position,
        stream,
        message: say`Stream '${stream}' has version ${version} at position ${position}, where ${expected} comes next.`,
      })
    }
    this.#versions.set(stream, version)
  }

  #index(name: IndexName, list: unknown, textOf: (entry: unknown) => string): void {
    if (Array.isArray(list)) this.#entries[name] += new Set(list.map(textOf)).size
    else this.#entriesKnown = false
  }

  #meta(row: unknown, logId: string): void {
    const add = (problem: string) =>
      this.#add({ kind: 'meta', message: say`The row that identifies the log ${problem}.` })
    if (!isObject(row)) return add(say`is missing`)
    const meta = row as Partial<Record<keyof LogMeta, unknown>>
    if (meta.incarnation !== logId)
      add(say`says ${describe(meta.incarnation)}, and this store was opened as '${logId}'`)
    const { format: stored, minReader } = meta
    // Nothing is written to one that was adopted.
    const isAdopted = typeof meta.adopter === 'string' && meta.minWriter === Number.MAX_SAFE_INTEGER
    const minWriter = isAdopted ? minReader : meta.minWriter
    if (!isCount(stored) || !isCount(minReader) || !isCount(minWriter) || minReader > stored || minWriter > stored) {
      add(
        say`has the formats ${describe(stored)}, ${describe(minReader)} and ${describe(minWriter)}, which no build writes`,
      )
    } else if (minReader > format || minWriter > format) add(say`asks for a newer version of this app`)
  }

  #lost(at: number, n: number, reason: string): void {
    this.#entriesKnown = false
    this.#place(at, n)
    this.#before = undefined
    this.#atLeast = new Map([...(this.#atLeast ?? []), ...this.#versions])
    this.#versions = new Map()
    this.#add({
      kind: 'unreadable',
      position: at,
      message: say`The record at ${at} cannot be read: ${reason}. Its events are gone unless there is an export.`,
    })
  }

  #newer(at: number, n: unknown, heads: unknown, stored: unknown): void {
    this.#entriesKnown = false
    this.#place(at, isCount(n) ? n : 1)
    this.#before = undefined
    for (const [stream, version] of entries(heads)) this.#versions.set(stream, version)
    this.#add({
      kind: 'record',
      position: at,
      message: say`The record at ${at} has the format ${describe(stored)}: a newer version of this app stored it, and only that one can check it.`,
    })
  }

  #malformed(position: number | undefined, message: string): void {
    this.#entriesKnown = false
    this.#add({ kind: 'record', ...(position === undefined ? {} : { position }), message })
  }

  #add(defect: LogDefect): void {
    if (this.defects.length < maxListed) this.defects.push({ ...defect, message: notice(defect.kind, defect.message) })
    else this.unlisted += 1
  }
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 1
}

function parse(text: unknown, at: number, format: number | undefined): readonly unknown[] | undefined {
  if (typeof text !== 'string') return undefined
  try {
    return eventsOf(text, at, format)
  } catch {
    return undefined
  }
}

/** The well-formed entries of a record's `heads`. */
function entries(heads: unknown): [string, number][] {
  if (!Array.isArray(heads)) return []
  return heads.filter(
    (entry): entry is [string, number] =>
      Array.isArray(entry) && entry.length === 2 && typeof entry[0] === 'string' && isCount(entry[1]),
  )
}

const headsText = (entry: unknown) => JSON.stringify(entry) ?? ''

/** A key whose value is not the same in both. */
function difference(left: ReadonlyMap<string, number>, right: ReadonlyMap<string, number>): string | undefined {
  return [...left.keys(), ...right.keys()].find((key) => left.get(key) !== right.get(key))
}

function problemOf(event: unknown): string | undefined {
  if (!isObject(event)) return say`is no object`
  const { type, stream, version, id, time, data, schema } = event as Partial<Record<keyof StoredEvent, unknown>>
  if (!isName(type, eventType)) return say`has the type ${describe(type)}`
  if (!isName(stream, streamName)) return say`has the stream ${describe(stream)}`
  if (!isCount(version)) return say`has the version ${describe(version)}`
  if (!isEventId(id)) return say`has the id ${describe(id)}`
  if (typeof time !== 'number') return say`has the time ${describe(time)}`
  if (data === undefined) return say`has no data`
  if (schema !== undefined && !isCount(schema)) return say`has the schema version ${describe(schema)}`
  return undefined
}

/** Whether it is stored as it would be accepted. */
function isName(value: unknown, check: (value: unknown) => string): boolean {
  try {
    return check(value) === value
  } catch {
    return false
  }
}
