/** Logs without tidemark: the limit for everything that reads one. */
import type { Deposit, NewDeposit } from '../cases/workload.js'
import { committed, openDatabase, requested, writing } from './database.js'
import { createRecords, recordPerCommit } from './layouts.js'

/** The stored form of small commits; docs/decisions/0001-log-layout.md. */
interface CommitRecord {
  readonly at: number
  readonly n: number
  readonly heads: readonly (readonly [string, number])[]
  readonly commits: readonly number[]
  readonly ids: readonly string[]
  readonly events: string
}

export interface StoredEvent {
  readonly type: string
  readonly data: Deposit
  readonly stream: string
  readonly version: number
  readonly id: string
  readonly time: number
}

/** The database of an event store, which must exist. */
export const openLog = (store: string): Promise<IDBDatabase> => openDatabase(`tidemark:${store}`)

/** A log in records of 256 events, one after the other in each, the layout L6/256. */
export async function openLogByHand(name: string, commits: Iterable<readonly NewDeposit[]>): Promise<IDBDatabase> {
  const log = await openDatabase(name, (database) => createRecords(database, 'commits'))
  const add = recordPerCommit.adder()
  for (const events of commits) {
    const transaction = writing(log, 'commits')
    add(transaction.objectStore('commits'), events)
    transaction.commit()
    await committed(transaction)
  }
  return log
}

/** Reads a log whose events are stored one after the other up to a position by `getAll`, a number of records at a time, and parses it. */
export async function readLog(
  log: IDBDatabase,
  pageRecords: number,
  each: (position: number, event: StoredEvent) => void,
  upTo = Infinity,
): Promise<void> {
  for (let from = 1; ;) {
    const records = await readRecords(log, from, pageRecords)
    if (records.length === 0) return
    for (const { at, n, events } of records) {
      const parsed = JSON.parse(events) as StoredEvent[]
      for (let index = 0; index < n; index += 1) {
        if (at + index > upTo) return
        each(at + index, parsed[index] as StoredEvent)
      }
      from = at + n
    }
  }
}

/** The same for what waits: it is awaited for each event. */
export async function readLogWaiting(
  log: IDBDatabase,
  pageRecords: number,
  each: (position: number, event: StoredEvent) => Promise<void>,
): Promise<void> {
  for (let from = 1; ;) {
    const records = await readRecords(log, from, pageRecords)
    if (records.length === 0) return
    for (const { at, n, events } of records) {
      const parsed = JSON.parse(events) as StoredEvent[]
      for (let index = 0; index < n; index += 1) await each(at + index, parsed[index] as StoredEvent)
      from = at + n
    }
  }
}

function readRecords(log: IDBDatabase, from: number, count: number): Promise<CommitRecord[]> {
  return requested(log.transaction('commits').objectStore('commits').getAll(IDBKeyRange.lowerBound(from), count))
}

/**
 * Fills an empty log with one-event commits, as that number of appends would have, but in a few transactions. That the store then
 * reads them is part of what the cases check.
 */
export async function fillWithSmallCommits(store: string, events: readonly StoredEvent[]): Promise<void> {
  const log = await openLog(store)
  for (let start = 0; start < events.length; start += 5_000) {
    const transaction = writing(log, 'commits')
    const commits = transaction.objectStore('commits')
    for (const [index, event] of events.slice(start, start + 5_000).entries()) {
      const at = start + index + 1
      // An id is found by its first 13 characters, the millisecond of a UUIDv7.
      commits.add({
        at,
        n: 1,
        heads: [[event.stream, event.version]],
        commits: [at],
        ids: [event.id.slice(0, 13)],
        events: JSON.stringify([event]),
      } satisfies CommitRecord)
    }
    transaction.commit()
    await committed(transaction)
  }
  log.close()
}
