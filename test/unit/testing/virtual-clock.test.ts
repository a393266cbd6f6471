import fc from 'fast-check'
import { expect, test } from 'vitest'
import { virtualClock } from 'tidemark/testing'

test('time stands still until it is advanced, and the wall clock begins where it is told to', async () => {
  const clock = virtualClock({ start: 1_000 })
  expect([clock.now(), clock.monotonic()]).toEqual([1_000, 0])
  await clock.advance(250)
  expect([clock.now(), clock.monotonic()]).toEqual([1_250, 250])
})

test('timers fire in the order of their times, those of one time in the order in which they were made, each at its own time', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat(20), { maxLength: 8 }), async (delays) => {
      const clock = virtualClock()
      const fired: [number, number][] = []
      delays.forEach((ms, index) => clock.schedule(ms, () => fired.push([clock.monotonic(), index])))
      await clock.advance(20)
      expect(fired).toEqual(delays.map((ms, index): [number, number] => [ms, index]).sort(([a], [b]) => a - b))
      expect(clock.pending).toBe(0)
    }),
    { numRuns: 20 },
  )
})

test('a timer that is taken back does not fire, and one that falls due later waits', async () => {
  const clock = virtualClock()
  const fired: string[] = []
  const cancel = clock.schedule(5, () => fired.push('taken back'))
  clock.schedule(11, () => fired.push('later'))
  cancel()
  cancel()
  await clock.advance(10)
  expect([fired, clock.pending]).toEqual([[], 1])
  await clock.advance(1)
  expect([fired, clock.pending]).toEqual([['later'], 0])
})

test('what a timer starts is done at its own time, also if promises come in between', async () => {
  const clock = virtualClock()
  const seen: number[] = []
  const pause = (ms: number) => new Promise<void>((resolve) => clock.schedule(ms, resolve))
  const work = (async () => {
    for (const ms of [10, 20, 30]) {
      await pause(ms)
      await Promise.resolve()
      seen.push(clock.monotonic())
    }
  })()
  await clock.advance(59)
  expect(seen).toEqual([10, 30])
  await clock.advance(1)
  await work
  expect(seen).toEqual([10, 30, 60])
})

test('runUntil answers and rejects as the promise does, and has let no more time pass than that took', async () => {
  const clock = virtualClock()
  const pause = (ms: number) => new Promise<void>((resolve) => clock.schedule(ms, resolve))
  clock.schedule(1_000, () => {})
  expect(await clock.runUntil(pause(500).then(() => 'done'))).toBe('done')
  expect(clock.monotonic()).toBe(500)
  await expect(clock.runUntil(pause(100).then(() => Promise.reject(new Error('failed'))))).rejects.toThrow('failed')
  expect([clock.monotonic(), clock.pending]).toEqual([600, 1])
})

test('runUntil says so when the promise does not settle in time, or waits for something that no timer brings about', async () => {
  const clock = virtualClock()
  await expect(
    clock.runUntil(new Promise((resolve) => clock.schedule(61, () => resolve(1))), { maxMs: 60 }),
  ).rejects.toThrow('Not settled after 60 ms')
  await expect(virtualClock().runUntil(new Promise(() => {}))).rejects.toThrow('Not settled')
})

test('chance is the same for the same seed, spread over 0 to 1, and another for another seed', () => {
  const numbers = (seed: number) => {
    const { random } = virtualClock({ seed })
    return Array.from({ length: 1000 }, () => random())
  }
  expect(numbers(7)).toEqual(numbers(7))
  expect(numbers(7)).not.toEqual(numbers(8))
  expect(numbers(7).every((n) => n >= 0 && n < 1)).toBe(true)
  const mean = numbers(7).reduce((sum, n) => sum + n, 0) / 1000
  expect(Math.abs(mean - 0.5)).toBeLessThan(0.05)
})
