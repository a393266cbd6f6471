// What happens at the seams: faults, skips, letters, hints that were lost.
import { expect, test } from 'vitest'
import { startProjection } from 'tidemark'
import { sleep } from '../../../src/platform/clock.js'
import { emptyState, faulted, takeOver } from '../../../src/read-model/state.js'
import { virtualClock } from '../../../src/testing/virtual-clock.js'
import {
  added,
  codeOf,
  lettersOf,
  listener,
  memoryStore,
  model,
  poison,
  shown,
  storesWithoutHints,
} from '../read-model/support.js'
import { fakeIndexedDB } from '../../support/fake-indexeddb.js'

fakeIndexedDB()

test('a new leader begins without the fault of the one before it', () => {
  const empty = emptyState('log', 'f')
  const begun = takeOver(empty, 'log', { owner: 'a', seen: empty, head: 10 }).after
  const stopped = faulted(begun, begun, { position: 0, message: 'reads failed', time: 0 })?.after ?? empty
  expect(stopped.fault).toBeDefined()
  expect(takeOver(stopped, 'log', { owner: 'b', seen: stopped, head: 10 }).after.fault).toBeUndefined()
})

test('skip() also counts in a rebuild: a projection with a skipped event can be rebuilt', async () => {
  const clock = virtualClock()
  const store = await memoryStore(3)
  const { reports, onReport } = listener()
  const projection = startProjection(store, model({ handler: ({ position }) => position === 2 && poison() }), {
    clock,
    onReport,
  })
  await clock.advance(100)
  await clock.runUntil(projection.skip(2))
  await clock.advance(100)
  expect(projection.status.getSnapshot()).toMatchObject({ phase: 'live', position: 3 })
  await clock.runUntil(projection.rebuild({ wait: false }))
  await clock.advance(5_000)
  expect(reports).toContainEqual(expect.objectContaining({ type: 'loaded', rebuilding: true }))
  expect(projection.status.getSnapshot()).toMatchObject({ phase: 'live', position: 3 })
  expect(projection.status.getSnapshot().rebuildFault).toBeUndefined()
  await clock.runUntil(projection.stop())
})

test('a letter can be replayed while the projection goes on', async () => {
  const clock = virtualClock()
  const store = await memoryStore()
  await store.append({ stream: 's', events: [added('bad'), added()] })
  let broken = true
  let calls = 0
  const projection = startProjection(
    store,
    model({
      onFailure: () => 'park',
      handler: async ({ position }) => {
        if (position !== 1) return
        if (broken) poison()
        calls += 1
        // A request.
        await sleep(clock, 200)
      },
    }),
    { clock },
  )
  await clock.advance(100)
  broken = false
  let writing = true
  const writer = (async () => {
    while (writing) {
      await store.append({ stream: 's', events: [added()] })
      await sleep(clock, 50)
    }
  })()
  const [letter] = await lettersOf(projection)
  await clock.runUntil(letter?.replay() ?? Promise.reject(new Error('There is no letter.')))
  expect(calls).toBe(1)
  writing = false
  await clock.runUntil(writer)
  await clock.runUntil(projection.stop())
})

test('an idle leader sees that another context paused, resumed or rebuilt, also when every hint is lost (H66)', async () => {
  const clock = virtualClock()
  const [here, there] = await storesWithoutHints()
  await here.append({ stream: 's', events: [added()] })
  const { next, onReport } = listener()
  const leader = startProjection(here, model(), { clock, onReport })
  await leader.caughtUp(1)
  // A control panel that does not follow the projection itself.
  const panel = startProjection(there, model(), { leadership: 'try' })
  await shown(panel.status, ({ phase }) => phase === 'faulted')
  const seen = {
    paused: next(({ type }) => type === 'paused'),
    rebuilding: next((report) => report.type === 'loaded' && report.rebuilding),
  }
  await panel.pause()
  await clock.runUntil(seen.paused, { maxMs: 60_000 })
  await panel.resume()
  await panel.rebuild({ wait: false })
  await clock.runUntil(seen.rebuilding, { maxMs: 60_000 })
  await clock.runUntil(
    shown(leader.status, ({ phase, rebuilding }) => phase === 'live' && rebuilding === undefined),
    { maxMs: 60_000 },
  )
  expect(await codeOf(leader.caughtUp(1))).toBe('fulfilled')
  await panel.stop()
  await clock.runUntil(leader.stop())
  await here.close()
  await there.close()
})
