// A handle in trouble: storages that hang, handlers that stop, batches that end.
import { expect, test } from 'vitest'
import { openReadModel, runProjection, startProjection, type Projector } from 'tidemark'
import { openEventStore } from 'tidemark/memory'
import { virtualClock } from '../../../src/testing/virtual-clock.js'
import { added, events, model, newName, settledWithin, wait, type Event } from './small-model.js'

const storeWith = async (count: number) => {
  const store = await openEventStore<Event>({ name: newName(), events })
  if (count > 0) await store.append({ stream: 's', events: Array.from({ length: count }, () => added()) })
  return store
}

test('a plain projector that failed for good stays stopped until resume, skip or rebuild', async () => {
  const clock = virtualClock()
  const store = await storeWith(3)
  let calls = 0
  const projection = startProjection<Event, never, unknown>({ name: 'plain', apply: () => { calls += 1; throw new Error('for good') } } as Projector<Event>, store, { clock })
  await clock.advance(60_000)
  expect(projection.status.getSnapshot().phase).toBe('faulted')
  await clock.runUntil(projection.stop())
  expect(calls).toBe(1)
})

test('skip() of a plain projector leaves out no event but the one it stands at', async () => {
  const clock = virtualClock()
  const store = await storeWith(50)
  const seen: number[] = []
  const projection = startProjection<Event, never, unknown>({ name: 'plain', apply: (e) => { if (e.position === 5) throw new Error('x'); seen.push(e.position) } } as Projector<Event>, store, { clock })
  await clock.advance(100)
  expect(projection.status.getSnapshot().phase).toBe('faulted')
  const answer = await clock.runUntil(projection.skip(40).then(() => 'done', (e: { code: string }) => e.code))
  await clock.advance(5000)
  await clock.runUntil(projection.stop())
  expect([answer, seen.length]).toEqual(['invalid-argument', 4])
})

test('skip() beyond the head is refused', async () => {
  const clock = virtualClock()
  const store = await storeWith(1)
  const projection = startProjection<Event, never, unknown>({ name: 'plain', apply: () => {} } as Projector<Event>, store, { clock })
  await clock.advance(100)
  const answer = await clock.runUntil(projection.skip(1_000_000).then(() => 'done', (e: { code: string }) => e.code))
  await clock.advance(100)
  expect([answer, projection.status.getSnapshot().phase]).toEqual(['invalid-argument', 'live'])
})

test('store.close() ends a continuous run; nothing goes on after it', async () => {
  const clock = virtualClock()
  const store = await storeWith(3)
  const run = runProjection(model(), store, { mode: 'continuous', clock })
  run.catch(() => {})
  await clock.advance(100)
  await store.close()
  let ended = false
  run.then(() => { ended = true }, () => { ended = true })
  await clock.advance(600_000)
  expect([ended, clock.pending]).toEqual([true, 0])
})

test('caughtUp on a batch handle that has ended settles', async () => {
  const store = await storeWith(3)
  const projection = startProjection(model(), store, { mode: 'batch' })
  await projection.caughtUp(3)
  await wait(50)
  await store.append({ stream: 's', events: [added()] })
  const outcome = await settledWithin(projection.caughtUp(4), 6000)
  const { phase, position } = projection.status.getSnapshot()
  await projection.stop()
  expect([outcome, phase, position]).toEqual(['settled', expect.anything(), 3])
})

test('a batch handle that ended by its budget does not say that it is live', async () => {
  const store = await storeWith(30)
  const projection = startProjection(model(), store, { mode: 'batch', budget: { maxEvents: 5 } })
  await expect.poll(() => projection.status.getSnapshot().position, { timeout: 5000 }).toBe(5)
  await wait(50)
  const { phase, leader, behind } = projection.status.getSnapshot()
  await projection.stop()
  expect([phase, leader, behind]).not.toEqual(['live', false, 25])
})

test('the timeout of caughtUp holds while the storage does not answer', async () => {
  const store = await storeWith(3)
  const hanging = { ...store, head: () => new Promise<number>(() => {}) }
  const projection = startProjection(model(), hanging)
  const outcome = await settledWithin(projection.caughtUp(3, { timeout: 50, onTimeout: 'stale' }), 3000)
  expect(outcome).toBe('settled')
})

test('so does its signal', async () => {
  const store = await storeWith(3)
  const hanging = { ...store, head: () => new Promise<number>(() => {}) }
  const projection = startProjection(model(), hanging)
  expect(await settledWithin(projection.caughtUp(3, { signal: AbortSignal.timeout(50) }), 3000)).toBe('settled')
})

test('stop() called by a handler does not wait for that handler', async () => {
  const store = await storeWith(3)
  const projection = startProjection(model({ handler: async (e) => { if (e.position === 2) await projection.stop() } }), store)
  await wait(200)
  expect(await settledWithin(projection.stop(), 3000)).toBe('settled')
})

test('a pause shows as a pause, without a break, and is not paid for with writes', async () => {
  const clock = virtualClock()
  const store = await storeWith(3)
  const projection = startProjection(model(), store, { clock })
  await clock.advance(100)
  await clock.runUntil(projection.pause())
  await clock.advance(100)
  const phases: string[] = []
  projection.status.subscribe(() => phases.push(projection.status.getSnapshot().phase))
  await clock.advance(60_000)
  await clock.runUntil(projection.stop())
  expect(phases.filter((p) => p !== 'paused' && p !== 'stopped')).toEqual([])
})


test('a letter of a plain projector is applied once, however often retry() is called', async () => {
  const store = await storeWith(3)
  const seen: number[] = []
  let broken = true
  const projection = startProjection<Event, never, unknown>({ name: 'plain', apply: (e) => { if (broken && e.position === 2) throw new Error('x'); seen.push(e.position) }, onError: () => 'park' } as Projector<Event>, store)
  await projection.caughtUp(3)
  broken = false
  const letters = []
  for await (const letter of projection.deadLetters()) letters.push(letter)
  await letters[0]!.retry()
  await letters[0]!.retry().catch(() => {})
  await projection.stop()
  expect(seen).toEqual([1, 3, 2])
})

test('rebuilding a plain projector forgets its letters', async () => {
  const store = await storeWith(3)
  const seen: number[] = []
  let broken = true
  const projection = startProjection<Event, never, unknown>({ name: 'plain', apply: (e) => { if (broken && e.position === 2) throw new Error('x'); seen.push(e.position) }, onError: () => 'park' } as Projector<Event>, store)
  await projection.caughtUp(3)
  broken = false
  await projection.rebuild()
  await expect.poll(() => seen.length, { timeout: 5000 }).toBe(5)
  await wait(100)
  const letters = []
  for await (const letter of projection.deadLetters()) letters.push(letter.position)
  await projection.stop()
  expect(letters).toEqual([])
})

test('deadLetters of the status counts all of them, also for plain projectors', async () => {
  const store = await storeWith(1500)
  const projection = startProjection<Event, never, unknown>({ name: 'plain', apply: () => { throw new Error('x') }, onError: () => 'park' } as Projector<Event>, store)
  await projection.caughtUp(1500)
  await wait(100)
  const { deadLetters } = projection.status.getSnapshot()
  await projection.stop()
  expect(deadLetters).toBe(1500)
})

test('a retry sees the event as it was, whatever the first try did to it (N17, B10)', async () => {
  const store = await openEventStore<{ type: 'A'; data: { items: string[] } }>({ name: newName() })
  await store.append({ stream: 's', events: [{ type: 'A', data: { items: ['x', 'y'] } }] })
  const seen: string[][] = []
  await runProjection({ name: 'p', apply(e) { seen.push([...e.data.items]); e.data.items.pop(); if (seen.length < 3) throw new Error('x') }, onError: () => 'retry' }, store, { retry: { delay: 0 } })
  expect(seen).toEqual([['x', 'y'], ['x', 'y'], ['x', 'y']])
})

test('rebuild() while a failed read waits for its retry is begun before the next append', async () => {
  const clock = virtualClock()
  const store = await storeWith(3)
  let failing = false
  const flaky = { ...store, async readEvents(...given: Parameters<typeof store.readEvents>) { if (failing) throw new Error('read'); return store.readEvents(...given) } }
  let rebuilt = false
  const projection = startProjection(model(), flaky as never, { clock, poll: { failureBackoff: 1000 }, onEvent: (r) => { if (r.type === 'loaded' && r.rebuilding) rebuilt = true } })
  await clock.advance(100)
  failing = true
  await clock.advance(6_000)
  expect(projection.status.getSnapshot().phase).toBe('retrying')
  await clock.runUntil(projection.rebuild())
  failing = false
  await clock.advance(120_000)
  await clock.runUntil(projection.stop())
  expect(rebuilt).toBe(true)
})

test('aborting the signal frees what stop() frees', async () => {
  const store = await storeWith(3)
  const controller = new AbortController()
  const projection = startProjection(model(), store, { signal: controller.signal })
  await projection.caughtUp(3)
  controller.abort()
  await expect.poll(() => projection.status.getSnapshot().phase, { timeout: 5000 }).toBe('stopped')
  // Closed means closed: a handle that was not freed still writes.
  await expect(projection.pause()).rejects.toMatchObject({ code: 'closed' })
})

test('an abort while the storage fails ends the status too', async () => {
  const clock = virtualClock()
  const store = await storeWith(3)
  const controller = new AbortController()
  let down = false
  const flaky = { ...store, head: async () => { if (down) throw new Error('down'); return store.head() }, acquire: () => new Promise<never>((_, reject) => controller.signal.addEventListener('abort', () => reject(controller.signal.reason))), tryAcquire: async () => undefined }
  const projection = startProjection<Event, never, unknown>({ name: 'plain', apply: () => {} } as Projector<Event>, { ...flaky, load: async () => { if (down) throw new Error('down'); return 0 } } as never, { signal: controller.signal, clock })
  await clock.advance(100)
  const waiting = projection.caughtUp(3)
  waiting.catch(() => {})
  await clock.advance(100)
  down = true
  controller.abort()
  await clock.advance(100)
  expect(projection.status.getSnapshot().phase).toBe('stopped')
})

void openReadModel
