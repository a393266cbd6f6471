/** Ways to lay out a log by hand. Each writer knows the head and the versions of streams, so it never reads before it writes. */
import { Tally, type Deposit, type NewDeposit } from '../cases/workload.js'
import { committed, requested, writing } from './database.js'

export interface Layout {
  /** Makes the object store `log`. */
  create(database: IDBDatabase): void
  /** Returns a function that adds events to `log`, from the first one of the log on. */
  adder(): (log: IDBObjectStore, events: readonly NewDeposit[]) => void
  /** Reads everything back. */
  tally(database: IDBDatabase): Promise<Tally>
}

/** Returns a function that adds events in a transaction of their own. */
export function writerOf(layout: Layout, database: IDBDatabase): (events: readonly NewDeposit[]) => Promise<void> {
  const add = layout.adder()
  return (events) => {
    const transaction = writing(database, 'log')
    add(transaction.objectStore('log'), events)
    transaction.commit()
    return committed(transaction)
  }
}

interface StoredDeposit extends NewDeposit {
  readonly version: number
  readonly id: string
  readonly time: number
}

/** Gives events what they need to be stored. */
function recorder(): (event: NewDeposit) => StoredDeposit {
  const versions = new Map<string, number>()
  return ({ stream, type, data }) => {
    const version = (versions.get(stream) ?? 0) + 1
    versions.set(stream, version)
    return { stream, version, type, id: crypto.randomUUID(), time: Date.now(), data }
  }
}

/** L1: a record per event with a generated key, and no index. */
export const recordPerEvent: Layout = {
  create: (database) => void database.createObjectStore('log', { autoIncrement: true }),
  adder() {
    const record = recorder()
    return (log, events) => {
      for (const event of events) log.add(record(event))
    }
  },
  async tally(database) {
    const tally = new Tally()
    const log = database.transaction('log').objectStore('log')
    const [keys, records] = await Promise.all([
      requested(log.getAllKeys()),
      requested(log.getAll()) as Promise<StoredDeposit[]>,
    ])
    for (const [index, { data }] of records.entries()) tally.add(keys[index] as number, data)
    return tally
  },
}

/** L2: L1 and a unique index by which a stream is read. */
export const recordPerEventIndexed: Layout = {
  ...recordPerEvent,
  create: (database) =>
    void database
      .createObjectStore('log', { autoIncrement: true })
      .createIndex('stream', ['stream', 'version'], { unique: true }),
}

/** The events of a stream in L2. */
export function readIndexedStream(database: IDBDatabase, stream: string): Promise<StoredDeposit[]> {
  return requested(
    database
      .transaction('log')
      .objectStore('log')
      .index('stream')
      .getAll(IDBKeyRange.bound([stream, 0], [stream, Infinity])),
  )
}

/** A record of the layout below holds at most this number of events. */
const recordSize = 256

interface CommitRecord {
  readonly at: number
  readonly n: number
  readonly heads: readonly (readonly [string, number])[]
  readonly commits: readonly number[]
  readonly events: string
}

/** The object store of the layout below, under any name. */
export function createRecords(database: IDBDatabase, store: string): void {
  const log = database.createObjectStore(store, { keyPath: 'at' })
  log.createIndex('heads', 'heads', { multiEntry: true })
  log.createIndex('commits', 'commits', { multiEntry: true, unique: true })
}

/** L6-string+commits: a record per commit, its events as one JSON string; a unique index of first positions refuses a stale writer. */
export const recordPerCommit: Layout = {
  create: (database) => createRecords(database, 'log'),
  adder() {
    const record = recorder()
    let head = 0
    return (log, events) => {
      const first = head + 1
      for (let start = 0; start < events.length; start += recordSize) {
        const stored = events.slice(start, start + recordSize).map(record)
        const at = first + start
        const heads = [...new Map(stored.map(({ stream, version }) => [stream, version]))]
        log.add({
          at,
          n: stored.length,
          heads,
          commits: start === 0 ? [at] : [],
          events: JSON.stringify(stored),
        } satisfies CommitRecord)
      }
      head += events.length
    }
  },
  async tally(database) {
    const tally = new Tally()
    const records = (await requested(database.transaction('log').objectStore('log').getAll())) as CommitRecord[]
    for (const { at, events } of records) {
      for (const [index, { data }] of (JSON.parse(events) as { data: Deposit }[]).entries()) tally.add(at + index, data)
    }
    return tally
  },
}
