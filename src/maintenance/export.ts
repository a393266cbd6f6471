/** A log as text: newline-delimited JSON, a header and then one line per event. */
import { EventUnreadableError, LogInconsistentError, InvalidArgumentError } from '../errors.js'
import { say } from '../messages.js'
import type { EventShape } from '../events/event.js'
import { assertSignal, onlyKnown, wholeNumber } from '../platform/arguments.js'
import type { ReadOptions } from '../log/event-store.js'
import { inspectionOf, nextPageSize } from './inspection.js'
import type { LogInspection } from './log-inspection.js'
import { storeInternals, type TidemarkStore } from '../log/open.js'
import type { StoredEvent } from '../log/record/record-text.js'
import { assertContiguous, decodeRecord, unreadableError, type RecordProblem } from '../log/record/record.js'

/** The format of the text that this build writes, and the newest that it reads. */
export const exportFormat = 1

/** Which events `exportEvents` writes. */
export interface ExportOptions extends ReadOptions {
  /** Only events after this position: what came since an earlier export. @default 0 */
  readonly after?: number
  /**
   * Only events up to this position, not before `after`, such as those before one that is damaged.
   * @default the head as it is at the start
   */
  readonly upTo?: number
}

/** The first line of an export. */
export interface ExportHeader {
  readonly tidemark: 'export'
  readonly format: number
  /** The identity of the log that it came from. */
  readonly log: string
  /** The events are those after this position … */
  readonly after: number
  /** … up to this one, so that an import notices a file that was cut off. */
  readonly head: number
  /**
   * The event at `after`: an import makes sure that it is there, so that parts are imported in order. Missing where it
   * cannot be read.
   */
  readonly previous?: { readonly id: string; readonly stream: string }
}

/** Every other line: an event as it is stored, and where its commit begins. */
export interface ExportedEvent extends Omit<StoredEvent, 'position'> {
  readonly position: number
  /** Position of the first event of the same commit: they are imported together or not at all. */
  readonly commit: number
  /** Who appended its commit, and when the log stored it, ms since 1970: of the first event of a commit of a server's log. */
  readonly author?: string
  readonly recorded?: number
  /** It is the last one of its commit. Not said at the end of a part that ends before the log does. */
  readonly end?: true
}

/**
 * The log as newline-delimited JSON: a header, then one line per event, in order. Each chunk is one whole line, with
 * its line feed. Events are as they are stored: not upcast, and with a codec still encoded, so that its keys must be
 * kept elsewhere. From a store of `tidemark/postgres` it also says who appended each commit, and when. Checkpoints and
 * read models are not part of it. `importEvents` reads it.
 *
 * @param store of `openEventStore`, or a copy of one
 * @param options positions in the log, and a `signal` that ends it with its reason Parts of a log (`{ upTo: 100 }`,
 * later `{ after: 100 }`) are imported one after the other. With `after` at the head the part is empty, and is valid.
 *
 * @throws InvalidArgumentError, ClosedError synchronously: for a store of another kind, for unknown options, for
 * `after` above `upTo`, and for a store that was closed
 * @throws InvalidArgumentError, LogInconsistentError before the first line, for `after` and `upTo` above the head: it
 * is not the log that they are of
 * @throws EventUnreadableError, LogInconsistentError while it is read, at the first event that cannot be read, or is
 * not there: an export is never silently incomplete. `upTo` exports what stands before it.
 *
 * @example
 * const lines: string[] = []
 * for await (const line of exportEvents(store)) lines.push(line)
 * const backup = new Blob(lines, { type: 'application/x-ndjson' })
 */
export function exportEvents<E extends EventShape>(
  store: TidemarkStore<E>,
  options: ExportOptions = {},
): AsyncIterable<string> {
  storeInternals(store).assertOpen()
  onlyKnown(options, ['after', 'upTo', 'signal'])
  assertSignal(options.signal)
  const { after = 0, upTo = Infinity } = options
  for (const name of ['after', 'upTo'] as const) if (options[name] !== undefined) wholeNumber(options[name], name)
  if (after > upTo)
    throw new InvalidArgumentError('after', say`is ${after}, and upTo is ${upTo}: there is nothing in between.`)
  return lines(store, { ...options, after })
}

async function* lines<E extends EventShape>(
  store: TidemarkStore<E>,
  { after, upTo, signal }: ExportOptions & { after: number },
): AsyncGenerator<string, void, undefined> {
  const parts = storeInternals(store)
  const inspection = inspectionOf(store.name, parts)
  signal?.throwIfAborted()
  const end = await store.head().catch((error: unknown) => {
    // What comes before a damaged end can be exported without it.
    if (upTo === undefined || !(error instanceof EventUnreadableError)) throw error
    return Infinity
  })
  if (after > end)
    throw new InvalidArgumentError(
      'after',
      say`is ${after}, and the log ends at ${end}. Is it another log than that of the export before?`,
    )
  const head = upTo ?? end
  if (head > end) throw missing(end + 1, head)
  const previous = after === 0 ? undefined : await identityAt(inspection, after)
  yield line({
    tidemark: 'export',
    format: exportFormat,
    log: await parts.logId(),
    after,
    head,
    ...(previous && { previous }),
  } satisfies ExportHeader)
  let next = after + 1
  let commit = next
  /** The event before: the next one shows whether its commit ends with it. */
  let held: ExportedEvent | undefined
  for (let size = 16; next <= head;) {
    signal?.throwIfAborted()
    const records = await inspection.recordsFrom(next, size)
    const from = next
    for (const record of records) {
      if (next > head) break
      const { events, problem } = decodeRecord(record)
      const commits = Array.isArray(record.commits) ? (record.commits as readonly number[]) : []
      const hole = record.at > next
      if (hole || problem !== undefined) {
        if (held !== undefined) yield line(!hole && commits[0] === next ? ended(held) : held)
        assertContiguous(record, next)
        throw unreadableError(next, problem as RecordProblem)
      }
      const starts = new Set(commits)
      for (const event of events) {
        if (event.position < next || event.position > head) continue
        const begins = starts.has(event.position)
        if (begins) commit = event.position
        if (held !== undefined) {
          yield line(begins ? ended(held) : held)
          signal?.throwIfAborted()
        }
        const { position, ...rest } = event
        held = { position, commit, ...rest, ...(begins && record.origin) }
        next = position + 1
      }
    }
    // A record that ends before the position is no progress either.
    if (next === from) {
      if (held !== undefined) yield line(held)
      throw missing(next, head)
    }
    size = nextPageSize(size, records)
  }
  if (held === undefined) return
  yield line(head === end ? ended(held) : held)
  signal?.throwIfAborted()
}

const ended = (event: ExportedEvent): ExportedEvent => ({ ...event, end: true })

const missing = (position: number, head: number) =>
  new LogInconsistentError(
    position,
    say`There is no event at position ${position}, but the export is to go up to ${head}.`,
  )

/** What an import knows the event at a position by. */
async function identityAt(inspection: LogInspection, position: number): Promise<ExportHeader['previous']> {
  const [record] = await inspection.recordsFrom(position, 1)
  const event =
    record === undefined ? undefined : decodeRecord(record).events.find((event) => event.position === position)
  return event === undefined || event.id === '' ? undefined : { id: event.id, stream: event.stream }
}

function line(value: object): string {
  return `${JSON.stringify(value)}\n`
}
