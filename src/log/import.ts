/** Putting an export back: events as they were recorded, appended once, however often it is tried. */
import { InvalidImportError, UnsupportedFormatError, describe } from '../errors.js'
import type { EventShape } from '../events/event.js'
import { eventType, isEventId, streamName } from '../events/names.js'
import type { AppendResult, ExpectedVersion, ReadOptions } from './event-store.js'
import { exportFormat, type ExportHeader } from './export.js'
import { linesOf, type LineSource } from './lines.js'
import { storeInternals, type TidemarkStore } from './open.js'
import { eventEncoder, wholeNumber, type EventDraft, type PreparedAppend } from './prepare.js'
import { weightOf, type EventText } from './record-text.js'

export interface ImportOptions extends ReadOptions {
  /** Called after every transaction. */
  onProgress?(progress: ImportProgress): void
}

export interface ImportProgress {
  /** Events stored so far. */
  readonly imported: number
  /** Events that were in the log already, by their ids. */
  readonly skipped: number
  /** Events that the source says it has. */
  readonly total: number
}

export interface ImportResult extends ImportProgress {
  /** The head of the log after the last event that was stored or found. */
  readonly position: number
}

/** One transaction stores so many events at least, if there are as many, and goes on to the end of a commit. */
const batchEvents = 1000
/** … or so many characters. */
const batchCharacters = 1024 * 1024

/**
 * Appends the events of an export, in their order, with their ids, times, `meta` and the schema versions they were stored
 * with. Neither schemas nor the codec are asked: they were when the events were recorded. Events of one commit are
 * stored together.
 *
 * Events whose ids are in the log are skipped, so an import that was broken off is simply run again. In an empty log every
 * event gets the position and version it had; in another one, the next ones.
 *
 * @throws InvalidImportError with the line that is no line of an export, and if the source was cut off. What comes before
 * stays imported.
 * @throws UnsupportedFormatError for an export of a newer tidemark
 *
 * @example
 * await importEvents(store, (await fetch('/backup.ndjson')).body!)
 */
export async function importEvents<E extends EventShape>(store: TidemarkStore<E>, source: LineSource, options: ImportOptions = {}): Promise<ImportResult> {
  const { signal, onProgress } = options
  const { appendPrepared, maxEventBytes } = storeInternals(store)
  let position = await store.head()
  let [imported, skipped] = [0, 0]
  let header: ExportHeader | undefined
  let last = 0
  let number = 0
  let batch = new Batch()
  const encode = eventEncoder(maxEventBytes)
  const flush = async () => {
    signal?.throwIfAborted()
    if (batch.events.length === 0) return
    const result = await appendPrepared(batch.prepared(), signal === undefined ? {} : { signal })
    const stored = countStored(result)
    imported += stored
    skipped += batch.lines - stored
    position = Math.max(position, result.position)
    batch = new Batch()
    onProgress?.({ imported, skipped, total: totalOf(header) })
  }
  for await (const text of linesOf(source)) {
    number += 1
    if (text.trim() === '') continue
    const value = parse(text, number)
    if (header === undefined) {
      header = headerOf(value, number)
      last = header.after
      continue
    }
    const { event, at, commit } = eventOf(value, number, encode)
    if (at !== last + 1) throw new InvalidImportError(number, `has position ${at}, where ${last + 1} comes next: lines are missing or out of order.`)
    // Only now is it known that the commit before is complete.
    if (commit !== batch.commit && batch.isLarge) await flush()
    batch.add(event, commit)
    last = at
  }
  if (header === undefined) throw new InvalidImportError(Math.max(1, number), 'is the end, and there was no header. Is it an export?')
  if (last < header.head) throw new InvalidImportError(number, `is the last one, with position ${last}, and the header announces ${header.head}: the source was cut off. Import a whole one.`)
  await flush()
  return { imported, skipped, total: totalOf(header), position }
}

/** Events for one transaction. */
class Batch {
  readonly events: EventText[] = []
  readonly #starts = new Set<number>()
  readonly #ids = new Set<string>()
  #characters = 0
  /** The commit that the last line belongs to. */
  commit: number | undefined
  /** Lines taken in; an id that comes twice is stored once. */
  lines = 0

  get isLarge(): boolean {
    return this.events.length >= batchEvents || this.#characters >= batchCharacters
  }

  add(event: EventText, commit: number): void {
    this.lines += 1
    if (commit !== this.commit) this.#starts.add(this.events.length)
    this.commit = commit
    if (this.#ids.has(event.id)) return
    this.#ids.add(event.id)
    this.events.push(event)
    this.#characters += weightOf(event)
  }

  prepared(): PreparedAppend {
    return importedAppend(this.events, this.#starts)
  }
}

/** Events for one transaction, with the indexes at which a commit begins. */
function importedAppend(events: readonly EventText[], starts: ReadonlySet<number>): PreparedAppend {
  const append: PreparedAppend = {
    events,
    expected: new Map<string, ExpectedVersion>(events.map(({ stream }) => [stream, 'any'])),
    condition: undefined,
    imported: {
      starts,
      without(known) {
        const left: EventText[] = []
        const leftStarts = new Set<number>()
        let begins = false
        for (const [index, event] of events.entries()) {
          begins ||= starts.has(index)
          if (known.has(event.id)) continue
          if (begins) leftStarts.add(left.length)
          begins = false
          left.push(event)
        }
        return left.length === 0 || left.length === events.length ? append : importedAppend(left, leftStarts)
      },
    },
  }
  return append
}

function countStored(result: AppendResult): number {
  return result.duplicate ? 0 : result.position - result.firstPosition + 1
}

function totalOf(header: ExportHeader | undefined): number {
  return header === undefined ? 0 : header.head - header.after
}

function parse(text: string, number: number): Record<string, unknown> {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw new InvalidImportError(number, `is no JSON (${(cause as Error).message}).`, { cause })
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new InvalidImportError(number, 'is no JSON object.')
  return value as Record<string, unknown>
}

function headerOf(value: Record<string, unknown>, number: number): ExportHeader {
  const { tidemark, format, log, after, head } = value
  if (tidemark !== 'export' || typeof log !== 'string') throw new InvalidImportError(number, 'is no header of an export.')
  const whole = (name: string, part: unknown, least: number) => checked(number, () => wholeNumber(part, name, least))
  const written = whole('format', format, 1)
  if (written > exportFormat) throw new UnsupportedFormatError('The export was written by a newer version of this app. Import it with that version.')
  return { tidemark, format: written, log, after: whole('after', after, 0), head: whole('head', head, 0) }
}

function eventOf(
  value: Record<string, unknown>, number: number, encode: (draft: EventDraft, path: string) => EventText,
): { event: EventText; at: number; commit: number } {
  return checked(number, () => {
    const { position, commit, type, data, meta, stream, version, id, time, schema = 1 } = value
    const at = wholeNumber(position, 'position', 1)
    wholeNumber(version, 'version', 1)
    if (!isEventId(id)) throw new InvalidImportError(number, `has the id ${describe(id)}, which is none.`)
    if (!Number.isFinite(time)) throw new InvalidImportError(number, `has the time ${describe(time)}, which is none.`)
    if (data === undefined) throw new InvalidImportError(number, 'has no data.')
    const event = encode({
      type: eventType(type), stream: streamName(stream), id, idGiven: true, time: time as number, schema: wholeNumber(schema, 'schema', 1), data, meta,
    }, 'event')
    return { event, at, commit: commit === undefined ? at : wholeNumber(commit, 'commit', 1) }
  })
}

/** Names the line of whatever is refused. */
function checked<T>(number: number, check: () => T): T {
  try {
    return check()
  } catch (cause) {
    if (cause instanceof InvalidImportError) throw cause
    throw new InvalidImportError(number, `does not hold an event: ${(cause as Error).message}`, { cause })
  }
}
