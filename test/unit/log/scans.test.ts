// What pages and streams have found, without a storage; and how many records are asked for.
import { expect, test } from 'vitest'
import { RequestSizes } from '../../../src/log/indexeddb/request-sizes.js'
import { compileFilter } from '../../../src/log/filter.js'
import { maxScan, PageScan } from '../../../src/log/page-scan.js'
import type { CommitRecord } from '../../../src/log/record/record.js'
import { StreamScan } from '../../../src/log/stream-scan.js'

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
const typesOf = ({ found }: { found: readonly { type: string }[] }) => found.map(({ type }) => type)

test('a page takes what the filter matches, and ends with a whole record', () => {
  const scan = new PageScan(compileFilter({ types: ['A'] }), 0, 10)
  expect(scan.share).toBe(1)
  scan.takeRecord(record(1, ['A', 'B']))
  scan.takeRecord(record(3, ['B', 'B']))
  expect(typesOf(scan)).toEqual(['A'])
  expect(scan).toMatchObject({ scannedTo: 4, isFull: false, share: 1 / 4, endsWith: { at: 3 } })
})

test('a page that is full in the middle of a record ends there', () => {
  const scan = new PageScan(compileFilter({}), 0, 3)
  scan.takeRecord(record(1, ['A', 'B']))
  scan.takeRecord(record(3, ['C', 'D']))
  expect(typesOf(scan)).toEqual(['A', 'B', 'C'])
  expect(scan).toMatchObject({ scannedTo: 3, isFull: true, endsWith: undefined })
})

test('a page that begins in the middle of a record leaves out what is before it', () => {
  const scan = new PageScan(compileFilter({}), 2, 10)
  scan.takeRecord(record(1, ['A', 'B', 'C']))
  expect(typesOf(scan)).toEqual(['C'])
})

test('events that cannot be read are part of a page, whatever it filters', () => {
  const scan = new PageScan(compileFilter({ types: ['A'] }), 0, 10)
  scan.takeRecord(record(1, ['B', 'B'], { events: 'no JSON' }))
  expect([...scan.broken.keys()]).toEqual([1, 2])
  expect(scan.found).toHaveLength(2)
})

test('W6: a page that finds little is full after 32,768 events', () => {
  const scan = new PageScan(compileFilter({ types: ['A'] }), 0, 10)
  const many = Array.from({ length: 512 }, () => 'B')
  for (let at = 1; !scan.isFull; at += 512) scan.takeRecord(record(at, many))
  expect(scan).toMatchObject({ scannedTo: maxScan, found: [], share: 1 / maxScan })
})

test('a hole between records is an error', () => {
  const scan = new PageScan(compileFilter({}), 0, 10)
  scan.takeRecord(record(1, ['A']))
  expect(() => scan.takeRecord(record(3, ['A']))).toThrow(/positions 2 to 2 are missing/)
})

test('a stream takes its events, counts their versions, and hands them over once', () => {
  const scan = new StreamScan('s', 1, 2)
  expect(scan.takeRecord(record(1, ['A', 'B', 'C', 'D']))).toBeUndefined()
  expect(typesOf(scan.take())).toEqual(['B', 'C'])
  expect(scan).toMatchObject({ left: 0, after: 4 })
  expect(scan.take().found).toEqual([])
})

test('a stream ends with an error where a version is missing, and keeps what is before it', () => {
  const scan = new StreamScan('s', 0, Infinity)
  expect(scan.takeRecord(record(1, ['A']))).toBeUndefined()
  expect(scan.takeRecord(record(3, ['C']))).toMatchObject({ message: expect.stringContaining('where 2 comes next') })
  expect(typesOf(scan.take())).toEqual(['A'])
})

test('a stream whose record says an impossible version ends with an error', () => {
  const scan = new StreamScan('s', 0, Infinity)
  const problem = scan.takeRecord(record(1, ['A'], { heads: [['s', 1.5]] }))
  expect(problem).toMatchObject({ message: expect.stringContaining("stream 's' is at version 1.5") })
})

test('requests get as large as the records that were read allow', () => {
  const sizes = new RequestSizes()
  // What is expected before anything was read: 64 events a record, a quarter of a millisecond each.
  expect(sizes.recordsFor(64)).toBe(1)
  expect(sizes.recordsFor(6400)).toBe(8)
  for (let times = 0; times < 20; times += 1) sizes.took(0, 1)
  sizes.arrived([record(1, ['A', 'B']), record(3, ['A', 'B'])])
  expect(sizes.recordsFor(100)).toBe(50)
  expect(sizes.recordsFor(1_000_000)).toBe(1024)
  // Half a mebicharacter each: two of them make a request.
  sizes.arrived([record(1, ['A', 'B'], { events: ' '.repeat(512 * 1024) })])
  expect(sizes.recordsFor(1_000_000)).toBe(2)
  sizes.took(10, 1)
  expect(sizes.recordsFor(1_000_000)).toBe(1)
})

test('requests for a stream begin with 128 records, and follow the size of the last ones', () => {
  const sizes = new RequestSizes()
  expect(sizes.ofStream).toBe(128)
  sizes.streamArrived([record(1, ['A'])])
  expect(sizes.ofStream).toBe(512)
  sizes.streamArrived([record(1, ['A'], { events: ' '.repeat(64 * 1024) })])
  expect(sizes.ofStream).toBe(15)
  sizes.streamArrived([record(1, ['A'], { events: ' '.repeat(4 * 1024 * 1024) })])
  expect(sizes.ofStream).toBe(1)
})
