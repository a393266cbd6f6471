// How one snapshot of a live query follows another.
import { expect, test } from 'vitest'
import { answered, failed, loading, rested, type LiveSnapshot } from '../../../src/reading/live-snapshot.js'

type Rows = readonly number[]
const before: LiveSnapshot<Rows> = loading
const first = answered(before, { data: [1, 2], position: 3 })
const no = new Error('no')

test('an equal answer keeps the snapshot, its data and where it was first read', () => {
  expect(first).toStrictEqual({ status: 'ready', data: [1, 2], error: undefined, stale: false, position: 3 })
  expect(answered(first, { data: [1, 2], position: 9 })).toBe(first)
  expect(answered(first, { data: [1, 3], position: 9 })).toMatchObject({ data: [1, 3], position: 9 })
})

test('after a rest an equal answer is fresh again, with the same data', () => {
  const resting = rested(first)
  expect(resting).toStrictEqual({ ...first, stale: true })
  expect(rested(resting)).toBe(resting)
  const fresh = answered(resting, { data: [1, 2], position: 9 })
  expect(fresh).toStrictEqual(first)
  expect(fresh.data).toBe(first.data)
})

test('an error keeps the last data, which is stale; after it an equal answer keeps the data as well', () => {
  const error = failed(first, no)
  expect(error).toStrictEqual({ status: 'error', data: first.data, error: no, stale: true })
  // A query that fails over and over with one error shows nothing new.
  expect(failed(error, no)).toBe(error)
  expect(failed(error, 'again')).toStrictEqual({ status: 'error', data: first.data, error: 'again', stale: true })
  expect(rested(error)).toBe(error)
  const fresh = answered(error, { data: [1, 2], position: 9 })
  expect(fresh).toStrictEqual({ status: 'ready', data: [1, 2], error: undefined, stale: false, position: 9 })
  expect(fresh.data).toBe(first.data)
})

test('without data an error is not stale, and neither is a first answer that is undefined', () => {
  const error = failed(before, no)
  expect(error).toStrictEqual({ status: 'error', data: undefined, error: no, stale: false })
  expect(failed(error, no)).toMatchObject({ stale: false })
  const empty = answered<undefined>(loading, { data: undefined, position: 4 })
  expect(empty).toStrictEqual({ status: 'ready', data: undefined, error: undefined, stale: false, position: 4 })
  expect(failed(empty, no)).toMatchObject({ stale: true })
  expect(rested(before)).toBe(loading)
})
