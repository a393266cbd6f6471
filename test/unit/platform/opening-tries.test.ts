// How often something is tried that fails, and how far apart: on a clock that passes when the test says so.
import { expect, test } from 'vitest'
import { StorageFailedError, StorageFullError, type TidemarkError } from '../../../src/errors.js'
import { OpeningTries } from '../../../src/platform/opening-tries.js'
import { virtualClock } from '../../../src/testing/virtual-clock.js'

const failure = (name: string): TidemarkError =>
  new StorageFailedError('Failed.', { cause: new DOMException('injected', name) })

/** Tries on a clock, with chance as given; every attempt fails. */
function failing(random = 0.5, error: TidemarkError = failure('UnknownError')) {
  const clock = Object.assign(virtualClock(), { random: () => random })
  const tries = new OpeningTries(clock)
  const at: number[] = []
  const run = async () => {
    return tries.run(async () => {
      at.push(clock.monotonic())
      throw error
    })
  }
  return { clock, tries, at, run }
}

test.each([
  [0.5, [0, 50, 250]],
  [0, [0, 25, 125]],
  [1, [0, 75, 375]],
])(
  'three tries, each pause four times as long as the one before, and half of it random: %d',
  async (random, expected) => {
    const { clock, at, run } = failing(random)
    await expect(clock.runUntil(run())).rejects.toMatchObject({ cause: { name: 'UnknownError' } })
    expect(at).toEqual(expected)
    expect(clock.pending).toBe(0)
  },
)

test.each(['UnknownError', 'InvalidStateError', 'AbortError', 'QuotaExceededError', 'VersionError', 'SecurityError'])(
  '%s is tried again only where it was seen to pass',
  async (name) => {
    const error =
      name === 'QuotaExceededError'
        ? new StorageFullError('Full.', { cause: new DOMException('injected', name) })
        : failure(name)
    const { clock, at, run } = failing(0.5, error)
    await expect(clock.runUntil(run())).rejects.toBe(error)
    expect(at.length).toBe(['VersionError', 'SecurityError'].includes(name) ? 1 : 3)
  },
)

test('after nine that failed there is one more every 30 s, and after a quiet night nine again, not a thousand', async () => {
  const { clock, at, run } = failing()
  const exhaust = async () => {
    const before = at.length
    for (let n = 0; n < 10; n += 1) await clock.runUntil(run()).catch(() => {})
    return at.length - before
  }
  expect(await exhaust()).toBe(9)
  await clock.advance(30_000)
  expect(await exhaust()).toBe(1)
  await clock.advance(8 * 3_600_000)
  expect(await exhaust()).toBe(9)
})

test('what works gives all tries back', async () => {
  const { clock, tries, at, run } = failing()
  for (let n = 0; n < 3; n += 1) await clock.runUntil(run()).catch(() => {})
  expect(tries.refusal()).toMatchObject({ code: 'storage-failed' })
  tries.worked()
  expect(tries.refusal()).toBe(undefined)
  for (let n = 0; n < 3; n += 1) await clock.runUntil(run()).catch(() => {})
  expect(at.length).toBe(18)
})
