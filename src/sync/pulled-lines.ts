/** The lines of a pull, checked one by one: each must follow the one before it. */
import { messageOf } from '../errors.js'
import { say } from '../messages.js'
import { isEventId, eventType, streamName } from '../events/names.js'
import type { EventText } from '../log/record/record-text.js'
import { longestLine } from './request.js'
import { Inconsistent, isChain, isCount, parsedObject } from './responses.js'
import { textOf } from './stored-of.js'
import type { AnsweredBy, PulledPage } from './sync-effects.js'
import type { Cursor } from './sync-state.js'

/** What a server may send beyond the number of events that it was asked for: the rest of a commit. */
const mostBeyond = 100_000

/** A page of more characters than these ends at the next cursor line: all of it is held in memory. */
const mostCharacters = 16 * 1024 * 1024

/** The format of exports that this build reads. */
const format = 1

/** Collects a page. Keeps what is before the last cursor line. */
export class PulledLines {
  readonly #after: Cursor
  readonly #limit: number
  readonly #by: AnsweredBy
  readonly #events: EventText[] = []
  readonly #versions: number[] = []
  readonly #starts = new Set<number>()
  /** Versions that streams have come to in this page. */
  readonly #reached = new Map<string, number>()
  readonly #types = new Set<unknown>()
  /** The commit of the last line; 0 behind a cursor line, where none is open. */
  #commit = 0
  #head: number | undefined
  #cursor: Cursor | undefined
  /** How many events are before the last cursor line. */
  #kept = 0
  #characters = 0

  constructor(after: Cursor, limit: number, by: AnsweredBy) {
    this.#after = after
    this.#limit = limit
    this.#by = by
  }

  /** Takes in a line, or what it says. @throws Inconsistent: nothing of this page may be stored */
  add(line: unknown): void {
    let value = line as Record<string, unknown>
    if (typeof line === 'string') {
      if (line.trim() === '') return
      if (line.length > longestLine) throw new Inconsistent(say`A line is longer than ${longestLine} characters.`)
      this.#characters += line.length
      value = parsedObject(line)
    }
    if (this.#head === undefined) this.#header(value)
    else if ('scannedTo' in value) this.#endPart(value)
    else this.#event(value)
  }

  /** Whether the rest is better left for another pull. */
  get isLarge(): boolean {
    return this.#characters > mostCharacters && this.#cursor?.at === this.#at
  }

  /** What is before the last cursor line; nothing without one. */
  get page(): PulledPage | undefined {
    const cursor = this.#cursor
    if (cursor === undefined || this.#head === undefined) return undefined
    const kept = this.#kept
    const isWhole = kept === this.#events.length
    return {
      kind: 'page',
      by: this.#by,
      after: this.#after,
      events: {
        at: this.#after.at + 1,
        events: isWhole ? this.#events : this.#events.slice(0, kept),
        versions: isWhole ? this.#versions : this.#versions.slice(0, kept),
        starts: isWhole ? this.#starts : new Set([...this.#starts].filter((index) => index < kept)),
      },
      cursor,
      head: Math.max(this.#head, cursor.at),
    }
  }

  #header({ tidemark, format: written, log, epoch, after, head }: Record<string, unknown>): void {
    if (tidemark !== 'export' || !isCount(written) || written > format)
      throw new Inconsistent(say`The first line is no header that this build knows.`)
    if (log !== this.#by.log || epoch !== this.#by.epoch || after !== this.#after.at || !isCount(head))
      throw new Inconsistent(say`The first line is not about what was asked for.`)
    this.#head = head
  }

  #endPart({ scannedTo, chain }: Record<string, unknown>): void {
    if (scannedTo !== this.#at || !isChain(chain))
      throw new Inconsistent(say`A cursor is not that of the events before it, which end at ${this.#at}.`)
    this.#cursor = { at: this.#at, chain }
    this.#kept = this.#events.length
    this.#commit = 0
  }

  get #at(): number {
    return this.#after.at + this.#events.length
  }

  #event(value: Record<string, unknown>): void {
    const next = this.#at + 1
    const { position, commit, version, stream } = value
    if (position !== next) throw new Inconsistent(say`An event does not have the next position, which is ${next}.`)
    if (commit !== next && (commit !== this.#commit || this.#commit === 0))
      throw new Inconsistent(say`The event at position ${next} belongs to no commit that is known.`)
    const before = this.#reached.get(stream as string)
    if (!isCount(version) || version < 1 || (before !== undefined && version !== before + 1))
      throw new Inconsistent(say`The event at position ${next} does not have the next version of its stream.`)
    if (this.#events.length >= this.#limit + mostBeyond)
      throw new Inconsistent(say`The server sent more than it was asked for.`)
    const event = this.#textOf(value, next)
    if (commit === next) this.#starts.add(this.#events.length)
    this.#commit = commit as number
    this.#reached.set(event.stream, version)
    this.#versions.push(version)
    this.#events.push(event)
  }

  #textOf({ stream, type, id, time, schema = 1, data, meta }: Record<string, unknown>, at: number): EventText {
    const bad = (what: string) => new Inconsistent(say`The event at position ${at} has no valid ${what}.`)
    if (!isEventId(id)) throw bad('id')
    if (typeof time !== 'number' || !Number.isFinite(time)) throw bad('time')
    if (!isCount(schema) || schema < 1) throw bad('schema')
    if (data === undefined) throw bad('data')
    try {
      // Each name is checked once.
      if (!this.#reached.has(stream as string) && streamName(stream) !== stream) throw bad('stream')
      if (!this.#types.has(type)) this.#types.add(eventType(type))
      return textOf({ type: type as string, stream: stream as string, id, time, schema, data, meta })
    } catch (error) {
      throw error instanceof Inconsistent
        ? error
        : new Inconsistent(say`The event at position ${at} cannot be stored: ${messageOf(error)}`)
    }
  }
}
