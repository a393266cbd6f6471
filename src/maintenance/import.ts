/** Putting an export back: events as they were recorded, appended once, however often it is tried. */
import { describe, hasCode, InvalidArgumentError, InvalidImportError, type InvalidEventError } from '../errors.js'
import { say } from '../messages.js'
import type { EventShape } from '../events/event.js'
import { assertSignal, onlyKnown } from '../platform/arguments.js'
import { Slices } from '../platform/slices.js'
import type { ReadOptions } from '../log/event-store.js'
import type { ExportHeader } from './export.js'
import { ImportBatch, missing, type Stored } from './import-batch.js'
import { eventOf, headerOf, parseLine, type ImportedLine } from './import-lines.js'
import { inspectionOf } from './inspection.js'
import { linesOf, type LineSource } from './lines.js'
import { storeInternals, type TidemarkStore } from '../log/open.js'
import { encodeEvent, type EventDraft } from '../log/encode.js'

/** What `importEvents` takes. */
export interface ImportOptions extends ReadOptions {
  /** Called after every transaction. */
  onProgress?(progress: ImportProgress): void
}

/** How far an import has come. */
export interface ImportProgress {
  /** Events stored so far. */
  readonly imported: number
  /** Events that were in the log already, by their ids. */
  readonly skipped: number
  /** Events that the source says it has. */
  readonly total: number
}

/** What an import did. */
export interface ImportResult extends ImportProgress {
  /** The head of the log after the last event that was stored or found. */
  readonly position: number
}

/**
 * Appends the events of an export, in their order, with their ids, times, `meta` and the schema versions they were
 * stored with. Neither schemas nor the codec are asked: they were when the events were recorded. Events of one commit
 * are stored together. A store of `tidemark/postgres` keeps who appended them and when, if the export is of one.
 *
 * Events whose ids are in the log are skipped, so an import that was broken off, or a part that was imported before, is
 * simply imported again. In an empty log every event gets the position and version it had; in another one, the next
 * ones.
 *
 * What the source says of itself is checked:
 * - A part (`exportEvents(store, { after })`) goes into a log that has what comes before it. Out of order, or with a
 * part in between missing, it is refused with the positions that are missing, and nothing of it is stored. Parts may
 * overlap.
 * - The events of a stream keep their order. A log that has other streams, or events of its own at the end of these,
 * takes an export; one that has an event already but not those of its stream that come before it refuses it.
 * - An id that is in the log in another stream, or twice in the source with other content, is refused.
 * - What the log refuses takes the other events of its transaction along; transactions before it stay.
 * - A source that ends before its last event was cut off.
 *
 * @param source is closed if it is not read to its end
 * @param options `signal` ends it with the signal's reason, also while the source is silent; transactions that were
 * committed stay
 * @throws InvalidImportError with the line that is refused, damaged or missing, or at which the source failed (then the
 * failure is the `cause`). Every whole commit before a damaged line is stored. Run again with a source that is whole,
 * it stores the rest.
 * @throws UnsupportedFormatError for an export of a newer tidemark
 *
 * @example
 * await importEvents(store, (await fetch('/backup.ndjson')).body!)
 */
export async function importEvents<E extends EventShape>(
  store: TidemarkStore<E>,
  source: LineSource,
  options: ImportOptions = {},
): Promise<ImportResult> {
  onlyKnown(options, ['signal', 'onProgress'])
  const { signal, onProgress } = options
  assertSignal(signal)
  if (onProgress !== undefined && typeof onProgress !== 'function')
    throw new InvalidArgumentError('onProgress', say`must be a function.`)
  const parts = storeInternals(store)
  signal?.throwIfAborted()
  let position = await store.head()
  const encode = (draft: EventDraft, path: string) => encodeEvent(draft, path, parts.maxEventCharacters)
  const stored: Stored = { first: Infinity, streams: new Set() }
  let [imported, skipped, number] = [0, 0, 0]
  let order: SourceOrder | undefined
  let batch = new ImportBatch()
  const total = () => (order === undefined ? 0 : order.header.head - order.header.after)
  const flush = async () => {
    signal?.throwIfAborted()
    if (batch.lines === 0) return
    const flushed = batch
    batch = new ImportBatch()
    const result = await parts
      .appendPrepared(flushed.prepared(stored, order?.firsts ?? new Set()), signal === undefined ? {} : { signal })
      .catch((cause: unknown) => {
        // What the log refuses, such as the id of another event, is the fault of the source.
        if (!hasCode(cause, 'invalid-event')) throw cause
        // The path begins with the line; see ImportBatch.
        const line = Number(/\d+/.exec((cause as InvalidEventError).path)?.[0])
        throw new InvalidImportError(line, say`is refused by this log: ${cause.message}`, {
          cause,
        })
      })
    const count = result.duplicate ? 0 : result.position - result.firstPosition + 1
    if (count > 0) stored.first = Math.min(stored.first, result.firstPosition)
    for (const stream of flushed.grown) stored.streams.add(stream)
    imported += count
    skipped += flushed.lines - count
    position = Math.max(position, result.position)
    onProgress?.({ imported, skipped, total: total() })
  }
  const slices = new Slices()
  try {
    for await (const text of linesOf(source, signal)) {
      number += 1
      if (text.trim() === '') continue
      const value = parseLine(text, number)
      if (order === undefined) {
        const header = headerOf(value, number)
        await assertContinues(store, header, position, number)
        order = new SourceOrder(header)
        continue
      }
      const line = eventOf(value, number, encode)
      order.check(line)
      // Where no line says that it ends a commit, the next one does.
      batch.begins(line)
      if (batch.isDue) await flush()
      batch.add(line)
      if (batch.isDue) await flush()
      if (slices.isOver) await slices.turn()
    }
    if (order === undefined)
      throw new InvalidImportError(Math.max(1, number), say`is the end, and there was no header. Is it an export?`)
    order.assertWhole(number)
  } catch (error) {
    if (signal?.aborted === true) throw error
    // Nothing is left of a batch whose append failed.
    batch.cut()
    await flush()
    throw error
  }
  await flush()
  return { imported, skipped, total: total(), position }
}

/** Whether the lines come as their header says, and as their streams do. */
class SourceOrder {
  readonly header: ExportHeader
  /** Lines that begin a stream whose earlier events must be in the log. */
  readonly firsts = new Set<number>()
  readonly #versions = new Map<string, number>()
  #last: number
  #commit = 0

  constructor(header: ExportHeader) {
    this.header = header
    this.#last = header.after
  }

  check({ at, version, commit, number, event: { stream } }: ImportedLine): void {
    const { after, head } = this.header
    const next = this.#last + 1
    const wrong = (problem: string) => new InvalidImportError(number, problem)
    if (at > head)
      throw wrong(
        say`has position ${at}, and the header announces ${head} as the last one: it belongs to another export.`,
      )
    if (at > next)
      throw wrong(
        say`has position ${at}, where ${next} comes next: ${missing('position', next, at - 1)}, or the lines are out of order.`,
      )
    if (at < next) throw wrong(say`has position ${at}, where ${next} comes next: lines are out of order, or doubled.`)
    // A part may begin inside of a commit.
    if (commit !== this.#commit && commit !== at && this.#last !== after)
      throw wrong(say`belongs to the commit at ${commit}, which is not that of the line before.`)
    const before = this.#versions.get(stream)
    if (before === undefined && after > 0) this.firsts.add(number)
    else if (version !== (before ?? 0) + 1)
      throw wrong(say`is version ${version} of stream '${stream}', where ${(before ?? 0) + 1} comes next.`)
    this.#versions.set(stream, version)
    this.#last = at
    this.#commit = commit
  }

  assertWhole(number: number): void {
    const { head } = this.header
    if (this.#last < head)
      throw new InvalidImportError(
        number,
        say`is the last one, with position ${this.#last}, and the header announces ${head}: the source was cut off, ${missing('position', this.#last + 1, head)}. Import a whole one.`,
      )
  }
}

/** A part continues the log: what comes before it must be there. */
async function assertContinues<E extends EventShape>(
  store: TidemarkStore<E>,
  { log, after, previous }: ExportHeader,
  head: number,
  number: number,
): Promise<void> {
  if (after === 0) return
  const first = say`Import the parts before this one first.`
  if (head < after) {
    const copy = head === 0 ? '' : say` (all up to ${after}, if this log is not a copy of that one up to its head)`
    throw new InvalidImportError(
      number,
      say`announces events after position ${after} of the log ${describe(log)}, and this log ends at ${head}: ${missing('position', head + 1, after)}${copy}. ${first}`,
    )
  }
  if (
    previous === undefined ||
    (await inspectionOf(store.name, storeInternals(store)).holds(previous.id, previous.stream))
  )
    return
  throw new InvalidImportError(
    number,
    say`announces events after position ${after} of the log ${describe(log)}, and this log does not have the event at that position ('${previous.id}' of stream '${previous.stream}'): all positions up to ${after}, or some of them, are missing. ${first}`,
  )
}
