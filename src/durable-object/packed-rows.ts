/** How a log is packed into rows: as few as possible, since rows written are what a Durable Object costs. */
import type { LoggedCommit, LoggedEvent } from '../server/log-store.js'
import { mostCharacters, plainText, sqlText } from './sqlite-text.js'

/** A commit, or a part of one that is too long for a row. */
export interface PackedRow {
  /** The position of its last event. */
  readonly end: number
  /** How many events. */
  readonly n: number
  readonly author: string
  /** The chain behind the commit; `null`: more of it follows. */
  readonly chain: string | null
  /** One line for each event. */
  readonly lines: string
}

/** A commit as rows: one, unless it is long. */
export function packed({ author, events, chain }: LoggedCommit): PackedRow[] {
  const rows: PackedRow[] = []
  let from = 0
  let size = 0
  events.forEach(({ line, position }, index) => {
    const isLast = index === events.length - 1
    size += line.length + 1
    const next = isLast ? 0 : (events[index + 1] as LoggedEvent).line.length
    if (!isLast && size + next <= mostCharacters) return
    const part = events.slice(from, index + 1)
    const lines = part.map((event) => event.line).join('\n')
    rows.push({ end: position, n: part.length, author: sqlText(author), chain: isLast ? chain : null, lines })
    from = index + 1
    size = 0
  })
  return rows
}

/** The commits in rows that follow each other. What is left of one that has no end yet is left out. */
export function* unpacked(rows: Iterable<PackedRow>): Generator<LoggedCommit, void> {
  let events: LoggedEvent[] = []
  for (const { author, chain, lines } of rows) {
    for (const line of lines.split('\n')) events.push(eventIn(line))
    if (chain === null) continue
    yield { author: plainText(author), events, chain }
    events = []
  }
}

/** What the server wrote is JSON, with all that is known about the event. */
export function eventIn(line: string): LoggedEvent {
  const { position, id, stream, type, version } = JSON.parse(line) as LoggedEvent
  return { position, id, stream, type, version, line }
}

/**
 * The events of a row that have one of these ids.
 *
 * @param lineAt reads the line of an event again
 */
export function eventsIn(
  { lines }: PackedRow,
  ids: ReadonlySet<string>,
  lineAt: (position: number) => string,
): LoggedEvent[] {
  const found: LoggedEvent[] = []
  const texts = [...ids].map((id) => JSON.stringify(id))
  for (const line of lines.split('\n')) {
    // Most lines have none of them, and need not be parsed.
    if (texts.length < 16 && !texts.some((text) => line.includes(text))) continue
    const event = eventIn(line)
    if (ids.has(event.id)) found.push(detached(event, lineAt))
  }
  return found
}

/** The most characters of a line that is kept in memory. */
const mostKept = 4096

/**
 * An event that takes little memory: a push may ask for thousands of them, and an object has 128 MB. It has a line of its own,
 * since engines keep a text as long as there is a part of it, here the whole row. A long line is read again when it is asked
 * for, which is seldom: only a repeated commit is compared with what is stored.
 */
export function detached(event: LoggedEvent, lineAt: (position: number) => string): LoggedEvent {
  const { line, ...named } = event
  if (line.length <= mostKept) return { ...named, line: ` ${line}`.slice(1) }
  return {
    ...named,
    get line() {
      return lineAt(named.position)
    },
  }
}
