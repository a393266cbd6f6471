/**
 * The text of a frame: records of lines, whose first character says what they are.
 *
 * - `H{"format":1,"log":…,"time":…}`: the first record of a file, and of no other place
 * - `C{"at":…,"n":…,"chain":…,"author":…}`: a commit; then two lines for each of its `n` events, `E[id,stream,type,version]` and
 *   the event as it is pulled
 * - `V{"author":…,"ids":[…],"verdict":…,"time":…}`: a final verdict that is kept
 */
import { Buffer } from 'node:buffer'
import { InvalidArgumentError, UnsupportedFormatError } from '../errors.js'
import { say } from '../messages.js'
import type { LoggedCommit, LoggedEvent } from '../server/log-store.js'
import type { FinalVerdict } from '../wire/protocol.js'

/** What a file of this build says. */
const fileFormat = 1

/** A part of the file. */
export interface Extent {
  readonly at: number
  readonly length: number
}

export interface HeaderRecord extends Extent {
  readonly kind: 'header'
  readonly log: string
}

export interface EventPlace extends Extent {
  readonly id: string
  readonly stream: string
  readonly type: string
  readonly version: number
}

export interface CommitRecord extends Extent {
  readonly kind: 'commit'
  /** The position of its first event. */
  readonly start: number
  readonly chain: string
  readonly author: string
  readonly events: readonly EventPlace[]
}

export interface VerdictRecord extends Extent {
  readonly kind: 'verdict'
  readonly author: string
  readonly ids: readonly string[]
  readonly verdict: FinalVerdict
  /** When it was kept, in ms since 1970. */
  readonly time: number
}

export type FileRecord = HeaderRecord | CommitRecord | VerdictRecord

const lineFeed = 10

export const headerText = (log: string, time: number): string =>
  `H${JSON.stringify({ format: fileFormat, log, time })}\n`

export function commitText({ author, events, chain }: LoggedCommit): string {
  const first = events[0]
  if (first === undefined) throw new InvalidArgumentError('commit.events', say`must not be empty.`)
  const head = JSON.stringify({ at: first.position, n: events.length, chain, author })
  return `C${head}\n${events.map(eventText).join('')}`
}

function eventText({ id, stream, type, version, line }: LoggedEvent): string {
  // A line within a line would end an event early; half a character has no UTF-8.
  if (line.includes('\n') || /\p{Surrogate}/u.test(line))
    throw new InvalidArgumentError('event.line', say`must be one line of well-formed text.`)
  return `E${JSON.stringify([id, stream, type, version])}\n${line}\n`
}

export function verdictText(author: string, ids: readonly string[], verdict: FinalVerdict, time: number): string {
  return `V${JSON.stringify({ author, ids, verdict, time })}\n`
}

/**
 * The records of a text.
 *
 * @param base where the text begins in the file
 * @throws UnsupportedFormatError for a record or a format that this build does not know
 * @throws Error for a text that no build wrote
 */
export function* recordsOf(text: Buffer, base: number): Generator<FileRecord> {
  for (let at = 0; at < text.length;) {
    const end = endOfLine(text, at)
    const json: unknown = JSON.parse(text.toString('utf8', at + 1, end - 1))
    const extent = { at: base + at, length: end - at }
    switch (text[at]) {
      case 0x48:
        yield headerOf(json, extent)
        at = end
        break
      case 0x56:
        yield { kind: 'verdict', ...extent, ...(json as Pick<VerdictRecord, 'author' | 'ids' | 'verdict' | 'time'>) }
        at = end
        break
      case 0x43: {
        const commit = commitOf(text, at, end, json as CommitHead, base)
        yield commit
        at += commit.length
        break
      }
      default:
        throw new UnsupportedFormatError(say`The log has records that this version of tidemark does not know.`)
    }
  }
}

/** A commit as its bytes say, which are those of its record: read as one text, as pages are made of many of them. */
export function commitIn(bytes: Buffer): LoggedCommit {
  const lines = bytes.toString('utf8').split('\n')
  const { author, chain, at, n } = JSON.parse((lines[0] as string).slice(1)) as CommitHead
  if (lines.length !== 2 * n + 2) throw new Error(say`A record has no end.`)
  const events: LoggedEvent[] = []
  for (let index = 0; index < n; index += 1) {
    const [id, stream, type, version] = JSON.parse((lines[2 * index + 1] as string).slice(1)) as EventHead
    events.push({ position: at + index, id, stream, type, version, line: lines[2 * index + 2] as string })
  }
  return { author, chain, events }
}

/** Its chain alone, for which the bytes of its first line are enough. */
export const chainIn = (line: Buffer): string => (JSON.parse(line.toString('utf8', 1)) as CommitHead).chain

/** An event as its two lines say. */
export function eventIn(bytes: Buffer, position: number): LoggedEvent {
  const end = endOfLine(bytes, 0)
  return { position, ...eventHead(bytes, 0, end), line: bytes.toString('utf8', end, bytes.length - 1) }
}

type EventHead = [id: string, stream: string, type: string, version: number]

interface CommitHead {
  readonly at: number
  readonly n: number
  readonly chain: string
  readonly author: string
}

function headerOf(json: unknown, extent: Extent): HeaderRecord {
  const { format, log } = json as { format: number; log: string }
  if (format !== fileFormat)
    throw new UnsupportedFormatError(
      say`The log has format ${format}, and this version of tidemark knows ${fileFormat}.`,
    )
  return { kind: 'header', ...extent, log }
}

function commitOf(text: Buffer, begin: number, from: number, head: CommitHead, base: number): CommitRecord {
  const events: EventPlace[] = []
  let at = from
  for (let index = 0; index < head.n; index += 1) {
    const line = endOfLine(text, at)
    const end = endOfLine(text, line)
    events.push({ ...eventHead(text, at, line), at: base + at, length: end - at })
    at = end
  }
  const { chain, author } = head
  return { kind: 'commit', at: base + begin, length: at - begin, start: head.at, chain, author, events }
}

function eventHead(text: Buffer, at: number, end: number): Pick<EventPlace, 'id' | 'stream' | 'type' | 'version'> {
  const [id, stream, type, version] = JSON.parse(text.toString('utf8', at + 1, end - 1)) as EventHead
  return { id, stream, type, version }
}

/** Behind its line feed. */
function endOfLine(text: Buffer, from: number): number {
  const end = text.indexOf(lineFeed, from)
  if (end < 0) throw new Error(say`A record has no end.`)
  return end + 1
}
