// What happens at the seams: faults, skips, letters, hints that were lost.
import 'fake-indexeddb/auto'
import { expect, test } from 'vitest'
import { openEventStore, startProjection } from 'tidemark'
import { openEventStore as openMemory } from 'tidemark/memory'
import { emptyState, faulted, takeOver } from '../../../src/read-model/state.js'
import { virtualClock } from '../../../src/testing/virtual-clock.js'
import { added, events, model, newName, settledWithin, wait, type Event } from './small-model.js'

test('a new leader takes over the fault of the one before it', () => {
  const empty = emptyState('log', 'f')
  const begun = takeOver(empty, 'log', { owner: 'a', seen: empty, head: 10 }).after
  const stopped = (faulted(begun, begun, { position: 0, message: 'reads failed', time: 0 }) as { after: typeof begun }).after
  expect(takeOver(stopped, 'log', { owner: 'b', seen: stopped, head: 10 }).after.fault).toBeUndefined()
})

test('skip() also counts in a rebuild: a projection with a skipped event can be rebuilt', async () => {
  const clock = virtualClock()
  const store = await openMemory<Event>({ name: newName(), events })
  await store.append({ stream: 's', events: [added(), added(), added()] })
  const projection = startProjection(model({ handler: (e) => { if (e.position === 2) throw new Error('poison') } }), store, { clock })
  await clock.advance(100)
  await clock.runUntil(projection.skip(2))
  await clock.advance(100)
  expect(projection.status.getSnapshot()).toMatchObject({ phase: 'live', position: 3 })
  await clock.runUntil(projection.rebuild())
  await clock.advance(5000)
  const { rebuildFault } = projection.status.getSnapshot()
  await clock.runUntil(projection.stop())
  expect(rebuildFault).toBeUndefined()
})

test('a letter can be replayed while the projection goes on', async () => {
  const clock = virtualClock()
  const store = await openMemory<Event>({ name: newName(), events })
  await store.append({ stream: 's', events: [added('bad'), added()] })
  let broken = true
  let calls = 0
  const projection = startProjection(model({ onError: () => 'park', handler: async (e) => {
    if (e.position !== 1) return
    calls += 1
    if (broken) throw new Error('x')
    await new Promise<void>((r) => void clock.schedule(200, r)) // a request
  } }), store, { clock })
  await clock.advance(100)
  broken = false; calls = 0
  let writing = true
  const writer = (async () => { while (writing) { await store.append({ stream: 's', events: [added()] }); await new Promise<void>((r) => void clock.schedule(50, r)) } })()
  let outcome: unknown
  const retry = (async () => { for await (const l of projection.deadLetters()) outcome = await l.retry().then(() => 'replayed', (e: { code: string }) => e.code) })()
  await clock.runUntil(retry)
  writing = false
  await clock.advance(100)
  await writer
  await clock.runUntil(projection.stop())
  expect([outcome, calls]).toEqual(['replayed', 1])
})

test('a handler that hangs does not keep stop() from settling', async () => {
  const store = await openMemory<Event>({ name: newName(), events })
  await store.append({ stream: 's', events: [added()] })
  const projection = startProjection(model({ handler: () => new Promise(() => {}) }), store)
  await wait(100)
  expect(await settledWithin(projection.stop(), 3000)).toBe('settled')
})

test('pause that another context asked for, with its hint lost, is seen by an idle leader; so is a rebuild (H66)', async () => {
  const name = newName()
  const channel = globalThis.BroadcastChannel
  ;(globalThis as { BroadcastChannel?: unknown }).BroadcastChannel = undefined
  const [here, there] = [await openEventStore<Event>({ name, events }), await openEventStore<Event>({ name, events })]
  globalThis.BroadcastChannel = channel
  await here.append({ stream: 's', events: [added()] })
  const leader = startProjection(model(), here)
  await leader.caughtUp(1)
  // A control panel that does not follow the projection itself.
  const panel = startProjection(model(), there, { leadership: 'try' })
  await wait(300)
  await panel.rebuild()
  await panel.stop()
  await wait(12_000)
  const { rebuilding, phase } = leader.status.getSnapshot()
  await leader.stop(); await here.close(); await there.close()
  expect([phase, rebuilding]).toEqual(['live', undefined])
})

