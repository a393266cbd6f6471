// When a projection that stopped runs again, over runs that the test is.
import { expect, test, vi } from 'vitest'
import { CoordinationFailedError, ProjectionFailedError, StorageFailedError } from 'tidemark'
import { listenerSet } from '../../../src/platform/listeners.js'
import type { ProjectionResult } from '../../../src/projection/projector.js'
import type { Attached } from '../../../src/running/attach.js'
import { StatusKeeper } from '../../../src/running/status-keeper.js'
import { supervise } from '../../../src/running/supervise.js'
import { virtualClock } from '../../../src/testing/virtual-clock.js'

const attached = {} as Attached<never>
const no = new Error('no')
const result = { position: 1, applied: 1, skipped: 0, parked: 0, reason: 'caught-up' } as ProjectionResult

/**
 * A supervised projection: each run takes the next outcome, of which `'later'` fails as `end` says; joining fails as long
 * as `joinError` is there.
 */
function supervised(
  outcomes: (Error | ProjectionResult | 'later')[],
  { isContinuous = true, joinError = undefined as unknown } = {},
) {
  const clock = virtualClock()
  const status = new StatusKeeper(clock, 'p')
  const stopping = new AbortController()
  const restarts = listenerSet()
  const runs: number[] = []
  const tries: number[] = []
  const state = { joinError }
  const joining = {
    failed: false,
    latest: Promise.resolve(attached),
    retry() {
      if (!joining.failed) return
      tries.push(clock.monotonic())
      joining.join()
    },
    join() {
      joining.failed = state.joinError !== undefined
      joining.latest = joining.failed ? Promise.reject(state.joinError) : Promise.resolve(attached)
      joining.latest.catch(() => {})
    },
  }
  joining.join()
  const watch = { look: vi.fn(async () => {}), start: vi.fn(), faulted: vi.fn() }
  const ended = vi.fn()
  let end: (error: Error) => void = () => {}
  void supervise({
    status,
    clock,
    stopping: stopping.signal,
    joining,
    watch,
    restarts,
    isContinuous,
    failureBackoff: 100,
    faulted: () => {},
    async drive() {
      runs.push(clock.monotonic())
      const outcome = outcomes.shift()
      if (outcome === undefined)
        return new Promise((resolve) =>
          stopping.signal.addEventListener('abort', () => resolve({ ...result, reason: 'aborted' })),
        )
      if (outcome === 'later') return new Promise((_, reject) => (end = reject))
      if (outcome instanceof Error) throw outcome
      return outcome
    },
  }).then(ended)
  return { clock, status, stopping, restarts, runs, tries, state, watch, ended, end: (error: Error) => end(error) }
}

test('a batch that is done ends with why, after a last look at the stored state', async () => {
  const { clock, ended, watch } = supervised([result])
  await clock.advance(0)
  expect(ended.mock.calls).toEqual([['The batch is done.']])
  expect([watch.start.mock.calls, watch.look.mock.calls.length]).toEqual([[[attached]], 1])
  const other = supervised([{ ...result, reason: 'budget' }])
  await other.clock.advance(0)
  expect(other.ended.mock.calls).toEqual([['The batch ended: budget.']])
})

test('a run that faults waits for a restart, which may come synchronously from a listener of the status', async () => {
  const { clock, status, restarts, runs, watch } = supervised([no, no])
  await clock.advance(60_000)
  expect([status.getSnapshot().phase, status.getSnapshot().lastError, runs]).toEqual(['faulted', no, [0]])
  expect(watch.faulted).toHaveBeenCalledTimes(1)
  const unsubscribe = status.subscribe(() => {
    if (status.getSnapshot().phase === 'faulted') restarts.tell()
  })
  restarts.tell()
  await clock.advance(0)
  unsubscribe()
  expect([runs.length, restarts.size, clock.pending]).toEqual([3, 1, 0])
  expect(status.getSnapshot().phase).toBe('starting')
})

test('a restart that is asked for while an event fails counts once the run has ended; one from before that does not', async () => {
  const poison = new TypeError('poison')
  const failed = new ProjectionFailedError('No.', { projector: 'p', attempts: 1, position: 2 }, poison)
  const { clock, status, restarts, runs, watch, end } = supervised(['later', 'later', failed])
  const phases: string[] = []
  status.subscribe(() => phases.push(status.getSnapshot().phase))
  await clock.advance(0)
  // After a pause, for example: nothing fails.
  restarts.tell()
  status.report({ type: 'event-failed', error: new TypeError('another'), projection: 'p', time: 0 } as never)
  status.report({ type: 'event-failed', error: poison, projection: 'p', time: 0 } as never)
  restarts.tell()
  end(failed)
  await clock.advance(0)
  expect([runs.length, watch.faulted.mock.calls.length]).toEqual([2, 1])
  expect(phases).not.toContain('faulted')
  // Of that failure nothing is left to be asked for.
  status.report({ type: 'event-failed', error: poison, projection: 'p', time: 0 } as never)
  end(failed)
  await clock.advance(0)
  expect([runs.length, status.getSnapshot().phase]).toEqual([2, 'faulted'])
  restarts.tell()
  await clock.advance(0)
  expect([runs.length, status.getSnapshot().phase]).toEqual([3, 'faulted'])
})

test('joining that fails for a reason that may pass is tried again after pauses that double, up to 30 s', async () => {
  const joinError = new StorageFailedError('Opening failed.', { cause: no })
  const { clock, status, tries, state, runs } = supervised([], { joinError })
  await clock.advance(100 + 200 + 400)
  expect([tries, status.getSnapshot().phase]).toEqual([[100, 300, 700], 'retrying'])
  await clock.advance(200_000)
  const pauses = tries.map((at, index) => at - (tries[index - 1] ?? 0))
  expect(Math.max(...pauses)).toBe(30_000)
  state.joinError = undefined
  await clock.advance(30_000)
  expect([runs.length, clock.pending]).toEqual([1, 0])
})

test('a run that cannot have its lock is tried again after pauses that double', async () => {
  const away = new CoordinationFailedError('p', new StorageFailedError('Connecting failed.', { cause: no }))
  const { clock, runs, status } = supervised([away, away, away])
  for (let times = 0; times < 8; times += 1) await clock.advance(100)
  expect(runs).toEqual([0, 100, 300, 700])
  expect(status.getSnapshot().phase).not.toBe('faulted')
})

test('joining that fails for good, or in batch mode, waits for a restart', async () => {
  for (const options of [
    { joinError: no },
    { joinError: new StorageFailedError('Opening failed.', { cause: no }), isContinuous: false },
  ]) {
    const { clock, status, tries, restarts } = supervised([], options)
    await clock.advance(120_000)
    expect([status.getSnapshot().phase, tries, clock.pending]).toEqual(['faulted', [], 0])
    restarts.tell()
    await clock.advance(0)
    expect(tries).toHaveLength(1)
  }
})

test('a stop ends it in whatever state, and leaves nothing behind', async () => {
  for (const outcomes of [[], [no]]) {
    const { clock, stopping, restarts, ended, runs } = supervised(outcomes)
    await clock.advance(1_000)
    stopping.abort()
    await clock.advance(0)
    restarts.tell()
    await clock.advance(0)
    expect([ended.mock.calls.length, runs.length, clock.pending]).toEqual([1, 1, 0])
  }
})

test('the time in which it was stopped does not count as that of a handler', async () => {
  const { clock, status, restarts } = supervised([no])
  status.stored({ position: 1, epoch: 1, owner: 'me', paused: false, letters: 0 }, 5)
  await clock.advance(60_000)
  restarts.tell()
  await clock.advance(0)
  const look = () => status.stored({ position: 1, epoch: 1, owner: 'me', paused: false, letters: 0 }, 5)
  look()
  expect(status.getSnapshot().phase).toBe('starting')
  await clock.advance(4_999)
  look()
  expect(status.getSnapshot().phase).toBe('starting')
  await clock.advance(1)
  look()
  expect(status.getSnapshot().phase).toBe('stalled')
})
