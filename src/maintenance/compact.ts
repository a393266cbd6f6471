/**
 * Compaction: small commits share a record, so that the log is read faster and takes less room. Nothing of it is lost.
 */
import { InvalidArgumentError } from '../errors.js'
import { say } from '../messages.js'
import type { EventShape } from '../events/event.js'
import { assertSignal, onlyKnown, wholeNumber } from '../platform/arguments.js'
import type { ReadOptions } from '../log/event-store.js'
import { replaceRecords } from './indexeddb/replace-records.js'
import { inspectionOf } from './inspection.js'
import { recordsLock, storeInternals, type TidemarkStore } from '../log/open.js'
import { encodeAgain } from '../log/encode.js'
import { decodeRecord, endOf, sizeOf, type CommitRecord } from '../log/record/record.js'
import { eventsText, type StoredEvent } from '../log/record/record-text.js'

/** What `compactEvents` takes. */
export interface CompactOptions extends ReadOptions {
  /**
   * How many events one record holds at most, 2 to 256. More make it faster to read the whole log, and slower to read
   * one stream that is mixed with others: all of a record is decoded to read one event of it. @default 16
   */
  readonly eventsPerRecord?: number
}

/** What a compaction did. */
export interface CompactionResult {
  /** How many records there were up to the head … */
  readonly before: number
  /** … and how many there are now. */
  readonly after: number
}

/** A compacted record grows no further above so many characters: Chromium keeps large values in files of their own. */
const maxCharacters = 32 * 1024
/** How many records are looked at together, at first and at most. */
const fewestRecords = 64
const mostRecords = 512
/** More characters than these are too many for that. */
const mostCharacters = 2 * 1024 * 1024

/**
 * Joins small commits that stand next to each other into records of up to `eventsPerRecord` events. Each commit is a
 * record when it is appended, so a log of single events is read several times as fast afterwards: by projections that
 * are rebuilt, exports and verification. Events, positions, versions and ids stay what they are; so do conflicts and
 * the recognition of repeated ids.
 *
 * For idle moments, such as `requestIdleCallback` after start or a service worker's `periodicsync`. It works in small
 * transactions, between which others append and read; aborted or killed in the middle it leaves a log that is whole,
 * and the next one goes on. Several at once do no harm. What does not fill a record yet stays as it is at the end of
 * the log. Records that are damaged, or that a newer version of this app stored, are left alone. In memory there is
 * nothing to do.
 *
 * @param store of `openEventStore`, or a copy of one
 * @param options `signal` ends it: it rejects with the signal's reason
 * @throws InvalidArgumentError if `store` was not opened with `openEventStore`, and for options that are wrong or
 * misspelt
 * @throws ClosedError, StorageLostError, StorageFailedError, StorageFullError and their like; the log is whole all the
 * same
 *
 * @example
 * requestIdleCallback(() => void compactEvents(store).catch(report))
 */
export async function compactEvents<E extends EventShape>(
  store: TidemarkStore<E>,
  options: CompactOptions = {},
): Promise<CompactionResult> {
  onlyKnown(options, ['eventsPerRecord', 'signal'])
  const { eventsPerRecord = 16, signal } = options
  assertSignal(signal)
  if (wholeNumber(eventsPerRecord, 'eventsPerRecord', 2) > 256)
    throw new InvalidArgumentError('eventsPerRecord', say`must be at most 256.`)
  const parts = storeInternals(store)
  parts.assertOpen()
  signal?.throwIfAborted()
  const head = await store.head()
  const inspection = inspectionOf(store.name, parts)
  let [before, after] = [0, 0]
  let next = 1
  for (let size = fewestRecords; next <= head;) {
    signal?.throwIfAborted()
    // A verification counts what it sees, and must not see some of it twice.
    const guard = await store.coordinator.acquire(recordsLock, signal === undefined ? {} : { signal })
    try {
      const records = await inspection.recordsFrom(next, size)
      const last = records.at(-1)
      if (last === undefined) break
      const { groups, open } = grouped(records, eventsPerRecord)
      // What is not full yet may go on behind what was read, or behind the head.
      const isEnd = endOf(last) >= head
      if (!isEnd && open[0] === records[0] && size < mostRecords) {
        size = Math.min(size * 2, mostRecords)
        continue
      }
      const rewritten =
        parts.medium === 'indexeddb' && (await replaceRecords(parts.connection, store.name, groups, joined))
      const here = isEnd || open[0] === undefined ? records.length : records.indexOf(open[0])
      before += here
      after += rewritten ? groups.reduce((sum, group) => sum - group.length + 1, here) : here
      next = isEnd ? head + 1 : (open[0]?.at ?? endOf(last) + 1)
      const isMuch = records.reduce((sum, record) => sum + sizeOf(record), 0) > mostCharacters
      size = isMuch ? Math.max(1, size >> 1) : Math.min(size * 2, mostRecords)
    } finally {
      guard.release()
    }
  }
  return { before, after }
}

/** Neighbours that fit into one record, and those at the end that more may be joined to. */
function grouped(records: readonly CommitRecord[], most: number): { groups: CommitRecord[][]; open: CommitRecord[] } {
  const groups: CommitRecord[][] = []
  let open: CommitRecord[] = []
  let [count, characters] = [0, 0]
  const close = () => {
    if (open.length > 1) groups.push(open)
    open = []
    count = characters = 0
  }
  for (const record of records) {
    const isSound = isJoinable(record)
    if (
      !isSound ||
      record.at !== endOf(open.at(-1)) + 1 ||
      count + record.n > most ||
      characters + sizeOf(record) > maxCharacters
    )
      close()
    if (!isSound) continue
    open.push(record)
    count += record.n
    characters += sizeOf(record)
    if (count >= most) close()
  }
  return { groups, open }
}

/** Whether it is as a build of today stores it: what is joined to something damaged would be lost with it. */
function isJoinable(record: CommitRecord): boolean {
  if (![record.heads, record.commits, record.ids].every(Array.isArray) || !record.heads.every(Array.isArray))
    return false
  const { events, problem } = decodeRecord(record)
  return problem === undefined && events.every(isWhole)
}

/** What is put into JSON by hand is what it should be, and the rest is there. */
const isWhole = ({ type, stream, id, time, schema = 1, version, data }: StoredEvent): boolean =>
  [type, stream, id].every((part) => typeof part === 'string') &&
  [time, schema, version].every(Number.isFinite) &&
  data !== undefined

function joined(group: readonly CommitRecord[]): CommitRecord {
  const events = group.flatMap((record) => decodeRecord(record).events)
  return {
    at: (group[0] as CommitRecord).at,
    n: events.length,
    heads: [...new Map(group.flatMap(({ heads }) => heads))],
    commits: group.flatMap(({ commits }) => commits),
    ids: [...new Set(group.flatMap(({ ids }) => ids))],
    ...eventsText(
      events.map(encodeAgain),
      events.map(({ version }) => version),
    ),
  }
}
