// No task of ours keeps the page from input for long.
import { afterEach, expect, test, vi } from 'vitest'
import { Slices } from '../../../src/platform/slices.js'

afterEach(() => vi.unstubAllGlobals())

function slicesAt() {
  const time = { now: 100 }
  let turns = 0
  vi.stubGlobal('scheduler', {
    yield: async () => {
      turns += 1
    },
  })
  return { time, slices: new Slices(() => time.now), turns: () => turns }
}

test('a slice is over after 5 ms, and half of it after 2.5', async () => {
  const { time, slices, turns } = slicesAt()
  time.now += 2.4
  expect([slices.halfOver, slices.isOver]).toEqual([false, false])
  time.now += 0.1
  expect([slices.halfOver, slices.isOver]).toEqual([true, false])
  time.now += 2.4
  await slices.turn()
  expect([slices.isOver, turns()]).toEqual([false, 0])
  time.now += 0.1
  await slices.turn()
  expect([slices.halfOver, turns()]).toEqual([false, 1])
})

test('whoever waited for something is in another task, and has a whole slice', async () => {
  const { time, slices, turns } = slicesAt()
  time.now += 1000
  slices.began()
  expect([slices.left(), slices.halfOver]).toEqual([5, false])
  await slices.turn()
  expect(turns()).toBe(0)
})
