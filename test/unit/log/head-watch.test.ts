// H63, H66, H68: hints are looked into, never believed.
import { expect, test, vi } from 'vitest'
import { headWatch } from '../../../src/log/head-watch.js'
import { virtualClock } from '../../../src/testing/virtual-clock.js'

function watch(head = 0) {
  const clock = virtualClock()
  const log = { head, reads: 0, failing: false }
  const heads: number[] = []
  const watching = headWatch(clock, async () => {
    log.reads += 1
    if (log.failing) throw new Error('no storage')
    return log.head
  })
  watching.subscribe((head) => void heads.push(head))
  return { clock, log, heads, watching }
}

test('H68: a hint is told as what the log says, once', async () => {
  const { clock, log, heads, watching } = watch(5)
  watching.hinted(5)
  watching.hinted(3)
  watching.hinted(5)
  await clock.advance(0)
  expect([heads, log.reads]).toEqual([[5], 1])
})

test('H68: after a hint of the largest number there is, true ones are heard', async () => {
  const { clock, log, heads, watching } = watch(5)
  watching.hinted(Number.MAX_SAFE_INTEGER)
  await clock.advance(0)
  expect(heads).toEqual([5])
  log.head = 6
  watching.hinted(6)
  await clock.advance(999)
  expect(heads).toEqual([5])
  await clock.advance(1)
  expect(heads).toEqual([5, 6])
  // And what is true is looked into at once again.
  log.head = 7
  watching.hinted(7)
  await clock.advance(0)
  expect([heads, clock.pending]).toEqual([[5, 6, 7], 0])
})

test('H66: lost, doubled and shuffled hints leave the listener at the largest head', async () => {
  const { clock, log, heads, watching } = watch()
  for (const head of [3, 1, 7, 7, 2, 6]) {
    log.head = Math.max(log.head, head)
    watching.hinted(head)
    await clock.advance(0)
  }
  expect(heads).toEqual([3, 7])
  expect(log.reads).toBe(2)
})

test('H68: a flood of lies makes a read a second', async () => {
  const { clock, log, heads, watching } = watch(5)
  for (let second = 0; second < 10; second += 1) {
    for (let n = 0; n < 1000; n += 1) watching.hinted(1_000_000 + second * 1000 + n)
    await clock.advance(1000)
  }
  expect([heads, log.reads]).toEqual([[5], 11])
  await clock.advance(60_000)
  expect([log.reads, clock.pending]).toEqual([11, 0])
})

test('what this context appended needs no look, and a listener that throws disturbs nobody', async () => {
  const { clock, log, heads, watching } = watch()
  const report = vi.spyOn(console, 'error').mockImplementation(() => {})
  const stop = watching.subscribe(() => {
    throw new Error('of the app')
  })
  watching.saw(4)
  watching.hinted(4)
  await clock.advance(0)
  expect([heads, log.reads, report.mock.calls.length]).toEqual([[4], 0, 1])
  stop()
  report.mockRestore()
})

test('H68: without a listener nothing is read, and after the end neither', async () => {
  const clock = virtualClock()
  let reads = 0
  const watching = headWatch(clock, async () => (reads += 1))
  watching.hinted(9)
  await clock.advance(0)
  expect(reads).toBe(0)
  const { watching: stopped, log } = watch()
  log.failing = true
  stopped.hinted(9)
  stopped.stop()
  await clock.advance(60_000)
  stopped.hinted(10)
  await clock.advance(60_000)
  expect([log.reads, clock.pending]).toEqual([1, 0])
})

test('a look that fails is not repeated at once', async () => {
  const { clock, log, heads, watching } = watch(3)
  log.failing = true
  watching.hinted(3)
  await clock.advance(0)
  watching.hinted(3)
  await clock.advance(500)
  expect(log.reads).toBe(1)
  log.failing = false
  await clock.advance(500)
  expect(heads).toEqual([3])
})

test('a hint whose look failed is looked into again, until the storage answers', async () => {
  const { clock, log, heads, watching } = watch(5)
  log.failing = true
  watching.hinted(5)
  await clock.advance(3_500)
  expect([heads, log.reads]).toEqual([[], 4])
  log.failing = false
  await clock.advance(1_000)
  expect([heads, log.reads]).toEqual([[5], 5])
  await clock.advance(60_000)
  expect(log.reads).toBe(5)
  watching.stop()
  expect(clock.pending).toBe(0)
})
