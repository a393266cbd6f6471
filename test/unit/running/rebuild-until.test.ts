// Waiting for the end of a rebuild, and how many letters wait as soon as anybody is told.
import 'fake-indexeddb/auto'
import { describe, expect, test } from 'vitest'
import { openReadModel, startProjection } from 'tidemark'
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

describe.for([
  ['memory', memoryStore],
  ['fake-indexeddb', indexedDbStore],
] as const)('%s', ([, open]) => {
  test('N31: rebuild({ until: complete }) resolves when readers see the new rows, and not before', async () => {
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
    const rebuilt = projection.rebuild({ until: 'complete' }).then(() => (complete = true))
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
    await expect(projection.rebuild({ until: 'complete' })).rejects.toMatchObject({
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
    await projection.rebuild({ until: 'complete' })
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
    await projection.rebuild({ until: 'complete' })
    expect(projection.status.getSnapshot().deadLetterCount).toBe(1)
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
  await projection.rebuild({ until: 'complete' })
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
        answers.push(await codeOf(projection.rebuild({ until: 'complete' })))
        asked.open()
        await held.passed
      },
    }),
  )
  await projection.caughtUp(3)
  await projection.pause()
  expect(await codeOf(projection.rebuild({ until: 'complete' }))).toBe('projection-failed')
  again = true
  await projection.resume()
  await asked.passed
  expect(answers).toEqual(['invalid-argument'])
  const controller = new AbortController()
  const waiting = projection.rebuild({ until: 'complete', signal: controller.signal })
  controller.abort(new Error('enough'))
  await expect(waiting).rejects.toThrow('enough')
  again = false
  held.open()
  await projection.rebuild({ until: 'complete' })
  expect(await codeOf(projection.rebuild({ until: 'soon' as 'begun' }))).toBe('invalid-argument')
  await projection.stop()
  expect(await codeOf(projection.rebuild({ until: 'complete' }))).toBe('closed')
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
  await clock.runUntil(panel.rebuild({ until: 'complete' }), { maxMs: 60_000 })
  expect(built).toBeGreaterThan(0)
  await clock.runUntil(
    shown(leader.status, ({ phase, position }) => phase === 'live' && position === 2),
    { maxMs: 60_000 },
  )
  await clock.runUntil(panel.stop())
  await clock.runUntil(leader.stop())
})
