/** Runs in the browser. A single append, in steps from IndexedDB by hand to the library. */
import { openEventStore } from 'tidemark'
import { anyEvents } from '../../../src/events/catalogue-core.js'
import { indexedDbLog } from '../../../src/log/indexeddb/indexeddb-log.js'
import { storeInternals } from '../../../src/log/open.js'
import { prepareAppend } from '../../../src/log/prepare.js'
import { readWrites } from '../../../src/log/read-writes.js'
import { encodeRecords, type CommitRecord } from '../../../src/log/record/record.js'
import { systemClock } from '../../../src/platform/clock.js'
import { Connection } from '../../../src/platform/connection.js'
import { transact } from '../../../src/platform/indexeddb.js'
import { deposit, streamCount } from '../../cases/workload.js'
import { committed, openDatabase, writing } from '../../raw/database.js'
import { recordPerCommit, writerOf } from '../../raw/layouts.js'

type Append = (n: number) => Promise<unknown>

const context = { catalogue: anyEvents, codec: undefined, clock: systemClock, maxEventCharacters: 1024 * 1024 }
const prepare = (n: number, version: number) => {
  const { stream, type, data } = deposit(n)
  return prepareAppend(
    readWrites([{ stream, expectedVersion: version, events: [{ type, data }] }]),
    {},
    context,
  ) as never
}

function create(indexes: readonly string[]) {
  return (database: IDBDatabase) => {
    const log = database.createObjectStore('commits', { keyPath: 'at' })
    for (const name of indexes) log.createIndex(name, name, { multiEntry: true, unique: name === 'commits' })
  }
}

const all = ['heads', 'commits', 'ids']

/** The head and versions that a writer by hand remembers. */
function memory() {
  let head = 0
  const versions = new Map<string, number>()
  const versionOf = (stream: string) => versions.get(stream) ?? 0
  return {
    version: (n: number) => versionOf(deposit(n).stream),
    record(n: number): CommitRecord {
      const { stream } = deposit(n)
      const prepared = prepare(n, versionOf(stream))
      const record = encodeRecords(prepared, head + 1, versionOf).next().value as CommitRecord
      head += 1
      versions.set(stream, versionOf(stream) + 1)
      return record
    },
  }
}

async function addByHand(database: IDBDatabase, record: CommitRecord) {
  const transaction = writing(database, 'commits')
  transaction.objectStore('commits').add(record)
  transaction.commit()
  return committed(transaction)
}

const options = { stores: ['commits'], mode: 'readwrite', durability: 'relaxed', what: 'appending' } as const
const work = (record: CommitRecord) => async (transaction: IDBTransaction) => {
  transaction.objectStore('commits').add(record)
  transaction.commit()
}

const steps: Record<string, (name: string) => Promise<Append>> = {
  async 'raw layout of the bench'(name) {
    const write = writerOf(recordPerCommit, await openDatabase(name, recordPerCommit.create))
    return (n) => write([deposit(n)])
  },
  async 'records of the library, its three indexes'(name) {
    const database = await openDatabase(name, create(all))
    const { record } = memory()
    return (n) => addByHand(database, record(n))
  },
  async '… without the index of ids'(name) {
    const database = await openDatabase(name, create(['heads', 'commits']))
    const { record } = memory()
    return (n) => addByHand(database, record(n))
  },
  async '… without indexes'(name) {
    const database = await openDatabase(name, create([]))
    const { record } = memory()
    return (n) => addByHand(database, record(n))
  },
  async '+ a timer'(name) {
    const database = await openDatabase(name, create(all))
    const { record } = memory()
    return async (n) => {
      const given = record(n)
      const transaction = writing(database, 'commits')
      const timer = setTimeout(() => {}, 30_000)
      transaction.objectStore('commits').add(given)
      transaction.commit()
      await committed(transaction)
      clearTimeout(timer)
    }
  },
  async '+ a listener'(name) {
    const database = await openDatabase(name, create(all))
    const { record } = memory()
    return async (n) => {
      const given = record(n)
      const transaction = writing(database, 'commits')
      const listener = () => {}
      database.addEventListener('close', listener)
      transaction.objectStore('commits').add(given)
      transaction.commit()
      await committed(transaction)
      database.removeEventListener('close', listener)
    }
  },
  async '+ ten awaits'(name) {
    const database = await openDatabase(name, create(all))
    const { record } = memory()
    return async (n) => {
      const given = record(n)
      for (let i = 0; i < 5; i += 1) await undefined
      await addByHand(database, given)
      for (let i = 0; i < 5; i += 1) await undefined
    }
  },
  async '+ onerror'(name) {
    const database = await openDatabase(name, create(all))
    const { record } = memory()
    return async (n) => {
      const given = record(n)
      const transaction = writing(database, 'commits')
      transaction.onerror = () => {}
      transaction.objectStore('commits').add(given)
      transaction.commit()
      await committed(transaction)
    }
  },
  async 'stores as list'(name) {
    const database = await openDatabase(name, create(all))
    const { record } = memory()
    return async (n) => {
      const given = record(n)
      const transaction = database.transaction([...['commits']], 'readwrite', { durability: 'relaxed' })
      transaction.objectStore('commits').add(given)
      transaction.commit()
      await committed(transaction)
    }
  },
  async '… through transact()'(name) {
    const database = await openDatabase(name, create(all))
    const { record } = memory()
    return (n) => transact(database, options, work(record(n)))
  },
  async '… through a Connection'(name) {
    const connection = new Connection({
      name,
      version: 1,
      label: name,
      upgrade: (database) => create(all)(database as never),
      verify: async () => {},
    })
    await connection.open()
    const { record } = memory()
    return (n) => connection.transact(options, work(record(n)))
  },
  async '… through the log'(name) {
    const log = indexedDbLog({ ...context, name, durability: 'relaxed' })
    await log.connection.open()
    const versions = new Map<string, number>()
    return (n) => {
      const { stream } = deposit(n)
      const version = versions.get(stream) ?? 0
      versions.set(stream, version + 1)
      return Promise.resolve(log.append(prepare(n, version), {}))
    }
  },
  async '… through the store, prepared'(name) {
    const store = await openEventStore({ name, durability: 'relaxed' })
    const { appendPrepared } = storeInternals(store)
    const versions = new Map<string, number>()
    return (n) => {
      const { stream } = deposit(n)
      const version = versions.get(stream) ?? 0
      versions.set(stream, version + 1)
      return appendPrepared(prepare(n, version), {})
    }
  },
  async 'the library'(name) {
    const store = await openEventStore({ name, durability: 'relaxed' })
    const versions = new Map<string, number>()
    return (n) => {
      const { stream, type, data } = deposit(n)
      const version = versions.get(stream) ?? 0
      versions.set(stream, version + 1)
      return store.append([{ stream, expectedVersion: version, events: [{ type, data }] }])
    }
  },
}
Object.assign(window, {
  bench: true,
  async experiment({ rounds = 40, each = 50, only = '' }) {
    const names = Object.keys(steps).filter((name) => name.includes(only))
    const appends = new Map<string, Append>()
    for (const name of names) {
      const append = await steps[name]!(`step-${name}-${Math.random()}`)
      for (let n = 0; n < streamCount; n += 1) await append(n)
      appends.set(name, append)
    }
    const times: Record<string, number[]> = Object.fromEntries(names.map((name) => [name, []]))
    let at = streamCount
    for (let round = 0; round < rounds; round += 1) {
      for (let turn = 0; turn < names.length; turn += 1) {
        const name = names[(turn + round) % names.length]!
        const append = appends.get(name)!
        const start = performance.now()
        for (let n = 0; n < each; n += 1) await append(at + n)
        times[name]!.push((performance.now() - start) / each)
      }
      at += each
    }
    return times
  },
})
