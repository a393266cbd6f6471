// Opening something at its first use, and again after a failure.
import { expect, test, vi } from 'vitest'
import { UnsupportedFormatError } from 'tidemark'
import { virtualClock } from 'tidemark/testing'
import { attempts as attemptsOf } from '../../../src/app/attempts.js'

interface Opened {
  close(): Promise<void>
}
const openable = () => ({ close: vi.fn(async () => {}) })

function harness(isWanted = true) {
  const clock = virtualClock()
  const tries: { resolve(value: Opened): void; reject(error: unknown): void }[] = []
  const unheard: unknown[] = []
  const state = { isWanted, changes: 0 }
  const attempts = attemptsOf<Opened>(
    {
      clock,
      isWanted: () => state.isWanted,
      changed: () => (state.changes += 1),
      failed: (error) => unheard.push(error),
    },
    () => new Promise((resolve, reject) => tries.push({ resolve, reject })),
  )
  return { clock, tries, unheard, state, attempts }
}

test('calls and subscriptions of one try share it; nothing is opened twice', async () => {
  const { tries, attempts } = harness()
  attempts.want()
  const [one, other] = [attempts.use(), attempts.use()]
  expect(tries).toHaveLength(1)
  const value = openable()
  tries[0]?.resolve(value)
  expect(await one).toBe(value)
  expect(await other).toBe(value)
  expect(attempts.value()).toBe(value)
  attempts.want()
  expect(await attempts.use()).toBe(value)
  expect(tries).toHaveLength(1)
})

test('a call carries its error; without a call it is reported, once while it lasts', async () => {
  const { clock, tries, unheard, attempts } = harness()
  const error = new Error('busy')
  attempts.want()
  const call = attempts.use()
  tries[0]?.reject(error)
  await expect(call).rejects.toBe(error)
  expect(unheard).toEqual([])
  await clock.advance(1_000)
  tries[1]?.reject(error)
  await clock.advance(2_000)
  tries[2]?.reject(new Error('busy'))
  await clock.advance(4_000)
  expect(unheard).toEqual([error])
  const another = new Error('full')
  tries[3]?.reject(another)
  await clock.advance(0)
  expect(unheard).toEqual([error, another])
})

test('a call does not wait for the pause, and a subscription does', async () => {
  const { clock, tries, attempts } = harness()
  attempts.want()
  tries[0]?.reject(new Error('busy'))
  await clock.advance(0)
  attempts.want()
  expect(tries).toHaveLength(1)
  attempts.use().catch(() => {})
  expect(tries).toHaveLength(2)
  expect(clock.pending).toBe(0)
})

test('nothing is tried again without a subscription, nor what cannot succeed', async () => {
  const { clock, tries, state, attempts } = harness(false)
  attempts.use().catch(() => {})
  tries[0]?.reject(new Error('busy'))
  await clock.advance(60_000)
  expect(tries).toHaveLength(1)
  state.isWanted = true
  attempts.want()
  tries[1]?.reject(new UnsupportedFormatError('newer'))
  await clock.advance(60_000)
  attempts.want()
  await clock.advance(60_000)
  expect(tries).toHaveLength(2)
})

test('the first subscription after a call that failed tries immediately', async () => {
  const { clock, tries, state, attempts } = harness(false)
  attempts.use().catch(() => {})
  tries[0]?.reject(new Error('busy'))
  await clock.advance(0)
  expect(clock.pending).toBe(0)
  state.isWanted = true
  attempts.want()
  expect(tries).toHaveLength(2)
})

test('the end closes what was opened, also by the try under way, and nothing follows', async () => {
  const { clock, tries, unheard, attempts } = harness()
  attempts.want()
  const end = attempts.end()
  const value = openable()
  tries[0]?.resolve(value)
  await end
  expect(value.close).toHaveBeenCalledTimes(1)
  expect(attempts.value()).toBeUndefined()
  const { tries: others, attempts: other, clock: time } = harness()
  other.want()
  const failing = other.end()
  others[0]?.reject(new Error('busy'))
  await failing
  other.want()
  await time.advance(60_000)
  expect(others).toHaveLength(1)
  expect(unheard).toEqual([])
  expect(clock.pending + time.pending).toBe(0)
})

test('a call after the end is refused, and opens nothing that is never closed', async () => {
  const { tries, attempts } = harness()
  await attempts.end()
  await expect(attempts.use()).rejects.toMatchObject({ code: 'closed', outcome: 'not-written' })
  expect(tries).toHaveLength(0)
  const { tries: others, attempts: other } = harness()
  other.want()
  const before = other.use()
  const end = other.end()
  await expect(other.use()).rejects.toMatchObject({ code: 'closed' })
  others[0]?.reject(new Error('busy'))
  await expect(before).rejects.toThrow('busy')
  await end
  await expect(other.use()).rejects.toMatchObject({ code: 'closed' })
  expect(others).toHaveLength(1)
})
