// A write that failed as on a full disk, in Chromium on LevelDB, as an app sees it: what is reported, and when an append is tried again.
import { afterAll, afterEach, beforeEach, expect, test, vi } from 'vitest'
import {
  defineEvents,
  defineProjection,
  openEventStore,
  startProjection,
  table,
  type ProjectionReport,
  type StorageReport,
} from 'tidemark'
import { healing } from '../../../src/platform/healing.js'
import { fakeIndexedDB } from '../../support/fake-indexeddb.js'
import { databaseExists, inject, type Injection } from './inject-faults.js'

fakeIndexedDB()

// Files share a process, and a context stays in danger until that is over. So this file has the package for itself.
vi.hoisted(() => vi.resetModules())
afterAll(() => void vi.resetModules())

const chromium = 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36'
const event = { type: 'A', data: null } as const
let injection: Injection | undefined
let count = 0

beforeEach(() => {
  vi.stubGlobal('navigator', { userAgent: chromium })
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance', 'Date'], now: 1_000_000 })
})
afterEach(async () => {
  vi.useRealTimers()
  vi.restoreAllMocks()
  injection?.stop()
  vi.unstubAllGlobals()
})

/** Time with turns enough for a database between one timer and the next. */
async function pass(ms: number): Promise<void> {
  for (let left = ms; left > 0; left -= 50) {
    await vi.advanceTimersByTimeAsync(Math.min(50, left))
    await turns()
  }
}
async function turns(): Promise<void> {
  for (let turn = 0; turn < 40; turn += 1) await new Promise((next) => setImmediate(next))
}
/** The result of what needs time to pass. */
async function during<T>(work: Promise<T>): Promise<T> {
  let done = false
  work.then(
    () => (done = true),
    () => (done = true),
  )
  for (let steps = 0; !done && steps < 2_000; steps += 1) await pass(50)
  if (!done) throw new Error('Not settled.')
  return work
}

const events = defineEvents<{ type: 'A'; data: null }>()
const board = defineProjection(events, {
  name: 'board',
  version: 1,
  tables: { rows: table<{ id: string }>({ key: 'id' }) },
  on: { A: async (_event, { rows }) => rows.put({ id: 'a' }) },
})

test('the error says what is at risk; a store, a projection and its status report it, and that it is over; nothing is left after the end', async () => {
  const name = `failed-write-${(count += 1)}`
  const told: StorageReport[] = []
  const store = await during(openEventStore({ name, events, onReport: (report) => told.push(report) }))
  const quiet = await during(openEventStore({ name }))
  const reports: ProjectionReport[] = []
  const handle = startProjection(store, board, { onReport: (report) => reports.push(report) })
  await pass(500)
  injection = inject([{ kind: 'request fails', at: 1, error: 'UnknownError' }])
  const failed: unknown = await during(store.append({ stream: 's', events: [event] })).catch((error: unknown) => error)
  expect(failed).toMatchObject({ code: 'storage-failed', message: expect.stringContaining('export the events now') })
  expect(told).toEqual([
    { type: 'storage-healing', message: expect.any(String), error: failed, time: expect.any(Number) },
  ])
  const { message } = told[0] as { message: string }
  expect(handle.status.getSnapshot()).toMatchObject({ atRisk: message })
  expect(reports.filter(({ type }) => type.startsWith('storage-'))).toEqual([
    { type: 'storage-healing', message, error: failed, projection: 'board', time: expect.any(Number) },
  ])

  // A projection that starts now knows it as well, and so does a store.
  const late: string[] = []
  const second = await during(openEventStore({ name, onReport: ({ type }) => late.push(type) }))
  expect(late).toEqual(['storage-healing'])
  await during(store.append({ stream: 's', events: [event] }))
  await pass(2_000)
  expect([told.map(({ type }) => type), late]).toEqual([
    ['storage-healing', 'storage-healed'],
    ['storage-healing', 'storage-healed'],
  ])
  expect(handle.status.getSnapshot()).toMatchObject({ phase: 'live', position: 1 })
  expect(handle.status.getSnapshot()).not.toHaveProperty('atRisk')
  expect(reports.filter(({ type }) => type.startsWith('storage-')).map(({ type }) => type)).toEqual([
    'storage-healing',
    'storage-healed',
  ])
  expect(await databaseExists('tidemark::healing')).toBe(false)
  await during(handle.stop())
  for (const each of [store, quiet, second]) await during(each.close())
  await turns()
  expect(vi.getTimerCount()).toBe(0)
  // Nor does anything of them listen.
  healing.failed()
  await pass(5_000)
  expect([
    told.length,
    late.length,
    reports.filter(({ type }) => type.startsWith('storage-')).length,
    vi.getTimerCount(),
  ]).toEqual([2, 2, 2, 0])
  expect(handle.status.getSnapshot()).not.toHaveProperty('atRisk')
  // For the tests that follow.
  const last = await during(openEventStore({ name }))
  await pass(3_000)
  await during(last.close())
})

test('a store that cannot be opened leaves no timer and no listener, and what failed is healed by the next one', async () => {
  const name = `failed-write-${(count += 1)}`
  const told: string[] = []
  const onReport = ({ type }: StorageReport) => told.push(type)
  injection = inject([{ kind: 'open fails', times: Infinity, error: 'UnknownError' }])
  await expect(during(openEventStore({ name, onReport }))).rejects.toMatchObject({ code: 'storage-failed' })
  injection.stop()
  expect([told, vi.getTimerCount()]).toEqual([['storage-healing'], 0])
  const store = await during(openEventStore({ name, onReport }))
  await pass(2_500)
  expect(told).toEqual(['storage-healing', 'storage-healing', 'storage-healed'])
  await during(store.close())
  expect(vi.getTimerCount()).toBe(0)
})

test.each([null, 'report', {}])(
  'a listener that cannot be called (%j) is refused before anything is opened',
  async (onReport) => {
    const name = `failed-write-${(count += 1)}`
    await expect(openEventStore({ name, onReport: onReport as never })).rejects.toMatchObject({
      code: 'invalid-argument',
      message: expect.stringContaining('onReport'),
    })
    expect(await databaseExists(`tidemark:${name}`)).toBe(false)
  },
)

test('a listener that throws changes nothing', async () => {
  vi.stubGlobal('reportError', () => {})
  const name = `failed-write-${(count += 1)}`
  const told: string[] = []
  const store = await during(
    openEventStore({
      name,
      onReport: () => {
        throw new Error('in the app')
      },
    }),
  )
  const other = await during(openEventStore({ name, onReport: ({ type }) => told.push(type) }))
  healing.failed()
  const third = await during(
    openEventStore({
      name,
      onReport: () => {
        throw new Error('in the app')
      },
    }),
  )
  await pass(2_500)
  expect(told).toEqual(['storage-healing', 'storage-healed'])
  for (const each of [store, other, third]) await during(each.close())
})

test.each(['storage works again', 'storage still fails'])(
  'however often an append failed: the next one is a try of its own (%s), and no more than four a second are made',
  async (then) => {
    const store = await during(openEventStore({ name: `failed-write-${(count += 1)}` }))
    await during(store.append({ stream: 's', events: [event] }))
    injection = inject([
      { kind: 'handles dead', error: 'InvalidStateError' },
      { kind: 'open fails', times: Infinity, error: 'UnknownError' },
    ])
    const append = () => store.append({ stream: 's', events: [event] })
    for (let n = 0; n < 20; n += 1) await during(append().catch(() => {}))
    await pass(250)
    if (then === 'storage works again') {
      injection.stop()
      injection = undefined
      expect(
        await append().then(
          ({ position }) => position,
          (error: unknown) => error,
        ),
      ).toBe(2)
    } else {
      const open = vi.spyOn(IDBFactory.prototype, 'open')
      const began = performance.now()
      while (performance.now() < began + 10_000) {
        // Several at once share one try.
        await during(Promise.allSettled([append(), append(), append()]))
      }
      const tries = open.mock.calls.filter(([name]) => name !== 'tidemark::healing').length
      expect(tries).toBeGreaterThan(20)
      expect(tries).toBeLessThanOrEqual(42)
      vi.restoreAllMocks()
      injection.stop()
      injection = undefined
      await pass(3_000)
    }
    await during(store.append({ stream: 's', events: [event] }))
    await pass(3_000)
    await during(store.close())
  },
)
