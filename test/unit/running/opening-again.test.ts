// A storage that does not open for a while: one backoff, and what the app asks for is tried at once (H21, H27, H28).
import { IDBVersionChangeEvent as VersionChangeEvent } from 'fake-indexeddb'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { openReadModel, runProjection, startProjection, StorageFailedError, type ProjectionReport } from 'tidemark'
import { Connection } from '../../../src/platform/connection.js'
import { codeOf, indexedDbStore, model } from '../read-model/support.js'
import { fakeIndexedDB } from '../../support/fake-indexeddb.js'

fakeIndexedDB()

const original = IDBFactory.prototype.open
let stores = 0
const { setImmediate: turn } = globalThis
beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'performance', 'Date'] })
  vi.spyOn(Math, 'random').mockReturnValue(0.5)
})
afterEach(() => {
  IDBFactory.prototype.open = original
  vi.useRealTimers()
  vi.restoreAllMocks()
})

/** Lets time pass in steps of so many ms, and after each whatever needs no time. */
async function pass(ms: number, step = 10) {
  for (let passed = 0; passed <= ms; passed += step) {
    for (let turns = 0; turns < 20; turns += 1) await new Promise<void>((resolve) => turn(resolve))
    if (passed < ms) vi.advanceTimersByTime(step)
  }
}
/** How long a promise takes. */
async function timeOf(promise: Promise<unknown>): Promise<number> {
  const before = performance.now()
  let over = false
  promise.then(
    () => (over = true),
    () => (over = true),
  )
  while (!over && performance.now() - before < 60_000) await pass(10)
  await promise
  return performance.now() - before
}

/** Databases whose name matches do not open until `mend`; each try is noted with its time. */
function outage(matches: (name: string) => boolean) {
  const tries: number[] = []
  let broken = true
  IDBFactory.prototype.open = function (name, version) {
    if (!matches(name)) return original.call(this, name, version)
    tries.push(performance.now())
    if (!broken) return original.call(this, name, version)
    const request = new IDBOpenDBRequest()
    turn(() => {
      Object.assign(request, { readyState: 'done', error: new DOMException('Internal error.', 'UnknownError') })
      request.dispatchEvent(new VersionChangeEvent('error'))
    })
    return request
  }
  return { tries, mend: () => void (broken = false) }
}

const isModel = (name: string) => name.includes(':model@')

/** A store with an event, and a projection that could not open its read model for so long since its start. */
async function brokenFromTheStart(ms: number) {
  const store = await indexedDbStore(1, `opening-${(stores += 1)}`)
  const { tries, mend } = outage(isModel)
  const reports: ProjectionReport[] = []
  const projection = startProjection(store, model(), { onReport: (report) => void reports.push(report) })
  await pass(ms, ms > 100_000 ? 200 : 10)
  return {
    store,
    tries,
    mend,
    projection,
    reports,
    async end() {
      await timeOf(projection.stop())
      await store.close()
    },
  }
}
const isLive = { phase: 'live', position: 1 }

test('a failure of 1.5 s at the start costs 1.5 s and one pause, not half a minute', async () => {
  const { mend, projection, end } = await brokenFromTheStart(1_500)
  expect(projection.status.getSnapshot()).toMatchObject({
    phase: 'retrying',
    message: expect.stringContaining('loading failed'),
  })
  mend()
  // The pause that began just before that: 1.6 s, and a tenth more or less.
  await pass(1_800)
  expect(projection.status.getSnapshot()).toMatchObject(isLive)
  await end()
})

test('in ten minutes the run tries some thirty times, and nothing makes a storm', async () => {
  const { tries, reports, end } = await brokenFromTheStart(600_000)
  const failures = reports.filter(({ type }) => type === 'storage-failed').length
  expect([failures > 20, failures < 30]).toEqual([true, true])
  // Those who look for the status have the budget of the connection: 29.
  expect(tries.length - failures).toBeLessThan(32)
  for (const time of tries)
    expect(tries.filter((other) => other >= time && other < time + 1000).length).toBeLessThan(15)
  await end()
}, 60_000)

describe('after half a minute of failures', () => {
  type Handle = ReturnType<typeof startProjection>
  const acts: Record<string, (projection: Handle) => Promise<unknown>> = {
    resume: (projection) => projection.resume(),
    caughtUp: (projection) => projection.caughtUp(1),
    pause: (projection) => projection.pause().then(() => projection.resume()),
    rebuild: (projection) => projection.rebuild(),
    deadLetters: (projection) => projection.deadLetters()[Symbol.asyncIterator]().next(),
  }
  test.for(Object.entries(acts))('%s() is a try at once: it works, and the run goes on', async ([, act]) => {
    const { mend, projection, end } = await brokenFromTheStart(29_000)
    mend()
    expect(await timeOf(act(projection).then(() => projection.caughtUp(1)))).toBeLessThan(200)
    await pass(20)
    expect(projection.status.getSnapshot()).toMatchObject(isLive)
    await end()
  })
  const others: Record<string, (store: Awaited<ReturnType<typeof indexedDbStore>>) => Promise<unknown>> = {
    openReadModel: async (store) => (await openReadModel(store, model())).close(),
    'startProjection again': async (store) => startProjection(store, model()).stop(),
  }
  test.for(Object.entries(others))('%s is, too', async ([, act]) => {
    const { store, mend, projection, end } = await brokenFromTheStart(29_000)
    mend()
    expect(await timeOf(act(store))).toBeLessThan(200)
    await pass(100)
    expect(projection.status.getSnapshot()).toMatchObject(isLive)
    await end()
  })
  test('and runProjection, where the run before it was stopped', async () => {
    const { store, mend, projection, end } = await brokenFromTheStart(29_000)
    await timeOf(projection.stop())
    mend()
    expect(
      await timeOf(runProjection(store, model()).then((result) => expect(result).toMatchObject({ position: 1 }))),
    ).toBeLessThan(100)
    await end()
  })
  test('tries that the app asks for make no later pause longer, and a loop that asks makes no storm', async () => {
    const { mend, projection, tries, reports, end } = await brokenFromTheStart(1_000)
    const delays = () => reports.flatMap((report) => (report.type === 'storage-failed' ? [report.delay] : []))
    const [before, failed, start] = [Math.max(...delays()), delays().length, tries.length]
    for (let asked = 0; asked < 100; asked += 1) {
      projection.caughtUp(1).catch(() => {})
      await pass(0)
      vi.advanceTimersByTime(10)
    }
    const made = delays().length - failed
    // One each 100 ms.
    expect([made > 5, made < 14]).toEqual([true, true])
    expect(tries.length - start).toBeLessThan(20)
    expect(Math.max(...delays())).toBeLessThanOrEqual(before * 2.2)
    mend()
    await pass(2_000)
    expect(projection.status.getSnapshot()).toMatchObject(isLive)
    await end()
  })
})

test('an event that waits for its retry is not hurried: only what the storage refused is', async () => {
  const store = await indexedDbStore(1, `opening-${(stores += 1)}`)
  const calls: number[] = []
  const start = performance.now()
  const handler = () => {
    if (calls.push(performance.now() - start) < 3) throw new Error('not yet')
  }
  const projection = startProjection(store, model({ handler, onFailure: () => 'retry' }), {
    retry: { delay: 1000, jitter: 0 },
  })
  await pass(10)
  for (let asked = 0; asked < 20; asked += 1) {
    projection.caughtUp(1).catch(() => {})
    await pass(10)
  }
  expect(calls).toHaveLength(1)
  await timeOf(projection.caughtUp(1))
  expect(calls.map((at) => Math.floor(at / 1000))).toEqual([0, 1, 3])
  await timeOf(projection.stop())
  await store.close()
})

test.for([true, false])(
  'a log that does not open when a projection starts is joined once that works, and at once when the app asks (%s)',
  async (asks) => {
    const store = await indexedDbStore(1, `opening-${(stores += 1)}`)
    let broken = true
    const { open } = Connection.prototype
    vi.spyOn(Connection.prototype, 'open').mockImplementation(function (this: Connection, how) {
      return broken ? Promise.reject(new StorageFailedError('no')) : open.call(this, how)
    })
    const projection = startProjection(store, model())
    await pass(1_450)
    expect(projection.status.getSnapshot()).toMatchObject({
      phase: 'retrying',
      message: expect.stringMatching(/^no\./),
    })
    broken = false
    if (asks) expect(await timeOf(projection.caughtUp(1))).toBeLessThan(50)
    else await pass(1_500)
    expect(projection.status.getSnapshot()).toMatchObject(isLive)
    await timeOf(projection.stop())
    expect(await codeOf(projection.caughtUp(1))).toBe('closed')
    expect(vi.getTimerCount()).toBe(0)
    await store.close()
  },
)
