/**
 * A commit as one text, a line of JSON for each event without what can be computed from the row: position, commit, and
 * stream and version where they follow from the line before. So it takes three quarters of the space, and people can
 * read it. A line is one of
 *
 * - `["cart-1",5]`: what follows is of this stream, from this version on
 * - `{"type":…}`: an event
 * - `[id, stream, type, version, line]`: an event whose line is of another form than that of a push
 */
import { LogInconsistentError } from '../errors.js'
import { say } from '../messages.js'
import type { LoggedCommit, LoggedEvent } from '../server/log-store.js'

const typeAndId = /^\{"type":("(?:[^"\\]|\\.)*")(?:,"schema":\d+)?,"id":("(?:[^"\\]|\\.)*"),/

/** What a line of a packed commit must not hold, and what PostgreSQL cannot store. */
// oxlint-disable-next-line no-control-regex
const unfit = /[\n\u0000]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/

export function pack({ events }: LoggedCommit): string {
  const lines: string[] = []
  const at = (events[0] as LoggedEvent).position
  let [stream, version] = ['', -1]
  for (const event of events) {
    const short = shortened(event, at)
    if (short === undefined) {
      lines.push(JSON.stringify([event.id, event.stream, event.type, event.version, event.line]))
      continue
    }
    if (event.stream !== stream || event.version !== version) {
      ;[stream, version] = [event.stream, event.version]
      lines.push(JSON.stringify([stream, version]))
    }
    lines.push(short)
    version += 1
  }
  return lines.join('\n')
}

function shortened({ line, position, stream, version, type, id }: LoggedEvent, at: number): string | undefined {
  const begin = beginOf(position, at, stream, version)
  if (!line.startsWith(begin) || unfit.test(line)) return undefined
  const short = `{${line.slice(begin.length)}`
  const found = typeAndId.exec(short)
  return found !== null && parsed(found[1]) === type && parsed(found[2]) === id ? short : undefined
}

const beginOf = (position: number, at: number, stream: string, version: number) =>
  `{"position":${position},"commit":${at},"stream":${JSON.stringify(stream)},"version":${version},`

/** The text that a JSON string holds. */
const parsed = (json: string | undefined): unknown =>
  json?.includes('\\') === false ? json.slice(1, -1) : JSON.parse(json ?? 'null')

/**
 * The events of a packed commit that begins at a position.
 *
 * @throws LogInconsistentError if it is not what `pack` makes
 */
export function unpack(text: string, at: number): LoggedEvent[] {
  const events: LoggedEvent[] = []
  let [stream, version, streamJson] = ['', 0, '']
  for (const line of text.split('\n')) {
    const position = at + events.length
    if (line.startsWith('{')) {
      events.push(shortEvent(line, { position, at, stream, streamJson, version }))
      version += 1
      continue
    }
    const list: unknown = JSON.parse(line)
    if (!Array.isArray(list)) throw damaged(position)
    if (list.length === 2) {
      ;[stream, version] = list as [string, number]
      streamJson = JSON.stringify(stream)
    } else events.push(longEvent(list, position))
  }
  return events
}

/**
 * One event of a packed commit.
 *
 * @param head the line that says which stream and version come next
 * @param before how many events are between that line and this one, of those that are written without a stream
 * @throws LogInconsistentError
 */
export function unpackOne(
  line: string,
  head: string | null,
  before: number,
  at: number,
  position: number,
): LoggedEvent {
  if (!line.startsWith('{')) return longEvent(JSON.parse(line) as unknown[], position)
  if (head === null) throw damaged(position)
  const [stream, version] = JSON.parse(head) as [string, number]
  return shortEvent(line, { position, at, stream, streamJson: JSON.stringify(stream), version: version + before })
}

interface Place {
  readonly position: number
  readonly at: number
  readonly stream: string
  readonly streamJson: string
  readonly version: number
}

function shortEvent(line: string, { position, at, stream, streamJson, version }: Place): LoggedEvent {
  const found = typeAndId.exec(line)
  if (found === null) throw damaged(position)
  const [type, id] = [parsed(found[1]) as string, parsed(found[2]) as string]
  const whole = `{"position":${position},"commit":${at},"stream":${streamJson},"version":${version},${line.slice(1)}`
  return { position, id, stream, type, version, line: whole }
}

function longEvent(list: readonly unknown[], position: number): LoggedEvent {
  const [id, stream, type, version, line] = list as [string, string, string, number, string]
  return { position, id, stream, type, version, line }
}

const damaged = (position: number) =>
  new LogInconsistentError(position, say`The row of the commit with position ${position} is not what tidemark stores.`)
