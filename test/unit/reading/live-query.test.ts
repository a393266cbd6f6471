// What a live query does about failures, hung runs, ends and torn answers: on a virtual clock, over a source that the test is.
import { expect, test } from 'vitest'
import { ClosedError, QueryTimeoutError } from 'tidemark'
import { liveQuery } from '../../../src/reading/live-query.js'
import type { LiveSnapshot } from '../../../src/reading/live-snapshot.js'
import { virtualClock } from '../../../src/testing/virtual-clock.js'

type Outcome = { readonly data: number; readonly position: number } | undefined
interface Run {
  readonly at: number
  resolve(value: number): void
  /** What was read does not belong together. */
  tear(): void
  reject(error: unknown): void
  progress(): void
}

/** A live query whose runs the test settles, one by one. */
function query() {
  const clock = virtualClock()
  const runs: Run[] = []
  const source = { watches: 0, changed: () => {}, ended: () => {}, error: undefined as unknown }
  const live = liveQuery<number>(
    {
      evaluate: (progress) =>
        new Promise<Outcome>((resolve, reject) => {
          runs.push({
            at: clock.monotonic(),
            resolve: (data) => resolve({ data, position: data }),
            tear: () => resolve(undefined),
            reject,
            progress,
          })
        }),
      end: () => source.error,
      watch(changed, ended) {
        source.watches += 1
        Object.assign(source, { changed, ended })
        return () => void (source.watches -= 1)
      },
    },
    clock,
  )
  const shown: LiveSnapshot<number>[] = []
  return {
    clock,
    runs,
    live,
    shown,
    source,
    subscribe: () => live.subscribe(() => void shown.push(live.getSnapshot())),
    /** Settles the last run, and lets the query hear of it. */
    async settle(how: (run: Run) => void) {
      const run = runs.at(-1)
      if (run === undefined) throw new Error('Nothing was run')
      how(run)
      await clock.advance(0)
    },
  }
}
const no = new Error('no')
const failing = (run: Run) => run.reject(no)
const loading = { status: 'loading', data: undefined, error: undefined, stale: false }
const ready = (data: number, stale = false) => ({ status: 'ready', data, error: undefined, stale, position: data })

test('a run that failed is made again after 5, 10, 20, 40, 60 and 60 s, and after 5 s again once one succeeded', async () => {
  const { clock, runs, live, source, subscribe, settle } = query()
  subscribe()
  await settle((run) => run.resolve(7))
  /** The pauses that follow failures, in s. */
  const pauses = async (count: number) => {
    source.changed()
    const found: number[] = []
    while (found.length < count) {
      await settle(failing)
      expect(live.getSnapshot()).toStrictEqual({ status: 'error', error: no, data: 7, stale: true })
      const [from, before] = [clock.monotonic(), runs.length]
      while (runs.length === before && clock.monotonic() < from + 120_000) await clock.advance(1_000)
      found.push((clock.monotonic() - from) / 1_000)
    }
    return found
  }
  expect(await pauses(6)).toEqual([5, 10, 20, 40, 60, 60])
  await settle((run) => run.resolve(7))
  expect([live.getSnapshot(), clock.pending]).toEqual([ready(7), 0])
  expect(await pauses(2)).toEqual([5, 10])
})

test('after a failure it runs at the next change, which does not put off the retry that waits', async () => {
  const { clock, runs, source, subscribe, settle } = query()
  subscribe()
  await settle(failing)
  for (let second = 1; second < 5; second += 1) {
    await clock.advance(1_000)
    source.changed()
    await settle(failing)
  }
  expect(runs.map(({ at }) => at)).toEqual([0, 1_000, 2_000, 3_000, 4_000])
  await clock.advance(1_000)
  expect(runs.map(({ at }) => at).slice(5)).toEqual([5_000])
})

test('after a failure it runs for a new subscriber at once, and not for one that comes while it is ready or runs', async () => {
  const { clock, runs, live, subscribe, settle } = query()
  subscribe()
  await settle(failing)
  subscribe()
  subscribe()
  expect(runs).toHaveLength(2)
  await settle((run) => run.resolve(1))
  expect([live.getSnapshot(), runs.length, clock.pending]).toEqual([ready(1), 2, 0])
  subscribe()
  expect(runs).toHaveLength(2)
})

test('a failure before the first answer has no value', async () => {
  const { live, subscribe, settle } = query()
  subscribe()
  await settle(failing)
  expect(live.getSnapshot()).toStrictEqual({ status: 'error', error: no, data: undefined, stale: false })
})

test('a run that does not settle is given up after 30 s, its late result is dropped, and it runs again at the next change', async () => {
  const { clock, runs, live, shown, source, subscribe, settle } = query()
  subscribe()
  await settle((run) => run.resolve(1))
  source.changed()
  const hung = runs.at(-1) as Run
  await clock.advance(29_999)
  expect(live.getSnapshot()).toEqual(ready(1))
  await clock.advance(1)
  expect(live.getSnapshot()).toEqual({ status: 'error', error: expect.any(QueryTimeoutError), data: 1, stale: true })
  expect((live.getSnapshot() as { error: unknown }).error).toMatchObject({
    code: 'query-timeout',
    name: 'QueryTimeoutError',
    message: expect.stringContaining('30000 ms'),
  })
  source.changed()
  hung.resolve(2)
  await clock.advance(0)
  expect(live.getSnapshot()).toMatchObject({ status: 'error' })
  await settle((run) => run.resolve(3))
  expect(shown).toEqual([ready(1), { status: 'error', error: expect.anything(), data: 1, stale: true }, ready(3)])
  expect(clock.pending).toBe(0)
})

test('a change while a run hangs is answered as soon as that is given up', async () => {
  const { clock, runs, source, subscribe } = query()
  subscribe()
  await clock.advance(10_000)
  source.changed()
  expect(runs).toHaveLength(1)
  await clock.advance(20_000)
  expect(runs.map(({ at }) => at)).toEqual([0, 30_000])
})

test('a run that was given up is made again by itself', async () => {
  const { clock, runs, live, subscribe, settle } = query()
  subscribe()
  await clock.advance(30_000)
  expect(live.getSnapshot()).toMatchObject({ error: { code: 'query-timeout' } })
  await clock.advance(5_000)
  expect(runs.map(({ at }) => at)).toEqual([0, 35_000])
  await settle((run) => run.resolve(1))
  expect(live.getSnapshot()).toEqual(ready(1))
})

test('a run that gets on is given its 30 s again each time', async () => {
  const { clock, runs, live, subscribe, settle } = query()
  subscribe()
  for (let each = 0; each < 4; each += 1) {
    await clock.advance(25_000)
    runs[0]?.progress()
  }
  await clock.advance(29_999)
  expect([live.getSnapshot().status, runs.length]).toEqual(['loading', 1])
  await settle((run) => run.resolve(1))
  expect([live.getSnapshot(), clock.pending]).toEqual([ready(1), 0])
})

test('a new subscriber, after a rest, waits for what is left of the 30 s of a hung run, and a run that hung longer is given up at once', async () => {
  const { clock, runs, live, subscribe, settle } = query()
  subscribe()()
  expect(clock.pending).toBe(0)
  await clock.advance(20_000)
  subscribe()
  await clock.advance(9_999)
  expect(runs).toHaveLength(1)
  await clock.advance(1)
  expect(runs).toHaveLength(2)
  await settle((run) => run.resolve(1))
  expect(live.getSnapshot()).toEqual(ready(1))

  const other = query()
  other.subscribe()()
  await other.clock.advance(60_000)
  other.subscribe()
  await other.clock.advance(0)
  expect(other.runs.map(({ at }) => at)).toEqual([0, 60_000])
})

test('subscribers that come and go make one run at a time', async () => {
  const { clock, runs, live, subscribe, settle } = query()
  for (let each = 0; each < 100; each += 1) subscribe()()
  subscribe()
  expect(runs).toHaveLength(1)
  await settle((run) => run.resolve(1))
  // Something may have changed while it rested.
  expect([runs.length, live.getSnapshot()]).toEqual([2, ready(1)])
  await settle((run) => run.resolve(2))
  expect([runs.length, live.getSnapshot(), clock.pending]).toEqual([2, ready(2), 0])
})

test('however many changes come during a run, one more run follows', async () => {
  const { runs, source, subscribe, settle } = query()
  subscribe()
  for (let each = 0; each < 10; each += 1) source.changed()
  expect(runs).toHaveLength(1)
  await settle((run) => run.resolve(1))
  expect(runs).toHaveLength(2)
  await settle((run) => run.resolve(2))
  expect(runs).toHaveLength(2)
})

test('I8: the last unsubscribe ends the watch and every timer, in whatever state, and once', async () => {
  for (const [what, act] of [
    ['loading', () => {}],
    ['ready', (run: Run) => run.resolve(1)],
    ['failed', failing],
    ['torn', (run: Run) => run.tear()],
  ] as const) {
    const { clock, source, subscribe, settle } = query()
    const [stop, stopOther] = [subscribe(), subscribe()]
    expect(source.watches, what).toBe(1)
    await settle(act)
    stop()
    stop()
    expect(source.watches, what).toBe(1)
    stopOther()
    stop()
    expect([source.watches, clock.pending], what).toEqual([0, 0])
  }
})

test('what a run comes to after the last unsubscribe is not shown, be it an answer or an error', async () => {
  for (const act of [failing, (run: Run) => run.resolve(2)]) {
    const { clock, live, shown, source, subscribe, settle } = query()
    const stop = subscribe()
    await settle((run) => run.resolve(1))
    source.changed()
    stop()
    await settle(act)
    expect([live.getSnapshot(), shown.length, clock.pending]).toEqual([ready(1, true), 1, 0])
  }
})

test('the same answer is the same snapshot, and is not told again', async () => {
  const { live, shown, source, subscribe, settle } = query()
  subscribe()
  await settle((run) => run.resolve(1))
  const before = live.getSnapshot()
  source.changed()
  await settle((run) => run.resolve(1))
  expect(live.getSnapshot()).toBe(before)
  expect(shown).toHaveLength(1)
})

test('a torn answer is not shown: the one before stays as a stale one, and it is read again later and at the next change', async () => {
  const { clock, runs, live, shown, source, subscribe, settle } = query()
  subscribe()
  await settle((run) => run.tear())
  expect([live.getSnapshot(), shown.length]).toEqual([loading, 0])
  await clock.advance(5_000)
  expect(runs).toHaveLength(2)
  await settle((run) => run.resolve(1))
  source.changed()
  await settle((run) => run.tear())
  expect([live.getSnapshot(), shown.length]).toEqual([ready(1, true), 2])
  source.changed()
  await settle((run) => run.resolve(2))
  expect([live.getSnapshot(), clock.pending]).toEqual([ready(2), 0])
})

test('the end of the source is told to subscribers, with the last value, and ends everything', async () => {
  const { clock, runs, live, shown, source, subscribe, settle } = query()
  const stop = subscribe()
  await settle((run) => run.resolve(1))
  source.changed()
  source.error = new ClosedError('It')
  source.ended()
  const end = { status: 'error', error: source.error, data: 1, stale: true }
  expect([live.getSnapshot(), shown.at(-1), source.watches, clock.pending]).toEqual([end, end, 0, 0])
  await settle((run) => run.resolve(2))
  source.changed()
  subscribe()
  await clock.advance(120_000)
  expect([live.getSnapshot(), runs.length, source.watches, shown.length]).toEqual([end, 2, 0, 2])
  stop()
})

test('a query at rest shows the end of its source when it is asked, as one snapshot', async () => {
  const { live, source, subscribe, settle } = query()
  const stop = subscribe()
  await settle((run) => run.resolve(1))
  stop()
  source.error = new ClosedError('It')
  const end = live.getSnapshot()
  expect(end).toEqual({ status: 'error', error: source.error, data: 1, stale: true })
  source.error = new ClosedError('It again')
  expect(live.getSnapshot()).toBe(end)
})

test('a run that fails because its source ended is the end, also where the source did not tell', async () => {
  const { clock, live, source, subscribe, settle } = query()
  subscribe()
  source.error = new ClosedError('It')
  await settle(failing)
  expect([live.getSnapshot(), source.watches, clock.pending]).toEqual([
    { status: 'error', error: source.error, data: undefined, stale: false },
    0,
    0,
  ])
})

test('for a server the snapshot is one constant, whatever happens; every method works detached', async () => {
  const {
    live: { subscribe, getSnapshot, getServerSnapshot },
    settle,
  } = query()
  const constant = getServerSnapshot()
  expect(constant).toStrictEqual(loading)
  expect(Object.isFrozen(constant)).toBe(true)
  expect(getSnapshot()).toBe(constant)
  subscribe(() => {})
  await settle((run) => run.resolve(1))
  expect(getSnapshot()).toEqual(ready(1))
  expect(getServerSnapshot()).toBe(constant)
  expect(query().live.getServerSnapshot()).toBe(constant)
})

test('data that is shown again after a rest is stale until the first run ends, also where that finds the same', async () => {
  const { live, shown, source, subscribe, settle } = query()
  const stop = subscribe()
  await settle((run) => run.resolve(1))
  const first = live.getSnapshot()
  source.changed()
  expect(live.getSnapshot()).toBe(first)
  await settle((run) => run.resolve(1))
  expect(live.getSnapshot()).toBe(first)
  stop()
  const rested = live.getSnapshot()
  expect(rested).toStrictEqual(ready(1, true))
  const stopAgain = subscribe()
  expect(live.getSnapshot()).toBe(rested)
  await settle((run) => run.resolve(1))
  expect(live.getSnapshot()).toStrictEqual(ready(1))
  expect(shown).toHaveLength(2)
  stopAgain()
  subscribe()
  await settle((run) => run.resolve(2))
  expect(live.getSnapshot()).toStrictEqual(ready(2))
})

test('an error at rest keeps its snapshot, and its data stays stale until a run succeeds', async () => {
  const { live, source, subscribe, settle } = query()
  const stop = subscribe()
  await settle((run) => run.resolve(1))
  source.changed()
  await settle(failing)
  const error = live.getSnapshot()
  stop()
  expect(live.getSnapshot()).toBe(error)
  subscribe()
  expect(live.getSnapshot()).toBe(error)
  await settle((run) => run.resolve(1))
  expect(live.getSnapshot()).toStrictEqual(ready(1))
})
