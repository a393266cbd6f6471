// What rebuild() waits for, whichever context does the work, and what ends the wait.
import { describe, expect, test } from 'vitest'
import { deleteReadModel, openReadModel, startProjection } from 'tidemark'
import { virtualClock } from '../../../src/testing/virtual-clock.js'
import {
  added,
  codeOf,
  gate,
  indexedDbStore,
  memoryStore,
  model,
  plain,
  poison,
  shown,
  storesWithoutHints,
} from '../read-model/support.js'
import { fakeIndexedDB } from '../../support/fake-indexeddb.js'

fakeIndexedDB()

describe.for([
  ['memory', memoryStore],
  ['fake-indexeddb', indexedDbStore],
] as const)('%s', ([, open]) => {
  test('N31: rebuild() resolves when readers see the new rows, and not before', async () => {
    const store = await open(5)
    const held = gate()
    let amount = 1
    const definition = model({
      handler: async ({ position }) => (amount === 2 && position === 4 ? await held.passed : undefined),
    })
    // The row tells which fold it is of.
    const counted = {
      ...definition,
      on: {
        Added: async (event, { rows }) => {
          await definition.on.Added?.(event, { rows })
          await rows.update('a', (row) => (row === undefined ? null : { ...row, total: row.total + amount - 1 }))
        },
      },
    } as typeof definition
    const projection = startProjection(store, counted)
    await projection.caughtUp(5)
    const view = await openReadModel(store, counted)
    expect(await view.rows.get('a')).toMatchObject({ total: 5 })
    amount = 2
    let complete = false
    const rebuilt = projection.rebuild().then(() => (complete = true))
    await shown(projection.status, ({ rebuilding }) => rebuilding !== undefined)
    expect(await view.rows.get('a')).toMatchObject({ total: 5 })
    expect(complete).toBe(false)
    held.open()
    await rebuilt
    expect(await view.rows.get('a')).toMatchObject({ total: 10 })
    await view.close()
    await projection.stop()
    await store.close()
  })

  test('N33: it rejects with the reason if the rebuild is given up, and the rows are as they were', async () => {
    const store = await open(3)
    let broken = false
    const projection = startProjection(
      store,
      model({ handler: ({ position }) => broken && position === 2 && poison() }),
    )
    await projection.caughtUp(3)
    broken = true
    await expect(projection.rebuild()).rejects.toMatchObject({
      name: 'ProjectionFailedError',
      position: 2,
      message: expect.stringContaining('poison'),
    })
    await shown(
      projection.status,
      ({ phase, position, rebuildFault }) => phase === 'live' && position === 3 && rebuildFault !== undefined,
    )
    // The next one is judged by itself.
    broken = false
    await projection.rebuild()
    expect(projection.status.getSnapshot().rebuildFault).toBeUndefined()
    await projection.stop()
    await store.close()
  })

  test('N20, N21: whoever waited for a position finds the letters counted', async () => {
    const store = await open(3)
    const projection = startProjection(
      store,
      model({ handler: ({ position }) => position === 2 && poison(), onFailure: () => 'park' }),
    )
    await projection.caughtUp(3)
    expect(projection.status.getSnapshot().deadLetterCount).toBe(1)
    await projection.rebuild()
    expect(projection.status.getSnapshot().deadLetterCount).toBe(1)
    await projection.stop()
    await store.close()
  })

  test('of a read model that is deleted meanwhile it resolves when the rows are there again', async () => {
    const store = await open(5)
    const [asked, held] = [gate(), gate()]
    let holds = false
    const definition = model({
      handler: ({ position }) => {
        if (!holds || position !== 3) return
        asked.open()
        return held.passed
      },
    })
    const projection = startProjection(store, definition)
    await projection.caughtUp(5)
    holds = true
    let complete = false
    const rebuilt = projection.rebuild().then(() => (complete = true))
    await asked.passed
    await deleteReadModel(store, definition)
    await shown(projection.status, ({ position, rebuilding }) => position === 0 && rebuilding === undefined)
    held.open()
    await rebuilt
    expect(complete).toBe(true)
    const view = await openReadModel(store, definition)
    expect(await view.rows.get('a')).toMatchObject({ total: 5 })
    await view.close()
    await projection.stop()
    await store.close()
  })

  test.for([100, -1])('of a plain projector it repairs a checkpoint that cannot be: %d', async (checkpoint) => {
    const store = await open(3)
    const seen: number[] = []
    const { load } = store.checkpoints
    let isDamaged = checkpoint < 0
    if (!isDamaged) await store.checkpoints.save('plain', checkpoint)
    const checkpoints = {
      ...store.checkpoints,
      load: async (name: string) => (isDamaged ? checkpoint : load(name)),
      save: async (...given: Parameters<typeof store.checkpoints.save>) => {
        isDamaged = false
        await store.checkpoints.save(...given)
      },
    }
    const projection = startProjection(
      { ...store, checkpoints },
      plain(({ position }) => void seen.push(position)),
    )
    const { lastError } = await shown(projection.status, (status) => status.lastError !== undefined)
    expect(lastError).toMatchObject({ message: expect.stringMatching(/rebuild/i) })
    await projection.rebuild()
    expect(seen).toEqual([1, 2, 3])
    expect(projection.status.getSnapshot()).toMatchObject({ phase: 'live', position: 3 })
    await projection.stop()
    await store.close()
  })
})

test('of a plain projector it resolves when it is where it was', async () => {
  const store = await memoryStore(4)
  const seen: number[] = []
  const projection = startProjection(
    store,
    plain(async ({ position }) => {
      await Promise.resolve()
      seen.push(position)
    }),
  )
  await projection.caughtUp(4)
  await projection.rebuild()
  expect(seen).toEqual([1, 2, 3, 4, 1, 2, 3, 4])
  await projection.stop()
})

test('it rejects where nothing goes on, ends with its signal without ending the rebuild, and a handler must not wait for it', async () => {
  const store = await memoryStore(3)
  const [asked, held] = [gate(), gate()]
  const answers: string[] = []
  let again = false
  const projection = startProjection(
    store,
    model({
      handler: async ({ position }) => {
        if (!again || position !== 2) return
        answers.push(await codeOf(projection.rebuild()))
        // One that does not wait is free to begin; once, or it would begin for ever.
        if (answers.length === 1) answers.push(await codeOf(projection.rebuild({ wait: false })))
        asked.open()
        await held.passed
      },
    }),
  )
  await projection.caughtUp(3)
  await projection.pause()
  expect(await codeOf(projection.rebuild())).toBe('projection-failed')
  again = true
  await projection.resume()
  await asked.passed
  expect(answers).toEqual(['invalid-argument', 'fulfilled'])
  const controller = new AbortController()
  const waiting = projection.rebuild({ signal: controller.signal })
  controller.abort(new Error('enough'))
  await expect(waiting).rejects.toThrow('enough')
  again = false
  held.open()
  await projection.rebuild()
  expect(await codeOf(projection.rebuild({ wait: 'no' as never }))).toBe('invalid-argument')
  await projection.stop()
  expect(await codeOf(projection.rebuild())).toBe('closed')
})

test('H66: a tab that does not lead hears of the end of its rebuild, also when every hint is lost', async () => {
  const clock = virtualClock()
  const [here, there] = await storesWithoutHints()
  await here.append({ stream: 's', events: [added(), added()] })
  const leader = startProjection(here, model(), { clock })
  await clock.runUntil(leader.caughtUp(2))
  const panel = startProjection(there, model(), { clock })
  await clock.runUntil(panel.caughtUp(2))
  let built = 0
  leader.status.subscribe(() => (built += leader.status.getSnapshot().rebuilding === undefined ? 0 : 1))
  await clock.runUntil(panel.rebuild(), { maxMs: 60_000 })
  expect(built).toBeGreaterThan(0)
  await clock.runUntil(
    shown(leader.status, ({ phase, position }) => phase === 'live' && position === 2),
    { maxMs: 60_000 },
  )
  await clock.runUntil(panel.stop())
  await clock.runUntil(leader.stop())
  for (const store of [here, there]) await store.close()
})

/** A model whose handler waits at event 2 from `hold()` on, until `let go` of. */
function holding() {
  const held = gate()
  const reached = gate()
  let holds = false
  const definition = model({
    handler: async ({ position }) => {
      if (!holds || position !== 2) return
      reached.open()
      await held.passed
    },
  })
  return { definition, hold: () => (holds = true), reached: reached.passed, letGo: held.open }
}

test('with { wait: false } it resolves when the rebuild has begun, which is stored', async () => {
  const store = await memoryStore(3)
  const { definition, hold, letGo } = holding()
  const projection = startProjection(store, definition)
  await projection.caughtUp(3)
  hold()
  await projection.rebuild({ wait: false })
  expect(projection.status.getSnapshot()).toMatchObject({ position: 3, rebuilding: { position: 0 } })
  letGo()
  await shown(projection.status, ({ rebuilding }) => rebuilding === undefined)
  await projection.stop()
})

test('a rebuild that a follower began is completed by the next leader when the leader ends in the middle, and the follower hears of it', async () => {
  const clock = virtualClock()
  const name = `rebuild-${Math.random()}`
  const [one, two, three] = [
    await indexedDbStore(3, name),
    await indexedDbStore(0, name),
    await indexedDbStore(0, name),
  ]
  const { definition, hold, reached, letGo } = holding()
  const leader = startProjection(one, definition, { clock })
  await clock.runUntil(leader.caughtUp(3))
  const next = startProjection(two, model(), { clock })
  await clock.runUntil(shown(next.status, ({ phase, position }) => phase === 'standby' && position === 3))
  const panel = startProjection(three, model(), { clock })
  await clock.runUntil(panel.caughtUp(3))
  hold()
  let over = false
  const rebuilt = panel.rebuild().finally(() => (over = true))
  await clock.runUntil(reached)
  expect(over).toBe(false)
  // Its handler hangs, so that nothing of the rebuild is stored by it.
  await clock.runUntil(leader.stop(), { maxMs: 10_000 })
  await clock.runUntil(rebuilt, { maxMs: 60_000 })
  expect(panel.status.getSnapshot()).toMatchObject({ position: 3, leader: false })
  expect(next.status.getSnapshot()).toMatchObject({ position: 3, leader: true })
  const view = await openReadModel(three, model())
  expect(await view.rows.get('a')).toEqual({ name: 'a', total: 3, seen: [1, 2, 3] })
  letGo()
  await view.close()
  for (const each of [panel, next]) await clock.runUntil(each.stop())
  for (const store of [one, two, three]) await store.close()
})

test('stop() ends the wait of its own handle, and the next run completes the rebuild', async () => {
  const store = await memoryStore(3)
  const { definition, hold, reached, letGo } = holding()
  const projection = startProjection(store, definition)
  await projection.caughtUp(3)
  hold()
  const rebuilt = codeOf(projection.rebuild())
  await reached
  const stopped = projection.stop()
  letGo()
  await stopped
  expect(await rebuilt).toBe('closed')
  const again = startProjection(store, definition)
  await shown(again.status, ({ phase, position, rebuilding }) => phase === 'live' && position === 3 && !rebuilding)
  await again.stop()
})

test('a pause ends the wait with what to do, and the rebuild continues after resume()', async () => {
  const store = await memoryStore(3)
  const { definition, hold, reached, letGo } = holding()
  const projection = startProjection(store, definition)
  await projection.caughtUp(3)
  hold()
  const rebuilt = projection.rebuild()
  await reached
  await projection.pause()
  await expect(rebuilt).rejects.toMatchObject({
    code: 'projection-failed',
    message: expect.stringContaining('Its rebuild continues after resume().'),
  })
  letGo()
  await projection.resume()
  await shown(projection.status, ({ phase, rebuilding }) => phase === 'live' && rebuilding === undefined)
  await projection.stop()
})

test('called again meanwhile it begins again, and both calls resolve when that is complete', async () => {
  const store = await memoryStore(3)
  const { definition, hold, reached, letGo } = holding()
  const projection = startProjection(store, definition)
  await projection.caughtUp(3)
  hold()
  const ended: string[] = []
  const first = projection.rebuild().then(() => ended.push('first'))
  await reached
  const second = projection.rebuild().then(() => ended.push('second'))
  await shown(projection.status, ({ rebuilding }) => rebuilding?.position === 0)
  expect(ended).toEqual([])
  letGo()
  await Promise.all([first, second])
  const view = await openReadModel(store, definition)
  expect(await view.rows.get('a')).toEqual({ name: 'a', total: 3, seen: [1, 2, 3] })
  await view.close()
  await projection.stop()
})

test.for([0, 20])('its signal ends the wait also while the storage does not answer, after %d ms', async (ms) => {
  const store = await memoryStore(1)
  const answering = gate()
  const { head } = store
  const slow = async () => {
    await answering.passed
    return head()
  }
  const projection = startProjection({ ...store, head: slow }, model())
  const controller = new AbortController()
  const waiting = projection.rebuild({ signal: controller.signal })
  setTimeout(() => controller.abort(new Error('enough')), ms)
  await expect(waiting).rejects.toThrow('enough')
  answering.open()
  await projection.stop()
  await store.close()
})
