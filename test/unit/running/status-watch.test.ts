// When the stored state is read for a status, and what it means for a run that stopped, over a state that the test sets.
import { expect, test, vi } from 'vitest'
import type { ProjectionReport } from 'tidemark'
import type { ProjectionState } from '../../../src/projection/target.js'
import type { Attached } from '../../../src/running/attach.js'
import { modelLookout } from '../../../src/running/model-lookout.js'
import { StatusKeeper } from '../../../src/running/status-keeper.js'
import { StatusWatch } from '../../../src/running/status-watch.js'
import { virtualClock } from '../../../src/testing/virtual-clock.js'
import { added, memoryStore } from '../read-model/support.js'

async function watched() {
  const clock = virtualClock()
  const store = await memoryStore(3)
  const status = new StatusKeeper(clock, 'p')
  const stopping = new AbortController()
  const stored: ProjectionState = { position: 1, epoch: 1, owner: 'other', paused: false, letters: 0 }
  const state = vi.fn(async () => stored)
  const attached = {
    target: { key: 'p', state },
    backend: {},
    watch: () => modelLookout(state, clock),
  } as unknown as Attached<never>
  const recovered = vi.fn()
  const watch = new StatusWatch(store as never, status, clock, stopping.signal, () => attached, recovered)
  const change = (change: Partial<ProjectionState>) => void Object.assign(stored, change)
  const report = (report: object) => watch.report(report as ProjectionReport)
  return { clock, store, status, stopping, state, watch, attached, recovered, change, report }
}

test('it looks every five seconds and 200 ms after the first of some appends, until it is stopped', async () => {
  const { clock, store, status, state, watch, attached } = await watched()
  watch.start(attached)
  watch.start(attached)
  await clock.advance(15_000)
  expect(state).toHaveBeenCalledTimes(3)
  expect(status.getSnapshot()).toMatchObject({ position: 1, head: 3, owner: 'other' })
  for (let each = 0; each < 5; each += 1) await store.append('s', added())
  await clock.advance(200)
  expect([state.mock.calls.length, status.getSnapshot().head]).toEqual([4, 8])
  await store.append('s', added())
  watch.stop()
  await clock.advance(10_000)
  expect([state.mock.calls.length, clock.pending]).toEqual([4, 0])
})

test('it looks when the run waits or begins, and after a commit that parked an event and does not count', async () => {
  const { clock, state, report } = await watched()
  const looks = async () => {
    await clock.advance(0)
    const { length } = state.mock.calls
    state.mockClear()
    return length
  }
  report({ type: 'waiting' })
  expect(await looks()).toBe(1)
  report({ type: 'loaded', position: 1, paused: false, rebuilding: false })
  expect(await looks()).toBe(1)
  report({ type: 'committed', position: 2, events: 1 })
  expect(await looks()).toBe(0)
  report({ type: 'parked', position: 3 })
  report({ type: 'committed', position: 3, events: 1, deadLetterCount: 1 })
  expect(await looks()).toBe(0)
  report({ type: 'committed', position: 4, events: 1 })
  expect(await looks()).toBe(1)
})

test('a fault that was seen and is gone means that the run can start again, and one that was never stored does not', async () => {
  const fault = { position: 2, message: 'no', time: 0 }
  for (const [gone, expected] of [
    [{ position: 2 }, 1],
    [{ rebuild: { position: 0, letters: 0 } }, 1],
    [{ owner: '' }, 1],
    [{ position: 1 }, 0],
  ] as const) {
    const { status, watch, change, recovered } = await watched()
    status.set({ phase: 'faulted' })
    change({ ...gone, fault })
    await watch.look()
    expect(recovered).toHaveBeenCalledTimes(0)
    change({ fault: undefined } as never)
    await watch.look()
    expect(recovered).toHaveBeenCalledTimes(expected)
    // The next fault is not the one before.
    watch.faulted()
    await watch.look()
    expect(recovered).toHaveBeenCalledTimes(expected)
  }
})

test('a look that fails is shown to a follower, and not once it is stopped', async () => {
  const { status, watch, state, stopping } = await watched()
  state.mockRejectedValueOnce(new Error('asleep'))
  await watch.look()
  expect(status.getSnapshot()).toMatchObject({ phase: 'starting', message: 'asleep' })
  stopping.abort()
  await watch.look()
  expect(state).toHaveBeenCalledTimes(1)
})

test('a projection is known to rest until something is appended, it is behind or rebuilt, or looks fail', async () => {
  const { clock, store, state, watch, attached, change } = await watched()
  watch.start(attached)
  expect(watch.resting()).toBeUndefined()
  await watch.look()
  expect(watch.resting()).toBeUndefined()
  change({ position: 3 })
  await watch.look()
  expect(watch.resting()).toMatchObject({ position: 3 })
  await store.append('s', added())
  expect(watch.resting()).toBeUndefined()
  await clock.advance(200)
  expect(watch.resting()).toBeUndefined()
  change({ position: 4, rebuild: { position: 1, letters: 0 } })
  await watch.look()
  expect(watch.resting()).toBeUndefined()
  change({ rebuild: undefined } as never)
  await clock.advance(60_000)
  expect(watch.resting()).toMatchObject({ position: 4 })
  state.mockRejectedValue(new Error('the disk is asleep'))
  await clock.advance(5_000)
  expect(watch.resting()).toBeUndefined()
  state.mockResolvedValue({ position: 4, epoch: 1, owner: 'other', paused: false, letters: 0 })
  await clock.advance(5_000)
  expect(watch.resting()).toMatchObject({ position: 4 })
  // No look comes any more; the last one was 200 ms ago.
  watch.stop()
  await clock.advance(7_799)
  expect(watch.resting()).toMatchObject({ position: 4 })
  await clock.advance(1)
  expect(watch.resting()).toBeUndefined()
})
