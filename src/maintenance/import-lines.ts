/** What the lines of an export say, checked: a header, then events. */
import { wholeNumber } from '../platform/arguments.js'
import { InvalidImportError, UnsupportedFormatError, describe } from '../errors.js'
import { say } from '../messages.js'
import { eventType, isEventId, streamName } from '../events/names.js'
import { exportFormat, type ExportHeader } from './export.js'
import type { EventDraft } from '../log/encode.js'
import type { CommitOrigin } from '../log/record/commit-origin.js'
import type { EventText } from '../log/record/record-text.js'
import { isObject } from '../platform/objects.js'

/** One line: an event, and its place in the log that it comes from. */
export interface ImportedLine {
  readonly event: EventText
  readonly at: number
  readonly version: number
  readonly commit: number
  /** Of its commit: said by the first line of it. */
  readonly origin: CommitOrigin | undefined
  /** Whether its commit is known to end with it. */
  readonly ends: boolean
  /** Of the source. */
  readonly number: number
}

export function parseLine(text: string, number: number): Record<string, unknown> {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw new InvalidImportError(number, say`is no JSON (${(cause as Error).message}).`, { cause })
  }
  if (!isObject(value) || Array.isArray(value)) throw new InvalidImportError(number, say`is no JSON object.`)
  return value as Record<string, unknown>
}

export function headerOf(value: Record<string, unknown>, number: number): ExportHeader {
  const { tidemark, format, log, after, head, previous } = value
  if (tidemark !== 'export' || typeof log !== 'string')
    throw new InvalidImportError(number, say`is no header of an export.`)
  const whole = (name: string, part: unknown, least: number) => checked(number, () => wholeNumber(part, name, least))
  const written = whole('format', format, 1)
  if (written > exportFormat)
    throw new UnsupportedFormatError(
      say`The export was written by a newer version of this app. Import it with that version.`,
    )
  const header: ExportHeader = {
    tidemark,
    format: written,
    log,
    after: whole('after', after, 0),
    head: whole('head', head, 0),
  }
  if (header.after > header.head)
    throw new InvalidImportError(
      number,
      say`announces events after position ${header.after}, and ${header.head} as the last one: it was edited or damaged.`,
    )
  if (previous === undefined) return header
  const { id, stream } = (previous ?? {}) as Record<string, unknown>
  if (!isEventId(id) || typeof stream !== 'string')
    throw new InvalidImportError(number, say`has a previous event without id or stream.`)
  return { ...header, previous: { id, stream } }
}

export function eventOf(
  value: Record<string, unknown>,
  number: number,
  encode: (draft: EventDraft, path: string) => EventText,
): ImportedLine {
  if (value.tidemark === 'export')
    throw new InvalidImportError(number, say`is the header of another export. Import one after the other.`)
  return checked(number, () => {
    const { position, commit, type, data, meta, stream, version, id, time, schema = 1, end, author, recorded } = value
    const at = wholeNumber(position, 'position', 1)
    const first = commit === undefined ? at : wholeNumber(commit, 'commit', 1)
    if (first > at) throw new InvalidImportError(number, say`has position ${at}, and a commit that begins at ${first}.`)
    if (!isEventId(id)) throw new InvalidImportError(number, say`has the id ${describe(id)}, which is not an id.`)
    if (!Number.isFinite(time))
      throw new InvalidImportError(number, say`has the time ${describe(time)}, which is not a time.`)
    if (data === undefined) throw new InvalidImportError(number, say`has no data.`)
    if (author !== undefined && (typeof author !== 'string' || !Number.isSafeInteger(recorded)))
      throw new InvalidImportError(number, say`has an author that is no text, or no time at which it was stored.`)
    const event = encode(
      {
        type: eventType(type),
        stream: streamName(stream),
        id,
        idGiven: true,
        time: time as number,
        schema: wholeNumber(schema, 'schema', 1),
        data,
        meta,
      },
      'event',
    )
    return {
      event,
      at,
      version: wholeNumber(version, 'version', 1),
      commit: first,
      origin: author === undefined ? undefined : { author: author as string, recorded: recorded as number },
      ends: commit === undefined || end === true,
      number,
    }
  })
}

/** Names the line of whatever is refused. */
function checked<T>(number: number, check: () => T): T {
  try {
    return check()
  } catch (cause) {
    if (cause instanceof InvalidImportError) throw cause
    throw new InvalidImportError(number, say`does not hold an event: ${(cause as Error).message}`, { cause })
  }
}
