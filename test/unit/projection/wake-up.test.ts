// What ends the sleeps of a run.
import { expect, test } from 'vitest'
import type { Rest } from '../../../src/projection/effects.js'
import { WakeUp } from '../../../src/projection/wake-up.js'
import { virtualClock } from '../../../src/testing/virtual-clock.js'

function sleeper(presence: 'visible' | 'hidden' = 'visible') {
  const clock = virtualClock()
  const controller = new AbortController()
  const fire: { [name: string]: (value?: never) => void } = {}
  let listening = 0
  const source = (name: string) => (listener: (value: never) => void) => {
    fire[name] = listener as never
    listening += 1
    return () => void (listening -= 1)
  }
  const it = new WakeUp(
    {
      reader: {},
      onHint: source('hint'),
      onControl: source('control'),
      onWanted: source('wanted'),
      onRetryNow: source('retryNow'),
      lifecycle: { presence: () => presence, subscribe: () => () => {} },
    },
    clock,
    controller.signal,
  )
  const sleep = (why: Rest, ms = 1000) => {
    let slept: string | undefined
    void it.sleep(ms, why).then((woken) => (slept = woken))
    return async () => {
      await clock.advance(0)
      return slept
    }
  }
  return {
    it,
    clock,
    controller,
    sleep,
    fire: fire as Record<string, (value?: unknown) => void>,
    listening: () => listening,
  }
}

test.for<[string, unknown, Partial<Record<Rest, string>>]>([
  ['hint', 5, { idle: 'append', burst: 'append' }],
  [
    'control',
    undefined,
    { idle: 'control', burst: 'control', paused: 'control', failed: 'control', retrying: 'control' },
  ],
  ['wanted', 5, { burst: 'on' }],
  ['retryNow', undefined, { failed: 'retry-now' }],
])('%s ends only the sleeps that it is about', async ([name, value, ends]) => {
  for (const why of ['idle', 'paused', 'failed', 'retrying', 'burst'] as const) {
    const { it, clock, sleep, fire } = sleeper()
    it.failing = true
    const slept = sleep(why)
    expect(await slept()).toBeUndefined()
    fire[name]?.(value)
    expect(await slept(), why).toBe(ends[why])
    await clock.advance(1000)
    expect(await slept(), why).toBe(ends[why] ?? 'on')
    expect(clock.pending).toBe(0)
  }
})

test('an abort ends every sleep, also one that begins after it', async () => {
  const { controller, sleep } = sleeper()
  const slept = sleep('failed')
  controller.abort()
  expect(await slept()).toBe('aborted')
  expect(await sleep('idle')()).toBe('aborted')
})

test('the app gets a try per tenth of a second, and none where the storage works', async () => {
  const { it, clock, sleep, fire } = sleeper()
  it.failing = true
  const first = sleep('failed')
  fire['retryNow']?.()
  expect(await first()).toBe('retry-now')
  const second = sleep('failed')
  fire['retryNow']?.()
  expect(await second()).toBeUndefined()
  await clock.advance(100)
  expect(await second()).toBe('retry-now')
  it.failing = false
  const third = sleep('failed')
  fire['retryNow']?.()
  expect(await third()).toBeUndefined()
})

test('after a hint that was not true, hints are ignored for a second, and then the last one counts', async () => {
  const { it, clock, sleep, fire } = sleeper()
  fire['hint']?.(9)
  it.reading()
  it.sawHead(3, true)
  const slept = sleep('idle', 5000)
  fire['hint']?.(8)
  expect(await slept()).toBeUndefined()
  await clock.advance(999)
  expect(await slept()).toBeUndefined()
  await clock.advance(1)
  expect(await slept()).toBe('append')
})

test('in a burst: more was appended, no caller waits for it, and the page is visible', () => {
  const { it, fire } = sleeper()
  expect(it.inBurst(1)).toBe(false)
  fire['hint']?.(2)
  expect(it.inBurst(1)).toBe(true)
  fire['wanted']?.(2)
  expect([it.inBurst(1), it.inBurst(2)]).toEqual([false, true])
  it.reading()
  expect(it.inBurst(2)).toBe(false)
  const hidden = sleeper('hidden')
  hidden.fire['hint']?.(2)
  expect(hidden.it.inBurst(1)).toBe(false)
})

test('stopped, it listens to nothing', () => {
  const { it, clock, listening, fire } = sleeper()
  fire['hint']?.(9)
  it.reading()
  it.sawHead(3, true)
  expect([listening(), clock.pending]).toEqual([4, 1])
  it.stop()
  expect([listening(), clock.pending]).toEqual([0, 0])
})
