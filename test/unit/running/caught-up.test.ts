// Waiting for a position, on a status that the test keeps.
import { expect, test, vi } from 'vitest'
import { virtualClock } from '../../../src/testing/virtual-clock.js'
import {
  assertCaughtUpOptions,
  waitsForItself,
  waitUntilCaughtUp,
  type CaughtUpOptions,
} from '../../../src/running/caught-up.js'
import { StatusKeeper } from '../../../src/running/status-keeper.js'
import type { Invocation } from '../../../src/projection/stack-guard.js'
import { gate } from '../read-model/support.js'

interface Given extends CaughtUpOptions {
  readonly wanted?: number
  readonly caller?: Invocation
  readonly refreshed?: Promise<void>
  readonly built?: boolean | undefined
}

/** A wait for position 5 of a projection that is at 3 of 9. */
function waiting({ wanted = 5, caller, refreshed = Promise.resolve(), built, ...options }: Given = {}) {
  const clock = virtualClock()
  const status = new StatusKeeper(clock, 'p')
  status.set({ phase: 'catching-up', position: 3, head: 9 })
  let subscribed = 0
  const counted = {
    ...status,
    subscribe(listener: () => void) {
      subscribed += 1
      const stop = status.subscribe(listener)
      return () => {
        subscribed -= 1
        stop()
      }
    },
  }
  const outcome = vi.fn()
  const wait = waitUntilCaughtUp(
    {
      name: 'p',
      status: counted,
      clock,
      caller,
      itself: () => waitsForItself('p', 'caughtUp', 'Read the tables.'),
      refreshed,
      built,
    },
    wanted,
    options,
  )
  wait.then(
    (value) => outcome('resolved', value),
    (error: unknown) => outcome('rejected', error),
  )
  return {
    clock,
    status,
    outcome,
    /** How it ended, if it did, once promises settled. */
    async ended() {
      await clock.advance(0)
      return outcome.mock.calls[0]
    },
    /** What is left behind. */
    left: () => [subscribed, clock.pending],
  }
}
const here = (position: number, head = 9, stale = false) => ['resolved', { position, head, stale }]

test('it ends when the position is reached or passed, and leaves nothing behind', async () => {
  for (const reached of [5, 6]) {
    const { status, ended, left } = waiting({ timeout: 1_000 })
    expect(await ended()).toBeUndefined()
    status.set({ position: 4 })
    expect(await ended()).toBeUndefined()
    expect(left()).toEqual([1, 1])
    status.set({ position: reached })
    expect(await ended()).toEqual(here(reached))
    expect(left()).toEqual([0, 0])
  }
})

test('what is reached already counts once the status was looked at, and not before', async () => {
  const { passed, open } = gate()
  const { status, ended, left } = waiting({ wanted: 3, refreshed: passed })
  expect(await ended()).toBeUndefined()
  status.set({ position: 4 })
  expect(await ended()).toBeUndefined()
  open()
  expect(await ended()).toEqual(here(4))
  expect(left()).toEqual([0, 0])
})

test('a wait for the end of a rebuild does not end before that, wherever the rows are', async () => {
  const { status, ended } = waiting({ wanted: 0, built: true })
  status.set({ rebuilding: { position: 0 } })
  expect(await ended()).toBeUndefined()
  status.set({ rebuilding: { position: 9 }, position: 9 })
  expect(await ended()).toBeUndefined()
  status.set({ rebuilding: undefined })
  expect(await ended()).toEqual(here(9))
  // Others do not mind a rebuild: the rows that readers see are there.
  const plain = waiting()
  plain.status.set({ rebuilding: { position: 0 }, position: 5 })
  expect(await plain.ended()).toEqual(here(5))
})

test('where nothing moves it, it rejects at once with the reason', async () => {
  const why = new Error('why')
  for (const [change, error] of [
    [{ phase: 'faulted', lastError: why }, why],
    [{ phase: 'stopped' }, { code: 'closed', message: expect.stringContaining("'p'") }],
    [
      { phase: 'paused' },
      {
        code: 'projection-failed',
        projector: 'p',
        position: 3,
        message: expect.stringContaining('paused at position 3'),
      },
    ],
  ] as const) {
    const { status, ended, left } = waiting({ timeout: 1_000 })
    await ended()
    status.set(change)
    expect(await ended()).toMatchObject(['rejected', error])
    expect(left()).toEqual([0, 0])
  }
})

test('what is covered is covered, also where nothing moves any more', async () => {
  for (const phase of ['faulted', 'stopped', 'paused'] as const) {
    const { status, ended } = waiting({ wanted: 3 })
    status.set({ phase })
    expect(await ended()).toEqual(here(3))
  }
})

test('what may move again is waited for', async () => {
  for (const phase of ['starting', 'standby', 'retrying', 'stalled', 'live'] as const) {
    const { status, ended } = waiting()
    await ended()
    status.set({ phase })
    expect(await ended(), phase).toBeUndefined()
    status.set({ position: 5 })
    expect(await ended(), phase).toEqual(here(5))
  }
})

test('its timeout tells where the projection is: as an error, or as a stale answer', async () => {
  const late = waiting({ timeout: 1_000 })
  await late.clock.advance(999)
  late.status.set({ position: 4, head: 12 })
  expect(await late.ended()).toBeUndefined()
  await late.clock.advance(1)
  expect(await late.ended()).toMatchObject([
    'rejected',
    { code: 'caught-up-timeout', position: 4, head: 12, message: expect.stringContaining('4 of 12') },
  ])
  expect(late.left()).toEqual([0, 0])
  const stale = waiting({ timeout: 1_000, onTimeout: 'stale' })
  await stale.clock.advance(1_000)
  expect(await stale.ended()).toEqual(here(3, 9, true))
  expect(stale.left()).toEqual([0, 0])
})

test('its timeout counts while the status cannot be looked at, and a look that comes later changes nothing', async () => {
  for (const wanted of [3, 5]) {
    const { passed, open } = gate()
    const { clock, ended, left } = waiting({ wanted, timeout: 1_000, onTimeout: 'stale', refreshed: passed })
    await clock.advance(1_000)
    expect(await ended()).toEqual(here(3, 9, true))
    open()
    await clock.advance(0)
    expect(left()).toEqual([0, 0])
  }
})

test('a timeout of 0 ends at once, and one that is no number is refused', async () => {
  const { clock, ended } = waiting({ timeout: 0, onTimeout: 'stale' })
  await clock.advance(0)
  expect(await ended()).toEqual(here(3, 9, true))
  for (const timeout of [-1, NaN, '5' as never])
    expect(() => assertCaughtUpOptions({ timeout })).toThrow(expect.objectContaining({ code: 'invalid-argument' }))
})

test('its signal ends it with the reason, in the middle or before, and no listener stays on it', async () => {
  const controller = new AbortController()
  const removed = vi.spyOn(controller.signal, 'removeEventListener')
  const { ended, left } = waiting({ signal: controller.signal, timeout: 1_000 })
  expect(await ended()).toBeUndefined()
  controller.abort('enough')
  expect(await ended()).toEqual(['rejected', 'enough'])
  expect(left()).toEqual([0, 0])
  expect(removed).toHaveBeenCalledWith('abort', expect.any(Function))

  const before = waiting({ signal: AbortSignal.abort('before'), wanted: 3 })
  expect(await before.ended()).toEqual(['rejected', 'before'])
  expect(before.left()).toEqual([0, 0])

  const other = new AbortController()
  const [added, gone] = [vi.spyOn(other.signal, 'addEventListener'), vi.spyOn(other.signal, 'removeEventListener')]
  const fine = waiting({ signal: other.signal, wanted: 3 })
  expect(await fine.ended()).toEqual(here(3))
  expect(gone.mock.calls.map(([, listener]) => listener)).toContain(added.mock.calls[0]?.[1])
})

test('a look that fails ends it with its error', async () => {
  const { ended, left } = waiting({ timeout: 1_000, refreshed: Promise.reject(new Error('no storage')) })
  expect(await ended()).toMatchObject(['rejected', { message: 'no storage' }])
  expect(left()).toEqual([0, 0])
})

test('N28: a handler that waits for its own projection is refused after 5 s, one that ended meanwhile is not', async () => {
  const { clock, ended, left } = waiting({ caller: { ended: false } as Invocation })
  await clock.advance(4_999)
  expect(await ended()).toBeUndefined()
  await clock.advance(1)
  expect(await ended()).toMatchObject([
    'rejected',
    { code: 'invalid-argument', message: expect.stringContaining('wait for itself') },
  ])
  expect(left()).toEqual([0, 0])
  const other = waiting({ caller: { ended: true } as Invocation })
  await other.clock.advance(60_000)
  expect(await other.ended()).toBeUndefined()
  other.status.set({ position: 5 })
  expect(await other.ended()).toEqual(here(5))
  expect(other.left()).toEqual([0, 0])
  const soon = waiting({ caller: { ended: false } as Invocation })
  await soon.ended()
  soon.status.set({ position: 5 })
  expect(await soon.ended()).toEqual(here(5))
  expect(soon.left()).toEqual([0, 0])
})
