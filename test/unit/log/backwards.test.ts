// Reading backwards asks for what it returns, and not for the log behind it.
import { afterEach, describe, expect, test, vi } from 'vitest'
import { openEventStore, type ReadAllOptions, type RecordedEvent, type TidemarkStore } from 'tidemark'
import { BackwardScan } from '../../../src/log/backward-scan.js'
import type { CommitRecord } from '../../../src/log/record/record.js'
import { fakeIndexedDB } from '../../support/fake-indexeddb.js'

fakeIndexedDB()

afterEach(() => vi.restoreAllMocks())

/** Counts what the storage is asked for. */
function counting() {
  const counts = { transactions: 0, requests: 0, records: 0 }
  const { transaction } = IDBDatabase.prototype
  vi.spyOn(IDBDatabase.prototype, 'transaction').mockImplementation(function (this: IDBDatabase, ...given) {
    counts.transactions += 1
    return transaction.apply(this, given)
  })
  for (const source of [IDBObjectStore.prototype, IDBIndex.prototype])
    for (const name of ['get', 'getAll', 'getAllKeys', 'getKey', 'openCursor', 'openKeyCursor'] as const) {
      const method = source[name] as (...given: unknown[]) => IDBRequest
      vi.spyOn(source, name).mockImplementation(function (this: unknown, ...given: unknown[]) {
        const request = method.apply(this, given)
        counts.requests += 1
        request.addEventListener('success', () => {
          const result: unknown = request.result
          if (name === 'getAll') counts.records += (result as unknown[]).length
          else if (name === 'get' || (name === 'openCursor' && result !== null)) counts.records += 1
        })
        return request
      } as never)
    }
  return counts
}

async function all(events: AsyncIterable<RecordedEvent>): Promise<number[]> {
  const list: number[] = []
  for await (const { position } of events) list.push(position)
  return list
}

const length = 2000
let filled: Promise<string> | undefined
/** A log of 2,000 records of one event each, and a stream of 20 of them. */
const log = async () => {
  filled ??= (async () => {
    const name = 'backwards'
    const store = await openEventStore({ name, durability: 'relaxed' })
    for (let at = 1; at <= length; at += 1)
      await store.append({ stream: at % 100 === 0 ? 'rare' : `s-${at % 7}`, events: [{ type: 'A', data: at }] })
    await store.close()
    return name
  })()
  return openEventStore({ name: await filled })
}

const cases: [string, (store: TidemarkStore) => AsyncIterable<RecordedEvent>, number[], object][] = [
  [
    'the last event of the log',
    (store) => store.read({ direction: 'backwards', limit: 1 }),
    [2000],
    { transactions: 1, requests: 1, records: 1 },
  ],
  [
    'the last event of a stream',
    (store) => store.readStream('rare', { direction: 'backwards', limit: 1 }),
    [2000],
    { transactions: 1, requests: 1, records: 1 },
  ],
  [
    'the event before a version',
    (store) => store.readStream('rare', { direction: 'backwards', before: 11, limit: 1 }),
    [1000],
    { transactions: 1, requests: 2, records: 2 },
  ],
  [
    'the event before a position',
    (store) => store.read({ direction: 'backwards', before: 1001, limit: 1 }),
    [1000],
    { transactions: 1, requests: 2, records: 2 },
  ],
  [
    'the last five of a stream',
    (store) => store.readStream('rare', { direction: 'backwards', limit: 5 }),
    [2000, 1900, 1800, 1700, 1600],
    { transactions: 1, requests: 1, records: 5 },
  ],
]

describe('what it costs, over 2,000 records', () => {
  test.each(cases)('%s', async (_what, read, positions, most) => {
    const store = await log()
    const counts = counting()
    expect(await all(read(store))).toEqual(positions)
    for (const [name, count] of Object.entries(most))
      expect(counts[name as keyof typeof counts], name).toBeLessThanOrEqual(count as number)
    await store.close()
  })

  test('the last twenty events: as many records, in a few requests', async () => {
    const store = await log()
    const counts = counting()
    const found = await all(store.read({ direction: 'backwards', limit: 20 }))
    expect(found).toEqual(Array.from({ length: 20 }, (_, index) => length - index))
    expect(counts.records).toBe(20)
    expect(counts.requests).toBeLessThanOrEqual(5)
    await store.close()
  })

  test('a loop that is left after one event has read no more than one request holds', async () => {
    const store = await log()
    const counts = counting()
    for await (const { position } of store.read({ direction: 'backwards' })) {
      expect(position).toBe(length)
      break
    }
    expect(counts.requests).toBe(1)
    expect(counts.records).toBeLessThanOrEqual(64)
    await store.close()
  })

  test('forwards, a limit and a bound end the reading as well', async () => {
    const store = await log()
    for (const options of [{ limit: 3 }, { before: 4 }] as ReadAllOptions[]) {
      const counts = counting()
      expect(await all(store.read(options))).toEqual([1, 2, 3])
      expect(counts.records, JSON.stringify(options)).toBeLessThanOrEqual(10)
      vi.restoreAllMocks()
    }
    await store.close()
  })
})

const record = (at: number, types: readonly string[], given: Partial<CommitRecord> = {}): CommitRecord => ({
  at,
  n: types.length,
  heads: [['s', at + types.length - 1]],
  commits: [at],
  ids: [],
  events: JSON.stringify(
    types.map((type, index) => ({ type, data: null, stream: 's', id: `${at + index}`, time: 0, version: at + index })),
  ),
  ...given,
})
const placesOf = ({ found }: { found: readonly { position: number }[] }) => found.map(({ position }) => position)

describe('what is found, without a storage', () => {
  test('of a record that holds more than is missing, only what is missing is taken: compaction joined it', () => {
    const scan = new BackwardScan({})
    scan.takeRecord(record(5, ['A', 'B']))
    expect(placesOf(scan.take())).toEqual([6, 5])
    expect(scan.takeRecord(record(3, ['A', 'B', 'A', 'B']))).toBeUndefined()
    expect(placesOf(scan.take())).toEqual([4, 3])
    expect(scan.isDone).toBe(false)
    scan.takeRecord(record(1, ['A', 'B']))
    expect(scan.isDone).toBe(true)
  })

  test('a hole between records is an error that names it, and keeps what comes first', () => {
    const scan = new BackwardScan({})
    scan.takeRecord(record(5, ['A']))
    expect(scan.takeRecord(record(2, ['A']))).toMatchObject({ code: 'log-inconsistent', position: 3 })
    expect(placesOf(scan.take())).toEqual([5])
    expect(scan.ended()).toMatchObject({ code: 'log-inconsistent', position: 1 })
  })

  test('what cannot be decoded is part of what is found, whatever is filtered', () => {
    const scan = new BackwardScan({ filter: { types: ['Z'] } })
    scan.takeRecord(record(1, ['B', 'B'], { events: 'no JSON' }))
    expect([...scan.take().broken.keys()]).toEqual([2, 1])
  })

  test('a rare type lets later requests look at more, up to 4,096 events', () => {
    const scan = new BackwardScan({ limit: 10, filter: { types: ['A'] } })
    expect(scan.wanted).toBe(10)
    scan.takeRecord(record(10_001, ['B', 'A', 'B', 'B']))
    expect(scan.wanted).toBe(36)
    scan.takeRecord(
      record(
        9_001,
        Array.from({ length: 1000 }, () => 'B'),
      ),
    )
    expect(scan.wanted).toBe(4096)
  })

  test('a stream counts its versions down, also within a record, and from a bound', () => {
    const scan = new BackwardScan({ before: 4 }, 's')
    expect(scan.takeRecord(record(2, ['A', 'B', 'C', 'D']))).toBeUndefined()
    expect(placesOf(scan.take())).toEqual([3, 2])
    expect(scan.takeRecord(record(1, ['A'], { heads: [['s', 2]] }))).toBeUndefined()
    expect(scan).toMatchObject({ isDone: true })
  })

  test('a record that holds less of the stream than it says is an error', () => {
    const scan = new BackwardScan({}, 's')
    expect(scan.takeRecord(record(2, ['A', 'B'], { heads: [['s', 9]] }))).toMatchObject({ code: 'log-inconsistent' })
    const other = new BackwardScan({}, 't')
    expect(other.takeRecord(record(2, ['A'], { heads: [['t', 2]] }))).toMatchObject({
      code: 'log-inconsistent',
      position: 2,
    })
  })
})
