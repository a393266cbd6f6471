// A run of another tab, while a restored server takes the log back: every hint is lost, and time is virtual.
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import {
  defineEvents,
  defineProjection,
  openReadModel,
  runProjection,
  startProjection,
  table,
  type ProjectionReport,
  type RecordedEvent,
} from 'tidemark'
import { openSyncedStore } from 'tidemark/sync'
import { virtualClock } from 'tidemark/testing'
import { IndexedDbStorage } from '../../../src/read-model/indexeddb/indexeddb-storage.js'
import { arrive, takeBack } from '../../contract/synced-change.js'
import { fakeIndexedDB } from '../../support/fake-indexeddb.js'

fakeIndexedDB()

beforeEach(() => void vi.stubGlobal('BroadcastChannel', undefined))
afterEach(() => {
  vi.unstubAllGlobals()
  vi.restoreAllMocks()
})

/** A hint that is lost is made up for within this many ms. */
const unhinted = 10_000

const streams = (fails: (event: RecordedEvent) => boolean = () => false) =>
  defineProjection(defineEvents({ Added: {} }), {
    name: 'streams',
    tables: { seen: table<{ key: string; at: number }>({ key: 'key' }) },
    on: {
      Added: (event, { seen }) => {
        if (fails(event)) throw new Error('It fails.')
        return seen.put({ key: `${event.stream} ${event.version}`, at: event.position })
      },
    },
  })

let names = 0

/** Two tabs of one device; the clock is that of the second one. */
async function tabs() {
  const name = `taken-back-${(names += 1)}`
  const url = 'http://127.0.0.1:9/'
  const clock = virtualClock()
  const [one, other] = [await openSyncedStore({ name, url }), await openSyncedStore({ name, url, clock })]
  const rows = async () => {
    const view = await openReadModel(one as never, streams())
    const found = await view.seen.getAll()
    await view.close()
    return found.map(({ key, at }) => `${at}: ${key}`).sort()
  }
  return { clock, one, other, rows, close: () => Promise.all([one.close(), other.close()]) }
}

/** Lets time pass until it holds, and not longer than what makes up for a lost hint. */
async function within(clock: ReturnType<typeof virtualClock>, holds: () => Promise<boolean>) {
  const until = clock.monotonic() + unhinted
  while (clock.monotonic() < until) {
    await clock.advance(50)
    if (await holds()) return
  }
  expect(await holds()).toBe(true)
}

/** A context that learns of another log notes that in the rows, which may be too late for a run; here it always is. */
const noteNever = () =>
  void vi.spyOn(IndexedDbStorage.prototype, 'move').mockReturnValueOnce(new Promise(() => {}) as never)

const projector = (apply: (event: RecordedEvent) => void = () => {}) => ({ name: 'log', apply })

test.for([true, false])(
  'N75: a run that looks while the log is shorter than its rows waits for what comes (noted in the rows in time: %s)',
  async (inTime) => {
    const { clock, one, other, rows, close } = await tabs()
    await arrive(one, ['a', 1], ['a', 2])
    const running = startProjection(other as never, streams(), { clock })
    await clock.runUntil(running.caughtUp(2))
    if (!inTime) noteNever()
    await takeBack(one, 0, 'second')
    // The run looks meanwhile: the log has no event at all.
    await clock.advance(unhinted)
    await within(clock, async () => running.status.getSnapshot().phase === 'live')
    expect(running.status.getSnapshot().lastError).toBeUndefined()
    await arrive(one, ['b', 1], ['b', 2], ['b', 3])
    await within(clock, async () => (await rows()).length === 3)
    expect(await rows()).toEqual(['1: b 1', '2: b 2', '3: b 3'])
    await clock.runUntil(running.stop())
    await close()
  },
)

test('N75: a run with nothing to store notices that the log is as long as before, and another one', async () => {
  const { clock, one, other, rows, close } = await tabs()
  await arrive(one, ['a', 1], ['a', 2])
  const running = startProjection(other as never, streams(), { clock })
  await clock.runUntil(running.caughtUp(2))
  await takeBack(one, 0, 'second')
  await arrive(one, ['b', 1], ['b', 2])
  await within(clock, async () => (await rows()).join() === '1: b 1,2: b 2')
  await clock.runUntil(running.stop())
  await close()
})

test('N75: it notices also where this cannot be noted in the rows when this context learns of it', async () => {
  const { clock, one, other, rows, close } = await tabs()
  await arrive(one, ['a', 1], ['a', 2])
  const running = startProjection(other as never, streams(), { clock })
  await clock.runUntil(running.caughtUp(2))
  await takeBack(one, 0, 'second')
  await arrive(one, ['b', 1], ['b', 2])
  const noting = vi.spyOn(IndexedDbStorage.prototype, 'move').mockRejectedValueOnce(new Error('The disk is busy.'))
  await other.outbox()
  expect(noting).toHaveBeenCalledTimes(1)
  await within(clock, async () => (await rows()).join() === '1: b 1,2: b 2')
  await clock.runUntil(running.stop())
  await close()
})

test('N75: a handler that fails because it gets an event without those before it does not stop the run', async () => {
  const { clock, one, other, rows, close } = await tabs()
  await arrive(one, ['a', 1], ['a', 2])
  let begun = false
  const fails = ({ stream, version }: RecordedEvent) => {
    begun ||= stream === 'b' && version === 1
    return stream === 'b' && !begun
  }
  const running = startProjection(other as never, streams(fails), { clock })
  await clock.runUntil(running.caughtUp(2))
  noteNever()
  await takeBack(one, 0, 'second')
  await arrive(one, ['b', 1], ['b', 2], ['b', 3])
  await within(clock, async () => (await rows()).length === 3)
  await within(clock, async () => running.status.getSnapshot().phase === 'live')
  expect(running.status.getSnapshot()).toMatchObject({ position: 3 })
  await clock.runUntil(running.stop())
  await close()
})

test('N75: a run that an event stopped begins again when the server does not have that event any more', async () => {
  const { clock, one, other, rows, close } = await tabs()
  await arrive(one, ['a', 1])
  const running = startProjection(
    other as never,
    streams(({ stream }) => stream === 'bad'),
    { clock },
  )
  await clock.runUntil(running.caughtUp(1))
  await arrive(one, ['bad', 1])
  await within(clock, async () => running.status.getSnapshot().phase === 'faulted')
  await takeBack(one, 1, 'second')
  await arrive(one, ['b', 1])
  await within(clock, async () => (await rows()).join() === '1: a 1,2: b 1')
  await within(clock, async () => running.status.getSnapshot().phase === 'live')
  expect(running.status.getSnapshot()).toMatchObject({ position: 2 })
  await clock.runUntil(running.stop())
  await close()
})

test('N75: a batch ends at the end of the log as it is then', async () => {
  const { clock, one, other, rows, close } = await tabs()
  await arrive(one, ['a', 1])
  await arrive(one, ['a', 2], ['a', 3])
  let meanwhile: Promise<unknown> | undefined
  const definition = defineProjection(defineEvents({ Added: {} }), {
    name: 'streams',
    tables: { seen: table<{ key: string; at: number }>({ key: 'key' }) },
    on: {
      Added: async (event, { seen }) => {
        meanwhile ??= takeBack(one, 1, 'second').then(() => arrive(one, ['b', 1]))
        await meanwhile
        await seen.put({ key: `${event.stream} ${event.version}`, at: event.position })
      },
    },
  })
  const { reason, position } = await clock.runUntil(runProjection(other as never, definition, { clock }))
  expect({ reason, position }).toEqual({ reason: 'caught-up', position: 2 })
  expect(await rows()).toEqual(['1: a 1', '2: b 1'])
  await close()
})

test('N75: a plain projector that looks while the log is shorter than its checkpoint waits for what comes', async () => {
  const { clock, one, other, close } = await tabs()
  await arrive(one, ['a', 1])
  await arrive(one, ['a', 2], ['a', 3])
  const seen: string[] = []
  const running = startProjection(
    other as never,
    projector(({ stream, version }) => void seen.push(`${stream} ${version}`)),
    { clock },
  )
  await clock.runUntil(running.caughtUp(3))
  await takeBack(one, 1, 'second')
  await clock.advance(unhinted)
  await within(clock, async () => running.status.getSnapshot().phase === 'live')
  await arrive(one, ['b', 1])
  await within(clock, async () => seen.length === 4)
  expect(seen).toEqual(['a 1', 'a 2', 'a 3', 'b 1'])
  await clock.runUntil(running.stop())
  await close()
})

test('N75: a plain projector that fails at an event without those before it begins again there', async () => {
  const { clock, one, other, close } = await tabs()
  await arrive(one, ['a', 1], ['a', 2])
  const reports: ProjectionReport[] = []
  const seen: string[] = []
  const apply = ({ stream, version }: RecordedEvent) => {
    if (version > 1 && !seen.includes(`${stream} ${version - 1}`)) throw new Error('It fails.')
    seen.push(`${stream} ${version}`)
  }
  const running = startProjection(other as never, projector(apply), { clock, onReport: (each) => reports.push(each) })
  await clock.runUntil(running.caughtUp(2))
  await takeBack(one, 0, 'second')
  await arrive(one, ['b', 1], ['b', 2], ['b', 3])
  await within(clock, async () => seen.at(-1) === 'b 3')
  expect(seen).toEqual(['a 1', 'a 2', 'b 1', 'b 2', 'b 3'])
  expect(reports.some(({ type }) => type === 'event-failed')).toBe(true)
  await clock.runUntil(running.stop())
  await close()
})
