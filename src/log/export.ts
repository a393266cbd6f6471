/** A log as text: newline-delimited JSON, a header and then one line per event. */
import { EventUnreadableError, IntegrityError } from '../errors.js'
import type { EventShape } from '../events/event.js'
import type { ReadOptions } from './event-store.js'
import { inspectionOf, nextPageSize } from './inspection.js'
import { storeInternals, type TidemarkStore } from './open.js'
import { wholeNumber } from './prepare.js'
import type { StoredEvent } from './record-text.js'
import { assertContiguous, decodeRecord } from './record.js'

/** The format of the text that this build writes, and the newest that it reads. */
export const exportFormat = 1

export interface ExportOptions extends ReadOptions {
  /** Only events after this position: what came since an earlier export. @default 0 */
  readonly after?: number
  /** Only events up to this position, such as those before one that is damaged. @default the head as it is at the start */
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
}

/** Every other line: an event as it is stored, and where its commit begins. */
export interface ExportedEvent extends Omit<StoredEvent, 'position'> {
  readonly position: number
  /** Position of the first event of the same commit: they are imported together or not at all. */
  readonly commit: number
}

/**
 * The log as newline-delimited JSON: a header, then one line per event, in order. Each chunk is one whole line, with its line
 * feed. Events are as they are stored: not upcast, and with a codec still encoded, so that its keys must be kept elsewhere.
 * Checkpoints and read models are not part of it. `importEvents` reads it.
 *
 * @param store of `openEventStore`, or a copy of one
 * @param options positions in the log, and a `signal` that ends it with its reason
 * @throws InvalidArgumentError, ClosedError at once, for a store or position that is none, and for a store that was closed
 * @throws EventUnreadableError, IntegrityError while it is read, at the first event that cannot be read, or is not there: an export
 * is never silently incomplete. `upTo` exports what stands before it.
 *
 * @example
 * const lines: string[] = []
 * for await (const line of exportEvents(store)) lines.push(line)
 * const backup = new Blob(lines, { type: 'application/x-ndjson' })
 */
export function exportEvents<E extends EventShape>(store: TidemarkStore<E>, options: ExportOptions = {}): AsyncIterable<string> {
  storeInternals(store).assertOpen()
  for (const name of ['after', 'upTo'] as const) if (options[name] !== undefined) wholeNumber(options[name], name)
  return lines(store, options)
}

async function* lines<E extends EventShape>(store: TidemarkStore<E>, { after = 0, upTo, signal }: ExportOptions): AsyncGenerator<string, void, undefined> {
  const parts = storeInternals(store)
  const inspection = inspectionOf(store.name, parts)
  signal?.throwIfAborted()
  const head = upTo ?? (await store.head())
  yield line({ tidemark: 'export', format: exportFormat, log: await parts.identity(), after, head } satisfies ExportHeader)
  let next = after + 1
  let commit = next
  for (let size = 16; next <= head;) {
    signal?.throwIfAborted()
    const records = await inspection.recordsFrom(next, size)
    const from = next
    for (const record of records) {
      if (next > head) break
      assertContiguous(record, next)
      const { events, problem } = decodeRecord(record)
      if (problem !== undefined) throw new EventUnreadableError(next, problem)
      const starts = new Set(record.commits)
      for (const event of events) {
        if (event.position < next || event.position > head) continue
        if (starts.has(event.position)) commit = event.position
        const { position, ...rest } = event
        yield line({ position, commit, ...rest } satisfies ExportedEvent)
        signal?.throwIfAborted()
        next = position + 1
      }
    }
    // A record that ends before the position is no progress either.
    if (next === from) throw new IntegrityError(next, `There is no event at position ${next}, but the export is to go up to ${head}.`)
    size = nextPageSize(size, records)
  }
}

function line(value: object): string {
  return `${JSON.stringify(value)}\n`
}
