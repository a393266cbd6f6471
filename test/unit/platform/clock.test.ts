// The clock of this context, as far as browsers force it to be more than three calls.
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { systemClock } from '../../../src/platform/clock.js'

const longest = 2 ** 31 - 1

beforeEach(() => void vi.useFakeTimers())
afterEach(() => {
  vi.restoreAllMocks()
  vi.useRealTimers()
})

test('H69: a delay that is too long for a timer is made of several, and calls back once, after all of it', () => {
  const asked = vi.spyOn(globalThis, 'setTimeout')
  const called = vi.fn()
  systemClock.schedule(2 * longest + 5, called)
  vi.advanceTimersByTime(2 * longest)
  expect(called).not.toHaveBeenCalled()
  vi.advanceTimersByTime(4)
  expect(called).not.toHaveBeenCalled()
  vi.advanceTimersByTime(1)
  expect(called).toHaveBeenCalledTimes(1)
  expect(asked.mock.calls.map(([, ms]) => ms)).toEqual([longest, longest, 5])
  expect(vi.getTimerCount()).toBe(0)
})

test('H69: it can be taken back after the first of them', () => {
  const called = vi.fn()
  const cancel = systemClock.schedule(2 * longest, called)
  vi.advanceTimersByTime(longest + 1)
  cancel()
  expect(vi.getTimerCount()).toBe(0)
  vi.advanceTimersByTime(longest)
  expect(called).not.toHaveBeenCalled()
})
