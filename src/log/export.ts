/** A log as text: newline-delimited JSON, a header and then one line per event. */
import { EventUnreadableError, IntegrityError } from '../errors.js'
import type { ReadOptions } from './event-store.js'
import { assertContiguous, decodeRecord, type CommitRecord, type StoredEvent } from './record.js'
import { nextPageSize } from './verify.js'

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

/** What an export needs of a log. */
export interface ExportSource {
  head(): Promise<number>
  identity(): Promise<string>
  /** Records from the one on that holds a position. */
  recordsFrom(position: number, limit: number): Promise<readonly CommitRecord[]>
}

/** The lines, each with its line feed. */
export async function* exportLines(source: ExportSource, { after = 0, upTo, signal }: ExportOptions): AsyncGenerator<string, void, undefined> {
  signal?.throwIfAborted()
  const head = upTo ?? (await source.head())
  yield line({ tidemark: 'export', format: exportFormat, log: await source.identity(), after, head } satisfies ExportHeader)
  let next = after + 1
  let commit = next
  for (let size = 16; next <= head;) {
    signal?.throwIfAborted()
    const records = await source.recordsFrom(next, size)
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
