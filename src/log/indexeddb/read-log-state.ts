/** Reads what an append depends on, inside the transaction that stores it. */
import { describe } from '../../errors.js'
import { say } from '../../messages.js'
import { requested } from '../../platform/indexeddb.js'
import type { CompiledFilter } from '../filter.js'
import type { KnownEvents, PreparedAppend } from '../prepared-append.js'
import { IdGaps } from '../record/id-gaps.js'
import type { StoredEvent } from '../record/record-text.js'
import { decodeRecord, editedError, idKey, otherIds, type CommitRecord } from '../record/record.js'
import { beginOf, firstKey, headOf, lastKey, streamHead } from './queries.js'

export interface ReadState {
  readonly head: number
  /** Where in the log no id is, as far as that was seen. */
  readonly ids: IdGaps
  /** Of the streams that the append names. */
  readonly versions: ReadonlyMap<string, number>
  readonly known: KnownEvents
  /** The first event that the condition matches. */
  readonly match: number | undefined
}

/** Whether some of its ids may be in the log. */
export const givesIds = ({ events }: PreparedAppend): boolean => events.some(({ idGiven }) => idGiven)

/** @param remembered what the writer knew before: it still holds if the head is the same */
export async function readLogState(
  commits: IDBObjectStore,
  append: PreparedAppend,
  remembered: { readonly head: number; readonly ids: IdGaps } | undefined,
): Promise<ReadState> {
  const { condition, events } = append
  const streams = [...append.expected.keys()]
  const asksIds = givesIds(append)
  const [head, topId, heads] = await Promise.all([
    headOf(commits, 'not-written'),
    // Who lets the library make ids need not know where theirs would be.
    asksIds ? lastKey(commits.index('ids'), IDBKeyRange.upperBound(otherIds, true)) : undefined,
    askEach(streams, (stream) => streamHead(commits, stream)),
  ])
  assertSpace(head + events.length)
  const versions = new Map(streams.map((stream, index) => [stream, heads[index]?.[1] ?? 0]))
  for (const [stream, version] of versions) assertVersion(stream, version, head)
  const ids = new IdGaps(asksIds ? [{ after: endOfKey(topId), before: otherIds }] : []).with(
    remembered?.head === head ? remembered.ids : undefined,
  )
  const { known, gap } = await findIds(commits, append, ids)
  const match = condition === undefined ? undefined : await firstMatch(commits, condition.filter, condition.after)
  return { head, ids: ids.with(gap), versions, known, match }
}

/** How many requests are made in one go. */
const askedAtOnce = 256

/** Asks for each. Between many of them it waits for the storage, so that the page can respond. */
async function askEach<T, R>(items: readonly T[], ask: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = []
  for (let from = 0; from < items.length; from += askedAtOnce)
    for (const result of await Promise.all(items.slice(from, from + askedAtOnce).map(ask))) results.push(result)
  return results
}

/** @throws LogInconsistentError if the last position would be the last whole number: a record was edited */
export function assertSpace(head: number): void {
  if (head >= Number.MAX_SAFE_INTEGER)
    throw editedError(head, say`No position is left behind the last record`, 'not-written')
}

/** @throws LogInconsistentError for what is not a version, or the last whole number: a record was edited */
export function assertVersion(stream: string, version: number, head: number): void {
  if (!Number.isSafeInteger(version) || version < 0 || version >= Number.MAX_SAFE_INTEGER) {
    throw editedError(
      head,
      say`A record says that stream '${stream}' is at version ${describe(version)}`,
      'not-written',
    )
  }
}

/** Every id of the millisecond that a key of the index `ids` names counts as known. */
const endOfKey = (key: unknown): string => (key === undefined ? '' : `${String(key)}~`)

/**
 * The events of the log that have given ids of an append, if they may be there, and around the first of them where no
 * id is.
 */
async function findIds(
  commits: IDBObjectStore,
  append: PreparedAppend,
  ids: IdGaps,
): Promise<{ known: KnownEvents; gap?: IdGaps }> {
  const known = new Map<string, StoredEvent>()
  const wanted = new Set<string>()
  const keys = new Set<string>()
  let lowest = otherIds
  for (const event of append.events) {
    if (!event.idGiven || ids.isNew(event.id)) continue
    const key = idKey(event.id)
    if (key < lowest) lowest = key
    wanted.add(event.id)
    keys.add(key)
  }
  if (wanted.size === 0) return { known }
  const index = commits.index('ids')
  // Behind an id that a fast clock made (H52) there is space for those of today: the next append need not ask.
  const inGap = lowest !== otherIds
  const [below, above, candidates] = await Promise.all([
    inGap ? lastKey(index, IDBKeyRange.upperBound(lowest)) : undefined,
    inGap ? firstKey(index, IDBKeyRange.bound(lowest, otherIds, true, true)) : undefined,
    askEach([...keys], (key) => requested(index.getAll(key)) as Promise<CommitRecord[]>),
  ])
  const seen = new Set<number>()
  for (const record of candidates.flat()) {
    if (seen.has(record.at)) continue
    seen.add(record.at)
    for (const event of decodeRecord(record).events) if (wanted.has(event.id)) known.set(event.id, event)
  }
  return inGap
    ? { known, gap: new IdGaps([{ after: endOfKey(below), before: above === undefined ? otherIds : String(above) }]) }
    : { known }
}

/** The first event after a position that a filter matches. */
async function firstMatch(commits: IDBObjectStore, filter: CompiledFilter, after: number): Promise<number | undefined> {
  let from = (await beginOf(commits, after + 1)) ?? after + 1
  for (;;) {
    const records = (await requested(commits.getAll(IDBKeyRange.lowerBound(from), 64))) as CommitRecord[]
    if (records.length === 0) return undefined
    for (const record of records) {
      for (const event of decodeRecord(record).events)
        if (event.position > after && filter.matches(event)) return event.position
      from = record.at + record.n
    }
  }
}
