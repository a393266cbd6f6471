/** Two ways to lay out a log by hand. Each writer knows the head and the versions of streams, so it never reads before it writes. */
import type { NewDeposit } from '../cases/workload.js'
import { Tally, type Deposit } from '../cases/workload.js'
import { committed, requested, writing } from './database.js'

interface StoredDeposit extends NewDeposit {
  readonly version: number
  readonly id: string
  readonly time: number
}

export interface Layout {
  create(database: IDBDatabase): void
  writer(database: IDBDatabase): (events: readonly NewDeposit[]) => Promise<void>
  tally(database: IDBDatabase): Promise<Tally>
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
  writer(database) {
    const record = recorder()
    return (events) => {
      const transaction = writing(database, 'log')
      const log = transaction.objectStore('log')
      for (const event of events) log.add(record(event))
      transaction.commit()
      return committed(transaction)
    }
  },
  async tally(database) {
    const tally = new Tally()
    const log = database.transaction('log').objectStore('log')
    const [keys, records] = await Promise.all([requested(log.getAllKeys()), requested(log.getAll()) as Promise<StoredDeposit[]>])
    for (const [index, { data }] of records.entries()) tally.add(keys[index] as number, data)
    return tally
  },
}

/** A record of the layout below holds at most so many events. */
const recordSize = 256

interface CommitRecord {
  readonly at: number
  readonly n: number
  readonly heads: readonly (readonly [string, number])[]
  readonly commits: readonly number[]
  readonly events: string
}

/** L6-string+commits: a record per commit, its events as one JSON string; a unique index of first positions refuses a stale writer. */
export const recordPerCommit: Layout = {
  create(database) {
    const log = database.createObjectStore('log', { keyPath: 'at' })
    log.createIndex('heads', 'heads', { multiEntry: true })
    log.createIndex('commits', 'commits', { multiEntry: true, unique: true })
  },
  writer(database) {
    const record = recorder()
    let head = 0
    return (events) => {
      const transaction = writing(database, 'log')
      const log = transaction.objectStore('log')
      const first = head + 1
      for (let start = 0; start < events.length; start += recordSize) {
        const stored = events.slice(start, start + recordSize).map(record)
        const at = first + start
        const heads = [...new Map(stored.map(({ stream, version }) => [stream, version]))]
        log.add({ at, n: stored.length, heads, commits: start === 0 ? [at] : [], events: JSON.stringify(stored) } satisfies CommitRecord)
      }
      transaction.commit()
      head += events.length
      return committed(transaction)
    }
  },
  async tally(database) {
    const tally = new Tally()
    const records = await requested(database.transaction('log').objectStore('log').getAll()) as CommitRecord[]
    for (const { at, events } of records) {
      for (const [index, { data }] of (JSON.parse(events) as { data: Deposit }[]).entries()) tally.add(at + index, data)
    }
    return tally
  },
}
