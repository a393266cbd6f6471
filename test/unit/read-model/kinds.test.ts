import { runInNewContext } from 'node:vm'
import { afterEach, expect, test, vi } from 'vitest'
import { timeOf } from '../../../src/read-model/kinds.js'

afterEach(() => {
  vi.restoreAllMocks()
})

test('the time of a Date is found, also of one of another realm, and of one that is not valid', () => {
  expect(timeOf(new Date(7))).toBe(7)
  expect(timeOf(runInNewContext('new Date(8)') as object)).toBe(8)
  expect(timeOf(new Date(Number.NaN))).toBeNaN()
  expect(timeOf(Object.assign(new Date(9), { [Symbol.toStringTag]: 'Other' }))).toBe(9)
})

test('what is no Date has no time, also what looks like one', () => {
  for (const value of [Object.create(Date.prototype), { [Symbol.toStringTag]: 'Date' }])
    expect(timeOf(value as object)).toBeNaN()
})

test('no engine is made to throw for an object that is no Date: that takes a hundred times as long', () => {
  const asked = vi.spyOn(Date.prototype, 'getTime')
  for (const value of [{ lower: 1 }, [1], new Uint8Array(4), new ArrayBuffer(4), new Map()])
    expect(timeOf(value)).toBeNaN()
  expect(asked).not.toHaveBeenCalled()
})
