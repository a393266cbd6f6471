// Pauses between tries.
import { expect, test } from 'vitest'
import { commandRetry, pauseBefore, projectionRetry, retryPolicy } from '../../../src/platform/backoff.js'

test('each pause is longer than the one before, up to the longest', () => {
  const pauses = [0, 1, 2, 3, 4].map((retry) => pauseBefore(retry, { delay: 100, maxDelay: 1_000, multiplier: 3 }))
  expect(pauses).toEqual([100, 300, 900, 1_000, 1_000])
})

test('the factor is 2 and nothing is random unless something else is said', () => {
  expect([0, 1, 2].map((retry) => pauseBefore(retry, { delay: 10, maxDelay: 1_000 }, 0.99))).toEqual([10, 20, 40])
})

test('jitter adds or takes a share, in whole ms, and never makes a pause longer than the longest', () => {
  const pause = (random: number, maxDelay = 5_000) => pauseBefore(0, { delay: 99, maxDelay, jitter: 0.2 }, random)
  expect([pause(0), pause(0.5), pause(1)]).toEqual([79, 99, 119])
  expect(pause(1, 99)).toBe(99)
})

test('after any number of retries it is a number: 0 stays 0, and the longest stays the longest', () => {
  expect(pauseBefore(5_000, { delay: 0, maxDelay: 1_000 })).toBe(0)
  expect(pauseBefore(5_000, { delay: 1, maxDelay: 1_000 })).toBe(1_000)
  expect(pauseBefore(5_000, { delay: 1, maxDelay: Infinity })).toBe(Number.MAX_VALUE)
  expect(pauseBefore(5_000, { delay: 2, maxDelay: Infinity, jitter: 1 }, 0)).toBe(0)
})

test('the defaults of commands and of projections', () => {
  expect(retryPolicy(undefined, commandRetry)).toEqual({
    maxRetries: 4,
    delay: 10,
    multiplier: 2,
    maxDelay: 5_000,
    jitter: 0.2,
  })
  expect(retryPolicy({ maxRetries: 9, delay: undefined as never }, projectionRetry)).toEqual({
    maxRetries: 9,
    delay: 100,
    multiplier: 2,
    maxDelay: 5_000,
    jitter: 0.1,
  })
})

test.for([
  [{ maxRetries: -1 }, 'retry.maxRetries must be a whole number of at least 0.'],
  [{ maxRetries: 1.5 }, 'retry.maxRetries must be a whole number of at least 0.'],
  [{ maxRetries: NaN }, 'retry.maxRetries must be a whole number of at least 0.'],
  [{ delay: -1 }, 'retry.delay must be a number of at least 0.'],
  [{ delay: Infinity }, 'retry.delay must be a number of at least 0.'],
  [{ delay: '1' }, 'retry.delay must be a number of at least 0.'],
  [{ multiplier: 0.5 }, 'retry.multiplier must be a number of at least 1.'],
  [{ maxDelay: NaN }, 'retry.maxDelay must be a number of at least 0.'],
  [{ jitter: 1.5 }, 'retry.jitter must be a number of at least 0 and at most 1.'],
  [
    { maxAttempts: 3 },
    "retry has no property 'maxAttempts'. It may have maxRetries, delay, multiplier, maxDelay, jitter.",
  ],
  [{ backoff: 'fixed' }, "retry has no property 'backoff'."],
])('%o is refused', ([options, message]) => {
  expect(() => retryPolicy(options as never, commandRetry)).toThrow(message as string)
  expect(() => retryPolicy(options as never, commandRetry)).toThrow(
    expect.objectContaining({ code: 'invalid-argument' }),
  )
})

test('no end of retries, and no longest pause', () => {
  expect(retryPolicy({ maxRetries: Infinity, maxDelay: Infinity }, commandRetry)).toMatchObject({
    maxRetries: Infinity,
    maxDelay: Infinity,
  })
})
