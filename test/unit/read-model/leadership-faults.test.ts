// Leadership in trouble: contests, controls while behind, pages that come and go.
import { afterEach, expect, test } from 'vitest'
import { runProjection, startProjection, type Projector } from 'tidemark'
import { openEventStore } from 'tidemark/memory'
import { inProcessCoordinator } from '../../../src/coordination/in-process.js'
import { EventUnreadableError, LeadershipLostError } from '../../../src/errors.js'
import { driveTarget, stallTimeout } from '../../../src/projection/leadership.js'
import { plainTarget } from '../../../src/projection/plain.js'
import { pageLifecycle } from '../../../src/platform/page-lifecycle.js'
import { virtualClock } from '../../../src/testing/virtual-clock.js'
import { fakeBackend, fakeRows, fakeTarget } from '../projection/fake-backend.js'
import { added, events, model, newName, settledWithin, wait, type Event } from './small-model.js'

const storeWith = async (count: number, append = added()) => {
  const store = await openEventStore<Event>({ name: newName(), events })
  if (count > 0) await store.append({ stream: 's', events: Array.from({ length: count }, () => append) })
  return store
}

test('replaying letters one after the other does not stop a leader that catches up (N21)', async () => {
  const clock = virtualClock()
  const store = await storeWith(0)
  await store.append({ stream: 's', events: Array.from({ length: 2000 }, (_, at) => (at < 1000 ? { type: 'Added' as const, data: { to: 'bad', amount: 1 } } : added('good', 1))) })
  let broken = true
  const definition = model({
    onError: () => 'park',
    handler: async (e) => {
      if (e.type !== 'Added') return
      if (e.data.to === 'bad') { if (broken) throw new Error('bad') } else await new Promise<void>((r) => void clock.schedule(20, r))
    },
  })
  const projection = startProjection(definition, store, { clock })
  await clock.advance(1000)
  broken = false
  const at = projection.status.getSnapshot().position
  // An operator retries the letters; each takes 30 ms.
  let retried = 0
  const retrying = (async () => {
    for await (const letter of projection.deadLetters()) {
      await letter.retry()
      retried += 1
      await new Promise<void>((r) => void clock.schedule(30, r))
      if (retried >= 400) return
    }
  })()
  await clock.runUntil(retrying)
  const { phase, position, lastError } = projection.status.getSnapshot()
  await clock.runUntil(projection.stop())
  expect({ phase, moved: position > at, error: (lastError as Error | undefined)?.message }).toEqual({ phase: 'catching-up', moved: true, error: undefined })
})

test('a batch run goes on after a replay of its own, also if others wait for leadership', async () => {
  const store = await storeWith(40)
  let broken = true
  const definition = model({ onError: () => 'park', handler: async (e) => { if (e.position === 1 && broken) throw new Error('x'); await wait(2) } })
  await runProjection(definition, store, { budget: { maxEvents: 5 } })
  broken = false
  const helper = startProjection(definition, { ...store, tryAcquire: async () => undefined, acquire: () => new Promise<never>(() => {}) } as never)
  const run = runProjection(definition, store)
  run.catch(() => {})
  await wait(20)
  const waiting = startProjection(definition, store)
  await wait(10)
  for await (const letter of helper.deadLetters()) await letter.retry()
  const outcome = await run.then((r) => r.reason, (e: { code: string }) => e.code)
  await waiting.stop(); void helper.stop()
  expect(outcome).toBe('caught-up')
})

test('a follower takes over although the next event cannot be decoded here', async () => {
  const backend = fakeBackend()
  const rows = fakeRows()
  await backend.coordinator.tryAcquire('rows@1')
  const read = backend.reader.readEvents
  backend.reader.readEvents = (async (filter: never, page: never, options?: { unreadable?: string }) => {
    const answer = await read(filter, page, options as never)
    if (answer.events[0]?.position !== 1) return answer
    const error = new EventUnreadableError(1, 'no upcast')
    if (options?.unreadable !== 'collect') throw error
    return { ...answer, unreadable: [error] }
  }) as never
  backend.append(3)
  const controller = new AbortController()
  const run = driveTarget(fakeTarget(rows, { onError: () => 'park' }) as never, { reader: backend.reader as never, coordinator: backend.coordinator }, { clock: backend.clock, mode: 'continuous', signal: controller.signal }, { mode: 'continuous', owner: 'b' })
  run.catch(() => {})
  await backend.clock.advance(20 * stallTimeout)
  controller.abort()
  await backend.clock.runUntil(run)
  expect([rows.position, rows.letters.length]).toEqual([3, 1])
})

test('a fault that another context has got past does not keep followers from taking over', async () => {
  const backend = fakeBackend()
  const rows = fakeRows()
  backend.append(3)
  const target = () => fakeTarget(rows)
  // A gave up at the head, because its reads failed.
  backend.faults.read = (n) => (n > 1 ? new Error('down') : undefined)
  await backend.clock.runUntil(driveTarget(target() as never, { reader: backend.reader as never, coordinator: backend.coordinator }, { clock: backend.clock, mode: 'continuous', poll: { maxConsecutiveFailures: 1 } }, { mode: 'continuous', owner: 'a' }).catch(() => {}))
  expect(rows.fault).toBeDefined()
  delete backend.faults.read
  // B took the lock, loaded, and is at the head. Then its process is stopped.
  const b = target()
  await backend.coordinator.tryAcquire('rows@1')
  await b.begin('b')
  backend.append(5)
  const controller = new AbortController()
  const run = driveTarget(target() as never, { reader: backend.reader as never, coordinator: backend.coordinator }, { clock: backend.clock, mode: 'continuous', signal: controller.signal }, { mode: 'continuous', owner: 'c' })
  run.catch(() => {})
  await backend.clock.advance(20 * 60_000)
  controller.abort()
  await backend.clock.runUntil(run)
  expect(rows.position).toBe(8)
})

test('a run that was aborted while it asked for the lock does not take over', async () => {
  const backend = fakeBackend()
  const rows = fakeRows()
  backend.append(3)
  const controller = new AbortController()
  const coordinator = { ...backend.coordinator, async tryAcquire(name: string) { const guard = await backend.coordinator.tryAcquire(name); controller.abort(); return guard } }
  await backend.clock.runUntil(driveTarget(fakeTarget(rows) as never, { reader: backend.reader as never, coordinator }, { clock: backend.clock, mode: 'continuous', signal: controller.signal }, { mode: 'continuous', owner: 'a' }))
  expect(rows.epoch).toBe(0)
})

test('each-event: a checkpoint that cannot be saved is no failure of the event', async () => {
  const backend = fakeBackend()
  backend.append(3)
  const asked: number[] = []
  const { save } = backend.checkpoints
  let fail = true
  backend.checkpoints.save = async (...given) => { if (fail && given[1] === 2) { fail = false; throw new Error('quota') } return save(...given) }
  const projector: Projector = { name: 'p', apply() {}, onError: ({ position }) => { asked.push(position); return 'fatal' } }
  const config = { clock: backend.clock, checkpoint: 'each-event' as const }
  const outcome = await backend.clock.runUntil(driveTarget(plainTarget(projector, backend.checkpoints, config), { reader: backend.reader as never, coordinator: backend.coordinator }, config as never, { mode: 'batch', owner: 'a' }).then((r) => r.reason, (e: Error) => e.message))
  expect([outcome, asked]).toEqual(['caught-up', []])
})

test('each-event: a runner that lost its leadership stops, and blames no event', async () => {
  const backend = fakeBackend()
  backend.append(100)
  const applied: number[] = []
  const { save } = backend.checkpoints
  let moved = false
  backend.checkpoints.save = async (...given) => {
    if (given[1] === 3 && !moved) { moved = true; backend.positions.set('p', 100) }
    return save(...given)
  }
  const projector: Projector = { name: 'p', apply(e) { applied.push(e.position) }, onError: () => 'skip' }
  const config = { clock: backend.clock, checkpoint: 'each-event' as const }
  const outcome = await backend.clock.runUntil(driveTarget(plainTarget(projector, backend.checkpoints, config), { reader: backend.reader as never, coordinator: backend.coordinator }, config as never, { mode: 'batch', owner: 'a' }).then((r) => r.reason, (e: unknown) => e))
  expect(outcome).toBeInstanceOf(LeadershipLostError)
  expect(applied.length).toBeLessThanOrEqual(3)
})

afterEach(() => { for (const name of ['document', 'addEventListener', 'removeEventListener']) delete (globalThis as Record<string, unknown>)[name] })
test('a page that came back while nothing ran leads again (resume after a fault)', async () => {
  const page = new EventTarget()
  const document = Object.assign(new EventTarget(), { visibilityState: 'visible' })
  Object.assign(globalThis, { document, addEventListener: page.addEventListener.bind(page), removeEventListener: page.removeEventListener.bind(page) })
  const clock = virtualClock()
  const store = await storeWith(1)
  let broken = true
  const projection = startProjection(model({
    // A request of the handler fails because the page is going away.
    handler: () => { if (!broken) return; page.dispatchEvent(new globalThis.Event('pagehide')); throw new TypeError('Failed to fetch') },
  }), store, { clock })
  await clock.advance(1000)
  expect(projection.status.getSnapshot().phase).toBe('faulted')
  broken = false
  page.dispatchEvent(new globalThis.Event('pageshow'))
  await clock.advance(1000)
  await clock.runUntil(projection.resume())
  await clock.advance(60_000)
  const { phase, position } = projection.status.getSnapshot()
  await clock.runUntil(projection.stop())
  expect([phase, position]).toEqual(['live', 1])
})

test('pages share one idea of whether they are here', () => {
  const page = new EventTarget()
  const document = Object.assign(new EventTarget(), { visibilityState: 'visible' })
  Object.assign(globalThis, { document, addEventListener: page.addEventListener.bind(page), removeEventListener: page.removeEventListener.bind(page) })
  const before = pageLifecycle()
  before?.subscribe(() => {})
  document.dispatchEvent(new globalThis.Event('freeze'))
  expect([before?.presence(), pageLifecycle()?.presence()]).toEqual(['away', 'away'])
})

test('a follower in a page whose timers are throttled to one a minute takes over in the end (H58)', async () => {
  const backend = fakeBackend()
  const rows = fakeRows()
  await backend.coordinator.tryAcquire('rows@1')
  const clock = { ...backend.clock, schedule: (ms: number, callback: () => void) => backend.clock.schedule(Math.ceil(Math.max(ms, 1) / 60_000) * 60_000, callback) }
  backend.append(3)
  const controller = new AbortController()
  const run = driveTarget(fakeTarget(rows) as never, { reader: backend.reader as never, coordinator: backend.coordinator }, { clock, mode: 'continuous', signal: controller.signal }, { mode: 'continuous', owner: 'c' })
  run.catch(() => {})
  await backend.clock.advance(60 * 60_000)
  controller.abort()
  await backend.clock.runUntil(run)
  expect(rows.position).toBe(3)
})

test('continuous with leadership try, and batch runs, let go of the lock when the page goes away (H54)', async () => {
  const page = new EventTarget()
  const document = Object.assign(new EventTarget(), { visibilityState: 'visible' })
  Object.assign(globalThis, { document, addEventListener: page.addEventListener.bind(page), removeEventListener: page.removeEventListener.bind(page) })
  const clock = virtualClock()
  const store = await storeWith(1)
  const a = startProjection(model(), store, { clock, leadership: 'try' })
  await clock.advance(1000)
  document.dispatchEvent(new globalThis.Event('freeze'))
  await clock.advance(10)
  const guard = await store.tryAcquire('model@1')
  await clock.runUntil(a.stop())
  expect(guard).toBeDefined()
})
void inProcessCoordinator; void settledWithin
