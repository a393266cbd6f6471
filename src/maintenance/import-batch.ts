/** Events of an import that are stored in one transaction, and what is asked of the log that takes them. */
import { InvalidImportError, type ExpectedVersion } from '../errors.js'
import { say } from '../messages.js'
import type { ImportedLine } from './import-lines.js'
import type { KnownEvents, PreparedAppend } from '../log/prepared-append.js'
import { weightOf, type EventText } from '../log/record/record-text.js'

/** One transaction stores at least this many events, if there are as many, and the rest of the last commit. */
const batchEvents = 1000
/** … or this many characters. */
const batchCharacters = 1024 * 1024

/** What an import stored so far. */
export interface Stored {
  /** Position of the first event that it stored. */
  first: number
  /** The streams that it stored events in. */
  readonly streams: Set<string>
}

export class ImportBatch {
  #lines: ImportedLine[] = []
  /** Indexes at which a commit begins. */
  #starts = new Set<number>()
  #origin: ImportedLine['origin']
  #places = new Map<string, number>()
  #characters = 0
  /** The commit that the last line belongs to. */
  #commit: number | undefined
  /** Lines taken in; an id that comes twice is stored once. */
  lines = 0
  /** What of it belongs to commits that are known to be complete. */
  #whole = { events: 0, lines: 0 }
  /** The streams of what was stored, as the last try found it. */
  grown: ReadonlySet<string> = new Set()

  /** It is large enough, and ends with a commit. */
  get isDue(): boolean {
    return (
      this.#whole.lines === this.lines && (this.#lines.length >= batchEvents || this.#characters >= batchCharacters)
    )
  }

  /** Whether this line is known to begin a commit, which ends the one before. */
  begins(line: ImportedLine): boolean {
    const begins = line.commit !== this.#commit
    if (begins) this.#wholeNow()
    return begins
  }

  add(line: ImportedLine): void {
    if (this.begins(line)) {
      this.#starts.add(this.#lines.length)
      this.#origin = line.origin
    }
    this.#commit = line.commit
    this.lines += 1
    const { event } = line
    const before = this.#places.get(event.id)
    if (before === undefined) {
      this.#places.set(event.id, this.#lines.length)
      this.#lines.push({ ...line, origin: this.#origin })
      this.#characters += weightOf(event)
    } else if (!sameEvent((this.#lines[before] as ImportedLine).event, event)) {
      throw new InvalidImportError(
        line.number,
        say`has the id '${event.id}' of line ${this.#lines[before]?.number}, and is another event.`,
      )
    }
    if (line.ends) this.#wholeNow()
  }

  #wholeNow(): void {
    this.#whole = { events: this.#lines.length, lines: this.lines }
  }

  /** Leaves out the last commit, which may continue. */
  cut(): void {
    this.#lines.length = this.#whole.events
    this.lines = this.#whole.lines
  }

  /** What to append. `firsts`: the lines of the source with which a stream begins there. */
  prepared(stored: Stored, firsts: ReadonlySet<number>): PreparedAppend {
    const append = (lines: readonly ImportedLine[], starts: ReadonlySet<number>): PreparedAppend => ({
      events: lines.map(({ event }) => event),
      expected: new Map<string, ExpectedVersion>(lines.map(({ event }) => [event.stream, 'any'])),
      condition: undefined,
      pathOf: (index) => `lines[${(lines[index] as ImportedLine).number}]`,
      imported: {
        starts,
        origins: new Map([...starts].flatMap((at) => (lines[at]?.origin ? [[at, lines[at].origin]] : []))),
        without: (known, versionOf) => without(known, versionOf),
      },
    })
    const all = append(this.#lines, this.#starts)
    const without = (known: KnownEvents, versionOf: (stream: string) => number): PreparedAppend => {
      const left: ImportedLine[] = []
      const starts = new Set<number>()
      const grown = new Set<string>()
      let begins = false
      for (const [index, line] of this.#lines.entries()) {
        begins ||= this.#starts.has(index)
        const {
          event: { id, stream },
          number,
          version,
        } = line
        const there = known.get(id)
        if (there === undefined) {
          const last = versionOf(stream)
          if (firsts.has(number) && version > last + 1)
            throw new InvalidImportError(
              number,
              say`is version ${version} of stream '${stream}', and this log has ${last} of it: ${missing('version', last + 1, version - 1)}. Import the parts before this one first.`,
            )
          if (begins) starts.add(left.length)
          begins = false
          left.push(line)
          grown.add(stream)
        } else if (there.position < stored.first && (grown.has(stream) || stored.streams.has(stream))) {
          throw new InvalidImportError(
            number,
            say`has the id '${id}' of stream '${stream}', which is in this log already, at position ${there.position}, and events of that stream that come before it are not: they would be out of order. Import into an empty store.`,
          )
        }
      }
      this.grown = grown
      return left.length === 0 || left.length === this.#lines.length ? all : append(left, starts)
    }
    return all
  }
}

/** Which positions or versions are missing, in words. */
export const missing = (what: string, from: number, to: number): string =>
  from === to ? say`${what} ${from} is missing` : say`${what}s ${from} to ${to} are missing`

const sameEvent = (left: EventText, right: EventText): boolean =>
  left.type === right.type && left.stream === right.stream && left.data === right.data && left.meta === right.meta
