// When a commit is due, and how much a page may hold.
import { expect, test } from 'vitest'
import { Batch, newRun } from '../../../src/projection/batching.js'
import { settle, type ProjectionOptions } from '../../../src/projection/config.js'

function batch(options: ProjectionOptions = {}) {
  const run = newRun()
  return { run, it: new Batch(settle(options, 'continuous'), run) }
}
const isFull = (it: Batch, now = 0, limit = Infinity) => it.isFull(now, limit)

test('it counts what was done, and moves the counts to the run once that is stored', () => {
  const { it, run } = batch()
  it.count('applied', 3)
  it.count('parked')
  it.count('skipped')
  expect([it.size, it.counts]).toEqual([5, { applied: 3, skipped: 1, parked: 1 }])
  expect(run).toMatchObject({ applied: 0, position: 0 })
  it.committed(7, 1, false, 0)
  expect(it.size).toBe(0)
  expect(run).toMatchObject({ position: 7, applied: 3, skipped: 1, parked: 1 })
})

test.for([
  ['events', { maxEvents: 3 }, (it: Batch) => it.count('parked', 3)],
  ['characters', { maxCharacters: 10 }, (it: Batch) => it.read(10, 0, false)],
] as const)('a commit is due after so many %s', ([, limits, work]) => {
  const { it } = batch({ batch: limits })
  expect(isFull(it)).toBe(false)
  work(it)
  expect(isFull(it)).toBe(true)
  it.begin(0)
  expect(isFull(it)).toBe(false)
})

test('a commit is due after 300 ms, or after nine times what the last one took, up to three seconds', () => {
  const { it } = batch()
  it.begin(100)
  expect([isFull(it, 399), isFull(it, 400)]).toEqual([false, true])
  it.committed(1, 100, false, 1000)
  expect([isFull(it, 1899), isFull(it, 1900)]).toEqual([false, true])
  it.committed(2, 5000, false, 2000)
  expect([isFull(it, 4999), isFull(it, 5000)]).toEqual([false, true])
})

test('many rows wait longer, as long as storing them is expected to take a tenth of the time, up to three seconds', () => {
  const { it } = batch()
  it.pends(100_000)
  expect([isFull(it, 2999), isFull(it, 3000)]).toEqual([false, true])
  it.pends(10_000)
  expect([isFull(it, 899), isFull(it, 900)]).toEqual([false, true])
  // This took a quarter of what was expected.
  it.committed(1, 25, false, 0)
  expect([isFull(it, 299), isFull(it, 300)]).toEqual([false, true])
  it.pends(40_000)
  expect([isFull(it, 899), isFull(it, 900)]).toEqual([false, true])
  // A commit of few rows takes as long as any.
  it.pends(10)
  it.committed(2, 10, false, 0)
  it.pends(40_000)
  expect([isFull(it, 899), isFull(it, 900)]).toEqual([false, true])
  it.begin(0)
  expect([isFull(it, 299), isFull(it, 300)]).toEqual([false, true])
})

test('where the longest time is given, many rows do not wait longer', () => {
  const { it } = batch({ batch: { maxTime: 500 } })
  it.pends(100_000)
  expect([isFull(it, 499), isFull(it, 500)]).toEqual([false, true])
})

test('its time begins with its first page, not with the commit before it', () => {
  const { it } = batch()
  it.begin(0)
  it.read(1, 4000, true)
  it.read(1, 4200, false)
  expect([isFull(it, 4299), isFull(it, 4300)]).toEqual([false, true])
})

test('a limit from outside counts where it is lower', () => {
  const { it } = batch({ batch: { maxEvents: 100 } })
  expect([it.most(64), it.most(1), it.most(Infinity)]).toEqual([64, 1, 100])
  it.count('applied')
  expect([isFull(it, 0, 1), isFull(it, 0, 2)]).toEqual([true, false])
})

test('while the state is changed from outside, a commit is due at any time, until one is stored', () => {
  const { it, run } = batch()
  run.commitSoon = true
  expect(isFull(it)).toBe(true)
  it.committed(1, 0, false, 0)
  expect([isFull(it), run.commitSoon]).toEqual([false, false])
})

test('the budget is of the whole run: what is stored and what is pending', () => {
  const { it, run } = batch({ budget: { maxEvents: 5, maxTime: 100 } })
  run.startedAt = 50
  it.count('applied', 2)
  it.committed(2, 0, false, 60)
  it.count('skipped', 2)
  expect([it.room, it.isSpent(149), it.isSpent(150)]).toEqual([1, false, true])
  it.count('parked')
  expect([it.room, it.isSpent(60)]).toEqual([0, true])
  expect([batch().it.room, batch().it.isSpent(1e9)]).toEqual([Infinity, false])
})

test('in a burst it waits for the time of a commit, as long as commits then take more than a tenth of the time', () => {
  const { it } = batch()
  expect(it.burstPause(0)).toBeUndefined()
  it.committed(1, 20, true, 100)
  expect([it.burstPause(100), it.burstPause(279), it.burstPause(280)]).toEqual([20, 20, undefined])
  it.committed(2, 20, false, 300)
  expect(it.burstPause(300)).toBeUndefined()
  it.committed(3, 100, true, 400)
  expect([it.burstPause(699), it.burstPause(700)]).toEqual([100, undefined])
  const limited = batch({ batch: { maxTime: 0 } }).it
  limited.committed(1, 20, true, 100)
  expect(limited.burstPause(100)).toBeUndefined()
})

test('work that was stored although its commit failed is counted by what it was', () => {
  const { it, run } = batch()
  it.count('applied', 2)
  const { counts } = it
  it.begin(5)
  it.stored(9, { ...counts, applied: 3 })
  expect([run.position, run.applied, it.size]).toEqual([9, 3, 0])
})
