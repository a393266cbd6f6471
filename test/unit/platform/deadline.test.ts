// Deadlines while a page is prerendered, and after everything slept.
import { afterEach, expect, test } from 'vitest'
import { startDeadline } from '../../../src/platform/deadline.js'
import { virtualClock } from '../../../src/testing/virtual-clock.js'

afterEach(() => void delete (globalThis as { document?: unknown }).document)

/** A deadline of 1,000 ms on a clock that can sleep: what is due then is late. */
function started() {
  const clock = virtualClock()
  let slept = 0
  let passed = 0
  const cancel = startDeadline(
    { ...clock, monotonic: () => clock.monotonic() + slept },
    1_000,
    () => void (passed += 1),
  )
  return { clock, cancel, passed: () => passed, sleep: (ms: number) => void (slept += ms) }
}

test('H24: it passes once, after its time, unless it is taken back', async () => {
  const { clock, cancel, passed } = started()
  await clock.advance(999)
  expect(passed()).toBe(0)
  await clock.advance(5_000)
  expect(passed()).toBe(1)
  cancel()
  const other = started()
  other.cancel()
  await other.clock.advance(5_000)
  expect([other.passed(), other.clock.pending]).toEqual([0, 0])
})

test('H70: where everything slept, the time begins once more, and once only', async () => {
  const { clock, passed, sleep } = started()
  sleep(90_000)
  await clock.advance(1_000)
  expect(passed()).toBe(0)
  sleep(90_000)
  await clock.advance(1_000)
  expect([passed(), clock.pending]).toEqual([1, 0])
})

test('H70: taken back after it began once more, it does not pass', async () => {
  const { clock, cancel, passed, sleep } = started()
  sleep(90_000)
  await clock.advance(1_500)
  cancel()
  await clock.advance(5_000)
  expect([passed(), clock.pending]).toEqual([0, 0])
})

test('H38: in a page that is prerendered the time begins with the activation', async () => {
  const document = Object.assign(new EventTarget(), { prerendering: true })
  Object.assign(globalThis, { document })
  const [kept, taken] = [started(), started()]
  await kept.clock.advance(100_000)
  expect(kept.passed()).toBe(0)
  taken.cancel()
  document.prerendering = false
  document.dispatchEvent(new Event('prerenderingchange'))
  await kept.clock.advance(999)
  expect(kept.passed()).toBe(0)
  await kept.clock.advance(1)
  await taken.clock.advance(5_000)
  expect([kept.passed(), taken.passed()]).toEqual([1, 0])
})
