// The shell of the machine: what it reads ahead, what wakes it, and what it leaves behind.
import { describe, expect, test } from 'vitest'
import { LeadershipLostError } from '../../../src/errors.js'
import type { EventReader } from '../../../src/log/event-store.js'
import type { ReadPage } from '../../../src/log/pages.js'
import { settle, type ProjectionOptions } from '../../../src/projection/config.js'
import { newRun } from '../../../src/projection/batching.js'
import type { ProjectionOccurrence } from '../../../src/projection/report.js'
import type { RunnerPorts } from '../../../src/projection/run-context.js'
import { runMachine } from '../../../src/projection/runner.js'
import type { ProjectionState, ProjectionTarget } from '../../../src/projection/target.js'
import { fakeBackend, fakeRows, fakeTarget, upTo, type FakeBackend } from './fake-backend.js'

function started(
  backend: FakeBackend,
  target: ProjectionTarget,
  mode: 'batch' | 'continuous',
  more: { config?: ProjectionOptions; ports?: Partial<RunnerPorts<never>>; holdsLock?: () => boolean } = {},
) {
  const stopping = new AbortController()
  const reports: ProjectionOccurrence[] = []
  const run = newRun()
  const ended = runMachine(
    {
      target,
      settings: settle({ clock: backend.clock, ...more.config }, mode),
      owner: 'a',
      run,
      report: (each) => void reports.push(each),
      ports: { reader: backend.reader, ...more.ports } as RunnerPorts<never>,
      ...(more.holdsLock !== undefined && { holdsLock: more.holdsLock }),
    },
    stopping.signal,
  )
  ended.catch(() => {})
  return {
    run,
    reports,
    ended,
    async stop() {
      stopping.abort()
      return backend.clock.runUntil(ended)
    },
  }
}

describe('pages that are read ahead', () => {
  test('after a retry in the middle of a page the next one is not applied before its rest', async () => {
    const backend = fakeBackend()
    backend.append(6000)
    const rows = fakeRows()
    let failed = 0
    const target = fakeTarget(rows, {
      apply: ({ position }) => {
        if (position === 2000 && failed++ === 0) throw new Error('once')
      },
      onFailure: () => 'retry',
    })
    const { ended } = started(backend, target, 'batch')
    expect(await backend.clock.runUntil(ended)).toMatchObject({ applied: 6000, position: 6000 })
    expect(rows.applied).toEqual(upTo(6000))
    expect(failed).toBe(2)
  })
  test('none is used after a reset: what was read before it may be of another log', async () => {
    const backend = fakeBackend()
    backend.append(6000)
    const rows = fakeRows()
    let asked = 0
    const reader: EventReader = {
      ...backend.reader,
      readPage: (...given) => ((asked += 1), backend.reader.readPage(...given)),
    }
    const { ended } = started(backend, fakeTarget(rows, { commit: (n) => (n === 1 ? 'before' : undefined) }), 'batch', {
      config: { batch: { maxEvents: 4096 } },
      ports: { reader: reader as never },
    })
    await backend.clock.runUntil(ended)
    expect(rows.applied).toEqual(upTo(6000))
    // Both pages, and after the failure both again.
    expect(asked).toBe(4)
  })
  test('a read ahead that fails is heard by whoever asks for its page, and by nobody else', async () => {
    const backend = fakeBackend()
    backend.append(6000)
    backend.faults.read = (n) => (n === 2 ? new Error('no') : undefined)
    const rows = fakeRows()
    const { ended, reports } = started(backend, fakeTarget(rows), 'batch')
    await backend.clock.runUntil(ended)
    expect(reports.filter(({ type }) => type === 'storage-failed')).toMatchObject([{ what: 'reading' }])
    expect(rows.applied).toEqual(upTo(6000))
  })
})

test.for([
  ['batch', false],
  ['continuous', true],
] as const)('a %s asks for what this context remembers of its own: %s', async ([mode, own]) => {
  const backend = fakeBackend()
  backend.append(3)
  const asked: unknown[] = []
  const readPage: ReadPage = (request, options) => (asked.push(options?.own), backend.reader.readPage(request))
  const reader = { ...backend.reader, readPage }
  const run = started(backend, fakeTarget(fakeRows()), mode, { ports: { reader: reader as never } })
  await backend.clock.advance(10)
  await run.stop()
  expect(new Set(asked)).toEqual(new Set([own]))
})

test('a reader that does not move is an error with its name, in a batch and after some tries', async () => {
  const backend = fakeBackend()
  const reader: EventReader = { readPage: async () => ({ events: [], scannedTo: 0, head: 5 }) }
  const { ended } = started(backend, fakeTarget(fakeRows()), 'batch', { ports: { reader: reader as never } })
  await expect(backend.clock.runUntil(ended)).rejects.toMatchObject({
    code: 'projection-failed',
    cause: { code: 'log-inconsistent', message: expect.stringContaining('scannedTo') },
  })
})

describe('sleeping', () => {
  const broken = async () => {
    const backend = fakeBackend()
    backend.append(1)
    backend.faults.read = (n) => (n < 5 ? new Error('no') : undefined)
    let hurry = () => {}
    let control = () => {}
    const run = started(backend, fakeTarget(fakeRows()), 'continuous', {
      config: { poll: { failureBackoff: 10_000 }, retry: { jitter: 0 } },
      ports: {
        onRetryNow: (listener) => ((hurry = listener), () => {}),
        onControl: (listener) => ((control = listener), () => {}),
      },
    })
    await backend.clock.advance(5)
    expect(backend.reads).toHaveLength(1)
    return { backend, run, hurry: () => hurry(), control: () => control() }
  }
  test('an append does not shorten the pause after a failure', async () => {
    const { backend, run } = await broken()
    backend.append(5)
    await backend.clock.advance(9_000)
    expect(backend.reads).toHaveLength(1)
    await backend.clock.advance(1_100)
    expect(backend.reads).toHaveLength(2)
    await run.stop()
  })
  test('what the app asks for does, at once, and then once in a tenth of a second', async () => {
    const { backend, run, hurry } = await broken()
    hurry()
    await backend.clock.advance(0)
    expect(backend.reads).toHaveLength(2)
    for (let asked = 0; asked < 9; asked += 1) {
      hurry()
      await backend.clock.advance(10)
    }
    expect(backend.reads).toHaveLength(2)
    await backend.clock.advance(20)
    expect(backend.reads).toHaveLength(3)
    // None asked since then.
    await backend.clock.advance(5_000)
    expect(backend.reads).toHaveLength(3)
    await run.stop()
  })
  test('… not what it asked for while everything worked', async () => {
    const backend = fakeBackend()
    backend.append(1)
    let hurry = () => {}
    const run = started(backend, fakeTarget(fakeRows()), 'continuous', {
      config: { poll: { failureBackoff: 10_000 }, retry: { jitter: 0 } },
      ports: { onRetryNow: (listener) => ((hurry = listener), () => {}) },
    })
    await backend.clock.advance(5)
    hurry()
    const before = backend.reads.length
    backend.faults.read = (n) => (n === before + 1 ? new Error('no') : undefined)
    backend.append(1)
    await backend.clock.advance(5_000)
    expect(backend.reads).toHaveLength(before + 1)
    await run.stop()
  })
  test('… nor what it asked for while the work was at hand that failed then', async () => {
    const backend = fakeBackend()
    backend.append(1)
    const rows = fakeRows()
    let hurry = () => {}
    const target = fakeTarget(rows, { apply: () => hurry(), commit: (n) => (n === 1 ? 'before' : undefined) })
    const run = started(backend, target, 'continuous', {
      config: { poll: { failureBackoff: 10_000 }, retry: { jitter: 0 } },
      ports: { onRetryNow: (listener) => ((hurry = listener), () => {}) },
    })
    await backend.clock.advance(5_000)
    expect([rows.commits, rows.applied]).toEqual([1, []])
    await backend.clock.advance(5_100)
    expect(rows.applied).toEqual([1])
    await run.stop()
  })
  test('a control does, and an event that waits for its retry hears it too, but no append and no hurry', async () => {
    const { backend, run, control } = await broken()
    control()
    await backend.clock.advance(0)
    expect(backend.reads).toHaveLength(2)
    await run.stop()

    const retried = fakeBackend()
    retried.append(1)
    const calls: number[] = []
    let tell = () => {}
    let hurry = () => {}
    const target = fakeTarget(fakeRows(), {
      apply: () => {
        calls.push(retried.clock.monotonic())
        throw new Error('no')
      },
      onFailure: () => 'retry',
    })
    const other = started(retried, target, 'continuous', {
      config: { retry: { delay: 5000, jitter: 0 } },
      ports: {
        onControl: (listener) => ((tell = listener), () => {}),
        onRetryNow: (listener) => ((hurry = listener), () => {}),
      },
    })
    await retried.clock.advance(10)
    hurry()
    retried.append(1)
    await retried.clock.advance(10)
    expect(calls).toHaveLength(1)
    tell()
    await retried.clock.advance(10)
    expect(calls).toHaveLength(2)
    await other.stop()
  })
  test('I8: a run that ended left no listener and no timer', async () => {
    const backend = fakeBackend()
    backend.append(1)
    const listening = new Set<string>()
    const port = (name: string) => () => {
      listening.add(name)
      return () => void listening.delete(name)
    }
    const run = started(backend, fakeTarget(fakeRows()), 'continuous', {
      ports: { onRetryNow: port('hurry'), onControl: port('control'), onWanted: port('wanted'), onHint: port('hint') },
    })
    await backend.clock.advance(10)
    expect([...listening].sort()).toEqual(['control', 'hint', 'hurry', 'wanted'])
    await run.stop()
    expect([listening.size, backend.clock.pending, backend.listeners.size]).toEqual([0, 0, 0])
  })
})

describe('N19: an event that runs died of', () => {
  const died = (rows: ReturnType<typeof fakeRows>, notes: (number | undefined)[] = []): ProjectionTarget => {
    const target = fakeTarget(rows, { onFailure: () => 'skip' })
    const more: Partial<ProjectionState> = { unclean: { position: 0, ends: 5 }, trying: { position: 1, runs: 2 } }
    return {
      ...target,
      begin: async (...given) => ({ ...(await target.begin(...given)), ...more }),
      tries: async (position) => void notes.push(position),
    }
  }
  test('is blamed by who holds the lock, and not by who works beside a run that may be alive', async () => {
    for (const holds of [true, false]) {
      const backend = fakeBackend()
      backend.append(2)
      const rows = fakeRows()
      const notes: (number | undefined)[] = []
      const { ended } = started(backend, died(rows, notes), 'batch', { holdsLock: () => holds })
      expect(await backend.clock.runUntil(ended)).toMatchObject({ skipped: holds ? 1 : 0, position: 2 })
      expect(rows.applied).toEqual(holds ? [2] : [1, 2])
      // Nor does it note anything.
      expect(notes).toEqual(holds ? [2] : [])
    }
  })
})

describe('how a run ends', () => {
  test('its target is left without anything pending, however it ended', async () => {
    const ends: Record<string, { failing?: number; lost?: true; aborted?: true }> = {
      done: {},
      failed: { failing: 2 },
      lost: { lost: true },
      aborted: { aborted: true },
    }
    for (const [how, { failing, lost, aborted }] of Object.entries(ends)) {
      const backend = fakeBackend()
      backend.append(3)
      const rows = fakeRows()
      let resets = 0
      let last = ''
      const target = fakeTarget(rows, {
        apply: ({ position }) => {
          last = 'applied'
          if (position === failing) throw new Error('no')
        },
      })
      const watched: ProjectionTarget = {
        ...target,
        commit: async (...given) => {
          if (lost === true) throw new LeadershipLostError('rows', 'gone')
          return target.commit(...given)
        },
        reset: () => {
          resets += 1
          last = 'reset'
          target.reset()
        },
      }
      const run = started(backend, watched, aborted === true ? 'continuous' : 'batch')
      await backend.clock.advance(10)
      if (aborted === true) await run.stop()
      await backend.clock.runUntil(run.ended).catch(() => {})
      expect([how, last, resets > 0]).toEqual([how, 'reset', true])
    }
  })
  test('N39: an abort is "aborted", whatever failed because of it; a lost compare is told all the same', async () => {
    const backend = fakeBackend()
    backend.append(3)
    const stopping = new AbortController()
    const target = fakeTarget(fakeRows())
    const failing: ProjectionTarget = {
      ...target,
      begin: async () => {
        stopping.abort()
        throw new Error('closed under it')
      },
    }
    const context = {
      settings: settle({ clock: backend.clock }, 'continuous'),
      owner: 'a',
      run: newRun(),
      report: () => {},
      ports: { reader: backend.reader },
    }
    expect(await runMachine({ ...context, target: failing }, stopping.signal)).toMatchObject({ reason: 'aborted' })
    const again = new AbortController()
    const losing: ProjectionTarget = {
      ...target,
      commit: async () => {
        again.abort()
        throw new LeadershipLostError('rows', 'gone')
      },
    }
    await expect(runMachine({ ...context, run: newRun(), target: losing }, again.signal)).rejects.toMatchObject({
      code: 'leadership-lost',
    })
  })
  test('a failure that is the storage’s is not the event’s', async () => {
    const backend = fakeBackend()
    backend.append(2)
    const rows = fakeRows()
    const refused = new Error('row not read')
    let times = 0
    const target = fakeTarget(rows, {
      apply: ({ position }) => {
        if (position === 2 && times++ === 0) throw refused
      },
      onFailure: () => 'fatal',
    })
    const { ended, reports } = started(backend, { ...target, isStorageFailure: (error) => error === refused }, 'batch')
    expect(await backend.clock.runUntil(ended)).toMatchObject({ applied: 2 })
    expect(reports.map(({ type }) => type)).not.toContain('event-failed')
  })
})

test('a run looks at the stored state for moves from outside: epoch, position and rebuild', async () => {
  for (const move of [
    { epoch: 99 },
    { position: 0 },
    { rebuild: { position: 0, letters: 0 } },
    { rebuild: { position: 3, letters: 0 } },
    {},
  ] as Partial<ProjectionState>[]) {
    const backend = fakeBackend()
    backend.append(3)
    const target = fakeTarget(fakeRows())
    let begun = 0
    let moved = false
    let control = () => {}
    const watched: ProjectionTarget = {
      ...target,
      begin: async (...given) => ((begun += 1), (moved = false), target.begin(...given)),
      state: async () => ({ ...(await target.state()), ...(moved && move) }),
    }
    const run = started(backend, watched, 'continuous', {
      ports: { onControl: (listener) => ((control = listener), () => {}) },
    })
    await backend.clock.advance(10)
    expect(begun).toBe(1)
    moved = true
    control()
    await backend.clock.advance(10)
    expect([move, begun]).toEqual([move, Object.keys(move).length > 0 ? 2 : 1])
    await run.stop()
  }
})

test('a target may read ahead once a run waited and nothing came: not right after a commit, nor in a burst, a batch or a pause', async () => {
  const backend = fakeBackend()
  backend.append(3)
  const rows = fakeRows()
  const target = fakeTarget(rows)
  const rests: number[] = []
  const resting: ProjectionTarget = { ...target, rest: () => void rests.push(rows.position) }
  await backend.clock.runUntil(started(backend, resting, 'batch').ended)
  const run = started(backend, resting, 'continuous')
  await backend.clock.advance(0)
  for (let each = 0; each < 20; each += 1) {
    await backend.clock.advance(10)
    backend.append(1)
    await backend.clock.advance(0)
  }
  expect([rows.position, rests]).toEqual([23, []])
  await backend.clock.advance(60)
  expect(rests).toEqual([23])
  rows.paused = true
  await backend.clock.advance(20_000)
  const before = rests.length
  await backend.clock.advance(60_000)
  expect(rests.length).toBe(before)
  await run.stop()
})
