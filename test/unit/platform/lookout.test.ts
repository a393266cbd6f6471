// Looking now and then.
import { expect, test } from 'vitest'
import { lookOut } from '../../../src/platform/lookout.js'
import { virtualClock } from '../../../src/testing/virtual-clock.js'
import { fakePage } from '../read-model/support.js'

test('it looks each time the span is over, until it is stopped', async () => {
  const clock = virtualClock()
  const looks: number[] = []
  const stop = lookOut(clock, 5_000, () => looks.push(clock.monotonic()))
  await clock.advance(16_000)
  expect([looks, clock.pending]).toEqual([[5_000, 10_000, 15_000], 1])
  stop()
  await clock.advance(60_000)
  expect([looks.length, clock.pending]).toEqual([3, 0])
})

test('it looks when the page is back, not when it goes, and the span goes on', async () => {
  const page = fakePage()
  const clock = virtualClock()
  let looks = 0
  const stop = lookOut(clock, 5_000, () => (looks += 1))
  page.freeze()
  page.hide()
  expect(looks).toBe(0)
  page.resume()
  page.show()
  expect(looks).toBe(2)
  await clock.advance(5_000)
  expect(looks).toBe(3)
  stop()
  page.freeze()
  page.resume()
  expect(looks).toBe(3)
})

test('a look that stops the lookout is the last one', async () => {
  const clock = virtualClock()
  let looks = 0
  const stop = lookOut(clock, 5_000, () => {
    looks += 1
    stop()
  })
  await clock.advance(60_000)
  expect([looks, clock.pending]).toEqual([1, 0])
})
