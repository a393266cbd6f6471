// How fast a projection moves, and for how long it has not moved, on a virtual clock.
import { expect, test } from 'vitest'
import { Progress } from '../../../src/running/progress.js'
import { virtualClock } from '../../../src/testing/virtual-clock.js'

test('the rate is that of the last three seconds, and unknown before there is anything to measure', async () => {
  const clock = virtualClock()
  const progress = new Progress(clock)
  expect(progress.movedTo(10)).toBeUndefined()
  await clock.advance(1_000)
  expect(progress.movedTo(60)).toBe(50)
  await clock.advance(1_000)
  expect(progress.movedTo(60)).toBe(25)
  await clock.advance(2_000)
  expect(progress.movedTo(100)).toBeUndefined()
  await clock.advance(100)
  expect(progress.movedTo(101)).toBe(10)
})

test('a step back, as at the beginning of a rebuild, is a move and begins a new measurement', async () => {
  const clock = virtualClock()
  const progress = new Progress(clock)
  progress.movedTo(50)
  progress.isBehind(true)
  await clock.advance(1_000)
  expect(progress.stillFor).toBe(1_000)
  expect(progress.movedTo(0)).toBeUndefined()
  expect(progress.stillFor).toBe(0)
  await clock.advance(1_000)
  expect(progress.movedTo(20)).toBe(20)
})

test('it stands still from the last move on, and time that is excused does not count', async () => {
  const clock = virtualClock()
  const progress = new Progress(clock)
  progress.movedTo(5)
  progress.isBehind(true)
  await clock.advance(4_000)
  progress.movedTo(5)
  expect(progress.stillFor).toBe(4_000)
  progress.excuse()
  await clock.advance(1_000)
  expect(progress.stillFor).toBe(1_000)
  progress.movedTo(6)
  expect(progress.stillFor).toBe(0)
})

test('N123: what is at rest does not stand still: that counts from when it is behind', async () => {
  const clock = virtualClock()
  const progress = new Progress(clock)
  progress.movedTo(5)
  progress.isBehind(false)
  await clock.advance(60_000)
  expect(progress.stillFor).toBe(0)
  progress.isBehind(true)
  await clock.advance(1_000)
  progress.isBehind(true)
  expect(progress.stillFor).toBe(1_000)
  progress.movedTo(6)
  expect(progress.stillFor).toBe(0)
})
