import { afterEach, expect, test, vi } from 'vitest'
import type { ProjectionFailedError } from '../../../src/errors.js'
import type { RecordedEvent } from '../../../src/events/event.js'
import { settle, type ProjectionOptions } from '../../../src/projection/config.js'
import { driveTarget } from '../../../src/projection/leadership.js'
import { PlainTarget } from '../../../src/projection/plain.js'
import type { Projector } from '../../../src/projection/projector.js'
import type { ProjectionReport } from '../../../src/projection/report.js'
import type { FailureContext, FailureStrategy, ProjectionTarget } from '../../../src/projection/target.js'
import { fakeBackend, fakeRows, fakeTarget, upTo, type FakeBackend } from './fake-backend.js'

afterEach(() => vi.unstubAllGlobals())

type Config = ProjectionOptions
const boom = new Error('boom')
const retry = () => 'retry' as const
const gaps = (times: readonly number[]) => times.slice(1).map((time, i) => time - (times[i] as number))

function collector(
  clock: { monotonic(): number },
  fail: (event: RecordedEvent, call: number) => unknown = () => undefined,
  onFailure?: (failure: FailureContext) => FailureStrategy,
) {
  const applied: number[] = []
  const calls: number[] = []
  const projector: Projector = {
    name: 'p',
    apply(event) {
      calls.push(clock.monotonic())
      const failure = fail(event, calls.length)
      if (failure !== undefined) throw failure
      applied.push(event.position)
    },
    ...(onFailure === undefined ? {} : { onFailure }),
  }
  return { projector, applied, calls }
}

const drive = (
  backend: FakeBackend,
  target: ProjectionTarget,
  config: Config = {},
  owner = 'test',
  report?: (report: ProjectionReport) => void,
) => driveTarget(target, backend, { clock: backend.clock, ...config }, { mode: 'batch', owner, report })
const run = (backend: FakeBackend, projector: Projector, config: Config = {}) =>
  backend.clock.runUntil(drive(backend, new PlainTarget(projector, backend.checkpoints, config), config))
const failing = (backend: FakeBackend, projector: Projector, config: Config = {}) =>
  run(backend, projector, config).then(
    () => {
      throw new Error('did not fail')
    },
    (error: unknown) => error as ProjectionFailedError,
  )
async function runFor(
  backend: FakeBackend,
  projector: Projector,
  during: number | (() => Promise<void>),
  config: Config = {},
) {
  const controller = new AbortController()
  const running = drive(backend, new PlainTarget(projector, backend.checkpoints, config), {
    mode: 'continuous',
    signal: controller.signal,
    ...config,
  })
  running.catch(() => {})
  await (typeof during === 'number' ? backend.clock.advance(during) : during())
  controller.abort()
  return backend.clock.runUntil(running)
}

test('P1, P8, P10, P16: a projector with name and apply only sees every event', async () => {
  const backend = fakeBackend()
  backend.append(2)
  const { projector, applied } = collector(backend.clock)
  expect(await run(backend, projector)).toEqual({ position: 2, applied: 2, skipped: 0, parked: 0, reason: 'caught-up' })
  expect(applied).toEqual([1, 2])
})

test('P2, P3: an append to an idle continuous run is applied soon, hint or not', async () => {
  const backend = fakeBackend()
  const { projector, applied } = collector(backend.clock)
  await runFor(backend, projector, async () => {
    await backend.clock.advance(200)
    backend.append(1, 'A', false)
    await backend.clock.advance(300)
    expect(applied).toEqual([1])
    backend.append(1)
    await backend.clock.advance(0)
    expect(applied).toEqual([1, 2])
  })
})

test('P4: with two retries, an event that always fails is tried three times', async () => {
  const backend = fakeBackend()
  backend.append(1)
  const { projector, calls } = collector(backend.clock, () => boom, retry)
  expect(await failing(backend, projector, { retry: { maxRetries: 2 } })).toMatchObject({
    code: 'projection-failed',
    attempts: 3,
  })
  expect(calls).toHaveLength(3)
})

test.for([
  ['P5', 'continuous', 3, 4],
  ['P26', 'batch', undefined, 6],
  ['P29', 'batch', 2, 3],
] as const)('%s: m failed reads are tolerated, the next one ends the run', async ([, mode, most, expected]) => {
  const backend = fakeBackend()
  backend.append(1)
  backend.faults.read = () => boom
  expect(
    await failing(backend, collector(backend.clock).projector, {
      mode,
      poll: most === undefined ? {} : { maxConsecutiveFailures: most },
    }),
  ).toMatchObject({ code: 'projection-failed', cause: boom })
  expect(backend.reads).toHaveLength(expected)
})

test('P6, P7: a held lock is refused, and so is a coordinator that fails', async () => {
  const backend = fakeBackend()
  backend.append(1)
  const { projector, applied } = collector(backend.clock)
  const guard = await backend.coordinator.tryAcquire('p')
  expect(await failing(backend, projector)).toMatchObject({ code: 'already-running' })
  guard?.release()
  const broken = { ...backend, coordinator: { ...backend.coordinator, tryAcquire: () => Promise.reject(boom) } }
  expect(await failing(broken, projector)).toMatchObject({ code: 'coordination-failed', cause: boom })
  expect(applied).toEqual([])
  let refused: unknown = 'not asked'
  await run(backend, {
    name: 'p',
    async apply() {
      refused = await backend.coordinator.tryAcquire('p')
    },
  })
  expect(refused).toBeUndefined()
})

test('P9: a filter lets through its types only', async () => {
  const backend = fakeBackend()
  backend.append(5, 'Alpha')
  backend.append(1, 'Beta')
  const { projector, applied } = collector(backend.clock)
  expect(await run(backend, { ...projector, filter: { types: ['Beta'] } })).toMatchObject({ applied: 1, position: 6 })
  expect(applied).toEqual([6])
})

test('P11: a second run over the same checkpoints applies nothing', async () => {
  const backend = fakeBackend()
  backend.append(5)
  await run(backend, collector(backend.clock).projector)
  expect(await run(backend, collector(backend.clock).projector)).toMatchObject({ applied: 0, position: 5 })
})

test('P12, P18: an idle run reads now and then, the empty backoff apart', async () => {
  for (const [emptyBackoff, ms] of [
    [50, 150],
    [1000, 1500],
  ] as const) {
    const backend = fakeBackend()
    await runFor(backend, collector(backend.clock).projector, ms, { poll: { emptyBackoff } })
    expect(backend.reads.length).toBeLessThan(20)
    expect(gaps(backend.reads)[0]).toBe(emptyBackoff)
  }
})

test.for([
  ['P13', undefined, [1, 2]],
  ['P14', () => 'skip' as const, [1, 2, 4, 5]],
] as const)('%s: what was applied before or beside a failing event is not repeated', async ([, onFailure, first]) => {
  const backend = fakeBackend()
  backend.append(5)
  for (const expected of [first, []]) {
    const { projector, applied } = collector(
      backend.clock,
      (event) => (event.position === 3 ? boom : undefined),
      onFailure,
    )
    await run(backend, projector).catch(() => {})
    expect(applied).toEqual(expected)
  }
})

test('P15, P19: onFailure sees each retry count, and the checkpoint stays before the event', async () => {
  const backend = fakeBackend()
  backend.append(5)
  for (const expected of [6, 4]) {
    const seen: number[] = []
    const { projector, calls } = collector(
      backend.clock,
      (event) => (event.position === 3 ? boom : undefined),
      ({ retryCount }) => {
        seen.push(retryCount)
        return 'retry'
      },
    )
    await failing(backend, projector)
    expect([seen, calls.length, backend.positions.get('p')]).toEqual([[0, 1, 2, 3], expected, 2])
  }
})

test('P17: the interval separates reads after a page with events', async () => {
  const backend = fakeBackend()
  backend.append(1)
  await runFor(backend, collector(backend.clock).projector, 600, { poll: { interval: 500 } })
  expect(gaps(backend.reads)[0]).toBe(500)
})

test('P20, P21: an event that works at last is applied once, after its delay', async () => {
  const backend = fakeBackend()
  backend.append(1)
  const { projector, applied, calls } = collector(backend.clock, (_, call) => (call <= 2 ? boom : undefined), retry)
  await run(backend, projector, { retry: { delay: 50 } })
  expect(applied).toEqual([1])
  expect(gaps(calls)[0]).toBeGreaterThanOrEqual(50)
})

test.for([
  ['P22', { delay: 50, maxDelay: 100_000 }, [50, 100, 200]],
  ['P23', { delay: 100, maxDelay: 150 }, [100, 150, 150]],
] as const)('%s: the delay doubles up to its cap', async ([, config, expected]) => {
  const backend = fakeBackend()
  backend.append(1)
  const { projector, calls } = collector(backend.clock, () => boom, retry)
  await failing(backend, projector, { retry: { ...config, jitter: 0 } })
  expect(gaps(calls)).toEqual(expected)
})

test('P25, P27: reads that fail and then work are no failure, twice in a row', async () => {
  const backend = fakeBackend()
  for (let round = 0; round < 2; round += 1) {
    backend.append(1)
    backend.reads.length = 0
    backend.faults.read = (n) => (n <= 3 ? boom : undefined)
    expect(
      await run(backend, collector(backend.clock).projector, { poll: { failureBackoff: 10 }, retry: { jitter: 0 } }),
    ).toMatchObject({ applied: 1 })
    expect(gaps(backend.reads)).toEqual([10, 20, 40])
  }
})

test('P24: a transient error is retried, a permanent one ends the run at its first failure', async () => {
  for (const [error, attempts] of [
    [new TypeError('permanent'), 1],
    [boom, 4],
  ] as const) {
    const backend = fakeBackend()
    backend.append(1)
    const { projector, calls } = collector(
      backend.clock,
      () => error,
      (failure) => (failure.error instanceof TypeError ? 'fatal' : 'retry'),
    )
    expect(await failing(backend, projector)).toMatchObject({ code: 'projection-failed', attempts, cause: error })
    expect(calls).toHaveLength(attempts)
  }
})

test('a policy that throws is fatal, with what it threw as the cause', async () => {
  const backend = fakeBackend()
  backend.append(1)
  const { projector } = collector(
    backend.clock,
    () => boom,
    () => {
      throw new RangeError('no policy')
    },
  )
  expect(await failing(backend, projector)).toMatchObject({
    code: 'projection-failed',
    position: 1,
    cause: { name: 'RangeError' },
  })
})

test('B2: a checkpoint that cannot be loaded ends a batch at once; a continuous run tries again', async () => {
  const backend = fakeBackend()
  backend.append(2)
  const load = backend.checkpoints.load
  let failures = 0
  const flaky = {
    ...backend.checkpoints,
    load: (name: string) => ((failures += 1) <= 2 ? Promise.reject(boom) : load(name)),
  }
  const { projector, applied } = collector(backend.clock)
  await expect(backend.clock.runUntil(drive(backend, new PlainTarget(projector, flaky, {})))).rejects.toMatchObject({
    code: 'projection-failed',
    cause: boom,
    attempts: 1,
  })
  failures = 0
  const controller = new AbortController()
  const running = drive(backend, new PlainTarget(projector, flaky, {}), {
    mode: 'continuous',
    signal: controller.signal,
  })
  await backend.clock.advance(1_000)
  controller.abort()
  expect(await backend.clock.runUntil(running)).toMatchObject({ reason: 'aborted', applied: 2 })
  expect([applied, failures]).toEqual([[1, 2], 3])
})

test('W1: reads run ahead of commits: while one page is applied the next one is on its way', async () => {
  const backend = fakeBackend()
  backend.append(10_000)
  const seen: number[] = []
  const projector: Projector = {
    name: 'p',
    apply: ({ position }) => {
      if (position % 4096 === 1) seen.push(backend.reads.length)
    },
  }
  await run(backend, projector)
  expect([seen, backend.reads.length]).toEqual([[2, 3, 3], 3])
})

test('batch.maxCharacters ends a batch, where the reader says how much it read', async () => {
  const backend = fakeBackend()
  backend.append(12_288)
  const rows = fakeRows()
  const { readPage } = backend.reader
  const reader = {
    ...backend.reader,
    readPage: async (...given: Parameters<typeof readPage>) => ({ ...(await readPage(...given)), characters: 600 }),
  }
  await backend.clock.runUntil(
    drive({ ...backend, reader } as FakeBackend, fakeTarget(rows), { batch: { maxCharacters: 1000 } }),
  )
  expect([rows.commits, rows.position]).toEqual([2, 12_288])
})

test('rows that cannot be read while a handler runs are no failure of its event: it is done again, and its policy is not asked', async () => {
  const backend = fakeBackend()
  backend.append(3)
  const rows = fakeRows()
  let failures = 0
  const asked: unknown[] = []
  const target = fakeTarget(rows, {
    apply: ({ position }) => {
      if (position === 2 && (failures += 1) <= 2) throw boom
    },
    onFailure: ({ error }) => (asked.push(error), 'fatal'),
  })
  target.isStorageFailure = (error) => error === boom
  expect(await backend.clock.runUntil(drive(backend, target))).toMatchObject({ applied: 3, position: 3 })
  expect([rows.applied, asked, failures]).toEqual([[1, 2, 3], [], 3])
})

test('N39: an abort ends a run between two pages, also where the reader knows of no signal', async () => {
  const backend = fakeBackend()
  const controller = new AbortController()
  let reads = 0
  const reader = {
    async readPage({ after = 0 }: { after?: number }) {
      if ((reads += 1) === 5) controller.abort()
      return { events: [], scannedTo: after + 1, head: 1000 }
    },
  }
  const { projector } = collector(backend.clock)
  expect(await run({ ...backend, reader } as FakeBackend, projector, { signal: controller.signal })).toMatchObject({
    reason: 'aborted',
  })
  expect(reads).toBeLessThan(8)
})

test('a reader that makes no progress is told so, with pauses, instead of being asked without end', async () => {
  const backend = fakeBackend()
  let reads = 0
  const reader = {
    readPage: async ({ after = 0 }: { after?: number }) => ((reads += 1), { events: [], scannedTo: after, head: 2 }),
  }
  expect(await failing({ ...backend, reader } as FakeBackend, collector(backend.clock).projector)).toMatchObject({
    code: 'projection-failed',
    cause: { code: 'log-inconsistent', position: 0 },
  })
  expect(reads).toBe(6)
})

test('V19: numbers out of range are refused', () => {
  for (const config of [
    { retry: { multiplier: 0.5 } },
    { retry: { multiplier: NaN } },
    { retry: { jitter: -0.1 } },
    { retry: { jitter: 1.5 } },
    { poll: { maxConsecutiveFailures: 0 } },
    { poll: { interval: -1 } },
    { batch: { maxEvents: 0 } },
  ])
    expect(() => settle(config, 'batch')).toThrow(expect.objectContaining({ code: 'invalid-argument' }))
})

test.for([1000, 1001, 2500, 10_000])('N1, P28: a batch over %i events applies all of them', async (count) => {
  const backend = fakeBackend()
  backend.append(count)
  const { projector, applied } = collector(backend.clock)
  expect(await run(backend, projector)).toMatchObject({ applied: count, position: count })
  expect(applied).toEqual(upTo(count))
  expect(backend.reads).toHaveLength(Math.ceil(count / 4096))
})

test('N2: events that come during a batch are left for the next one', async () => {
  const backend = fakeBackend()
  backend.append(5000)
  const applied: number[] = []
  const projector: Projector = {
    name: 'p',
    apply(event) {
      if (event.position % 1000 === 0) backend.append(10)
      applied.push(event.position)
    },
  }
  expect(await run(backend, projector)).toMatchObject({ position: 5000, reason: 'caught-up' })
  expect(applied).toEqual(upTo(5000))
})

test.for(['before', 'after'] as const)(
  'N4, N5: a commit that reports a failure %s it happened has its effect once',
  async (when) => {
    const backend = fakeBackend()
    backend.append(10)
    const rows = fakeRows()
    await backend.clock.runUntil(
      drive(backend, fakeTarget(rows, { commit: (n) => (n <= 2 ? when : undefined) }), { batch: { maxEvents: 5 } }),
    )
    expect(rows.applied).toEqual(upTo(10))
  },
)

test('N4: the result counts each event once, however often its commit failed', async () => {
  const backend = fakeBackend()
  backend.append(10)
  const target = fakeTarget(fakeRows(), { commit: (n) => (n <= 2 ? 'before' : undefined) })
  expect(await backend.clock.runUntil(drive(backend, target))).toMatchObject({ applied: 10 })
})

test('H28: commits that always fail end a batch after the tolerated failures', async () => {
  const backend = fakeBackend()
  backend.append(10)
  const rows = fakeRows()
  await expect(
    backend.clock.runUntil(drive(backend, fakeTarget(rows, { commit: () => 'before' }))),
  ).rejects.toMatchObject({ code: 'projection-failed' })
  expect(rows.commits).toBe(6)
})

test('N6: a fatal failure says what failed, where, and why', async () => {
  const backend = fakeBackend()
  backend.append(3)
  const { projector } = collector(backend.clock, (event) => (event.position === 2 ? boom : undefined))
  expect(await failing(backend, projector)).toMatchObject({
    code: 'projection-failed',
    projector: 'p',
    position: 2,
    eventId: 'id-2',
    eventType: 'A',
    stream: 's',
    attempts: 1,
    cause: boom,
  })
})

test('N8, N10: events that do not match move the checkpoint to the head', async () => {
  const backend = fakeBackend()
  backend.append(10_000, 'Other')
  backend.append(1, 'Good')
  backend.append(98, 'Other')
  const { projector, applied } = collector(backend.clock)
  await runFor(backend, { ...projector, filter: { types: ['Good'] } }, 10)
  expect([applied, backend.positions.get('p')]).toEqual([[10_001], 10_099])
  expect(backend.reads.length).toBeLessThan(10)
})

test('N12: no wait while behind, whatever the interval', async () => {
  const backend = fakeBackend()
  backend.append(20_000)
  await runFor(backend, collector(backend.clock).projector, 2000, { poll: { interval: 100, emptyBackoff: 20 } })
  expect(backend.reads.slice(0, 5)).toEqual([0, 0, 0, 0, 0])
})

test.for(['fatal', 'skip', 'park', 'retry'] as const)(
  'N18: 36 events before a failing one are stored, then %s decides',
  async (strategy) => {
    const backend = fakeBackend()
    backend.append(100)
    const rows = fakeRows()
    const target = fakeTarget(rows, {
      apply: (event) => {
        if (event.position === 37) throw boom
      },
      onFailure: () => strategy,
    })
    const running = backend.clock.runUntil(drive(backend, target))
    if (strategy === 'fatal' || strategy === 'retry') {
      await expect(running).rejects.toMatchObject({ position: 37 })
      expect(rows).toMatchObject({ position: 36, applied: upTo(36), fault: { position: 37, eventId: 'id-37' } })
    } else {
      await running
      expect(rows.applied).toEqual(upTo(100).filter((n) => n !== 37))
      expect(rows.letters.map(({ position }) => position)).toEqual(strategy === 'park' ? [37] : [])
    }
  },
)

test("N22: 'park-stream' is for read models: a plain projector that returns it stops, and its error says so", async () => {
  const backend = fakeBackend()
  backend.append(3)
  expect(
    await failing(
      backend,
      collector(
        backend.clock,
        () => boom,
        () => 'park-stream' as never,
      ).projector,
    ),
  ).toMatchObject({
    code: 'projection-failed',
    position: 1,
    cause: { code: 'invalid-argument', message: expect.stringContaining("Return 'park'") },
  })
})

test('a value that onFailure must not return stops the projection, and its error names that value', async () => {
  for (const strategy of ['ignore', 'toString', 7, {}, true]) {
    const backend = fakeBackend()
    backend.append(3)
    const { projector } = collector(
      backend.clock,
      () => boom,
      () => strategy as never,
    )
    expect(await failing(backend, projector)).toMatchObject({
      code: 'projection-failed',
      position: 1,
      cause: { code: 'invalid-argument', message: expect.stringContaining('onFailure returned') },
    })
  }
})

test('N36: a checkpoint beyond the head is an integrity error', async () => {
  const backend = fakeBackend()
  backend.append(3)
  backend.positions.set('p', 9)
  expect(await failing(backend, collector(backend.clock).projector)).toMatchObject({
    code: 'projection-failed',
    cause: { code: 'log-inconsistent', position: 9 },
  })
})

test('N38: a budget is kept within one batch, of which at least one is stored', async () => {
  const backend = fakeBackend()
  backend.append(100)
  const slow = (ms: number): Projector => ({
    name: 'p',
    apply: () => new Promise((resolve) => void backend.clock.schedule(ms, resolve)),
  })
  const first = await run(backend, slow(100), { budget: { maxTime: 30 } })
  expect(first).toMatchObject({ reason: 'budget' })
  expect(first.position).toBeGreaterThan(0)
  expect(first.position).toBeLessThan(100)
  expect(backend.positions.get('p')).toBe(first.position)
})

test.for(['before', 'read', 'apply', 'commit', 'retry', 'idle'])(
  'N39: an abort (%s) ends the run with a consistent checkpoint',
  async (when) => {
    const backend = fakeBackend()
    backend.append(10)
    const rows = fakeRows()
    const controller = new AbortController()
    const abortIf = (now: string) => {
      if (when === now) controller.abort()
    }
    abortIf('before')
    backend.faults.read = () => abortIf('read')
    const target = fakeTarget(rows, {
      apply: (event) => {
        if (event.position !== 5) return
        abortIf('apply')
        if (when !== 'retry') return
        backend.clock.schedule(1, () => controller.abort())
        throw boom
      },
      onFailure: retry,
      commit: () => {
        abortIf('commit')
        return undefined
      },
    })
    if (when === 'idle') backend.clock.schedule(10, () => controller.abort())
    const result = await backend.clock.runUntil(
      drive(backend, target, { mode: 'continuous', signal: controller.signal }),
    )
    expect(result).toMatchObject({ reason: 'aborted', position: rows.position })
    expect(rows.applied).toEqual(upTo(rows.position))
    expect([backend.clock.pending, backend.listeners.size]).toEqual([0, 0])
    expect(await backend.coordinator.tryAcquire('rows@1')).toBeDefined()
  },
)

test('N42: lost hints are made up for by the poll; doubled ones cost no commit', async () => {
  const backend = fakeBackend()
  const { projector, applied } = collector(backend.clock)
  await runFor(backend, projector, async () => {
    await backend.clock.advance(20_000)
    backend.append(3, 'A', false)
    await backend.clock.advance(5000)
    expect(applied).toEqual([1, 2, 3])
    const before = backend.counts.saves
    for (let i = 0; i < 100; i += 1) for (const listener of backend.listeners) listener(1 + (i % 3))
    await backend.clock.advance(10)
    expect(backend.counts.saves).toBe(before)
  })
})

test('N13, N15: followers go on without a frozen leader, whose next commit is refused', async () => {
  const backend = fakeBackend()
  const rows = fakeRows()
  let thaw = () => {}
  const frozen = new Promise<undefined>((resolve) => {
    thaw = () => resolve(undefined)
  })
  const controller = new AbortController()
  const config: Config = { mode: 'continuous', signal: controller.signal }
  const runs = [drive(backend, fakeTarget(rows, { commit: () => frozen }), config, 'frozen')]
  await backend.clock.advance(10)
  runs.push(drive(backend, fakeTarget(rows), config, 'follower'))
  backend.append(3)
  await backend.clock.advance(15_000)
  expect(rows).toMatchObject({ applied: [1, 2, 3], owner: 'follower' })
  thaw()
  backend.append(2)
  await backend.clock.advance(20_000)
  expect(rows.applied).toEqual([1, 2, 3, 4, 5])
  controller.abort()
  expect((await backend.clock.runUntil(Promise.all(runs))).map(({ reason }) => reason)).toEqual(['aborted', 'aborted'])
})

test.each([4096, 3])(
  'the page gets its turn after 5 ms of work, also where a page of the log (of %d events) takes less',
  async (limit) => {
    const backend = fakeBackend()
    backend.append(100)
    let now = 0
    const clock = { ...backend.clock, monotonic: () => now }
    const turns: number[] = []
    vi.stubGlobal('scheduler', {
      yield: async () => {
        turns.push(now)
      },
    })
    const reader: FakeBackend = {
      ...backend,
      reader: {
        ...backend.reader,
        readPage: (request) => backend.reader.readPage({ ...request, limit: Math.min(request.limit, limit) }),
      },
    }
    const rows = fakeRows()
    await backend.clock.runUntil(
      drive(
        reader,
        fakeTarget(rows, {
          apply: () => {
            now += 1
          },
        }),
        { clock },
      ),
    )
    expect(rows.applied).toHaveLength(100)
    expect(Math.max(...gaps([0, ...turns, now]))).toBe(5)
  },
)

test('a checkpoint store that throws leaves no promise that nothing waits for', async () => {
  const unobserved: unknown[] = []
  const listener = (reason: unknown) => void unobserved.push(reason)
  process.on('unhandledRejection', listener)
  const checkpoints = {
    load: () => Promise.reject(new Error('late')),
    save: async () => {},
    countDeadLetters: () => {
      throw new Error('at once')
    },
  }
  const target = new PlainTarget({ name: 'p', apply() {} }, checkpoints, {})
  await expect(target.state()).rejects.toThrow()
  await new Promise((resolve) => void setImmediate(resolve))
  process.off('unhandledRejection', listener)
  expect(unobserved).toEqual([])
})
