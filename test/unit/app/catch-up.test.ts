// What catchUp() of an app brings about, with others that do the same, and within its budget.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { defineEvents, defineProjection, startProjection, table, tidemark, type TidemarkStore } from 'tidemark'
import { openEventStore } from 'tidemark/memory'
import { virtualClock } from 'tidemark/testing'
import { sleep, type Clock } from '../../../src/platform/clock.js'

type Added = { type: 'Added'; data: null }
const events = defineEvents<Added>()
const added = (count = 1) => Array.from({ length: count }, () => events.Added(null))

/** A model whose handler takes so long, ms. */
const taking = (name: string, ms: number, clock: Clock) =>
  defineProjection(events, {
    name,
    tables: { rows: table<{ id: string }>({ key: 'id' }) },
    on: {
      Added: async ({ id }, { rows }) => {
        if (ms > 0) await sleep(clock, ms)
        await rows.put({ id })
      },
    },
  })

/** An app that runs nothing by itself. */
async function makeApp(times: { readonly slow: number; readonly fast: number }) {
  const clock = virtualClock()
  const models = { slow: taking('slow', times.slow, clock), fast: taking('fast', times.fast, clock) }
  let store: TidemarkStore<Added> | undefined
  const open: typeof openEventStore = async (options) => (store = (await openEventStore(options)) as never) as never
  const app = tidemark({ name: 'a', events, models, clock, run: false, open: open as never, onError: () => {} })
  await clock.runUntil(app.ready())
  return { clock, app, models, store: store as unknown as TidemarkStore<Added> }
}

test('N120: each call of catchUp resolves with the rows of every event that was appended before it', async () => {
  const step = fc.oneof(fc.constant('append' as const), fc.constant('catchUp' as const), fc.nat({ max: 60 }))
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 12 }), async (steps) => {
      const { clock, app } = await makeApp({ slow: 20, fast: 1 })
      const calls: Promise<void>[] = []
      for (const each of steps) {
        if (each === 'append') await app.append('s', added())
        else if (each !== 'catchUp') await clock.advance(each)
        else {
          const head = await app.head()
          const call = app.catchUp().then(async ({ complete, models }) => {
            expect(complete).toBe(true)
            for (const name of ['slow', 'fast'] as const) {
              expect(models[name].position).toBeGreaterThanOrEqual(head)
              expect(await app[name].rows.count()).toBeGreaterThanOrEqual(head)
            }
          })
          calls.push(call)
        }
      }
      await clock.runUntil(Promise.all(calls))
      await clock.runUntil(app.close())
      expect(clock.pending).toBe(0)
    }),
    { numRuns: 40 },
  )
})

test('N120: a model that another context runs is waited for, and run here if that context ends', async () => {
  for (const ends of [false, true]) {
    const { clock, app, models, store } = await makeApp({ slow: 100, fast: 0 })
    const handle = startProjection(store, models.slow, { clock })
    await app.append('s', added(10))
    await clock.advance(250)
    const caught = app.catchUp()
    await clock.advance(100)
    // What no other context runs does not wait for it.
    expect(await app.fast.rows.count()).toBe(10)
    if (ends) await clock.runUntil(handle.stop())
    const { complete, models: results } = await clock.runUntil(caught)
    expect(complete).toBe(true)
    expect(results.slow).toMatchObject({ position: 10, reason: 'caught-up' })
    expect(results.slow.applied > 0).toBe(ends)
    expect(await app.slow.rows.count()).toBe(10)
    await clock.runUntil(handle.stop())
    await clock.runUntil(app.close())
    expect(clock.pending).toBe(0)
  }
})

test('N120: it does not wait for a model that is paused, nor longer than its budget or its signal allows', async () => {
  const { clock, app, models, store } = await makeApp({ slow: 1_000, fast: 0 })
  const handle = startProjection(store, models.slow, { clock })
  await app.append('s', added(10))
  await clock.advance(500)
  const began = clock.monotonic()
  const limited = await clock.runUntil(app.catchUp({ budget: { maxTime: 2_000 } }))
  expect(limited).toMatchObject({ complete: false, models: { slow: { reason: 'budget' }, fast: { position: 10 } } })
  expect(clock.monotonic() - began).toBe(2_000)
  const leaving = new AbortController()
  const left = app.catchUp({ signal: leaving.signal })
  await clock.advance(100)
  leaving.abort()
  expect(await clock.runUntil(left)).toMatchObject({ complete: false, models: { slow: { reason: 'aborted' } } })
  await clock.runUntil(handle.pause())
  const paused = await clock.runUntil(app.catchUp())
  expect(paused).toMatchObject({
    complete: false,
    models: { slow: { reason: 'paused' }, fast: { reason: 'caught-up' } },
  })
  await clock.runUntil(handle.stop())
  await clock.runUntil(app.close())
  expect(clock.pending).toBe(0)
})

test('N121: each model gets its share of the budget, and what the others do not need', async () => {
  const { clock, app } = await makeApp({ slow: 20, fast: 0 })
  await app.append('s', added(50))
  const first = await clock.runUntil(app.catchUp({ budget: { maxTime: 300 } }))
  expect(first).toMatchObject({
    complete: false,
    models: { slow: { reason: 'budget', applied: 15, position: 15 }, fast: { reason: 'caught-up', applied: 50 } },
  })
  // Counts of events are shared as well, and a model without a turn says where it is.
  const second = await clock.runUntil(app.catchUp({ budget: { maxEvents: 1 } }))
  expect(second).toMatchObject({
    complete: false,
    models: { slow: { applied: 1, position: 16, reason: 'budget' }, fast: { applied: 0, position: 50 } },
  })
  expect(await clock.runUntil(app.catchUp())).toMatchObject({ complete: true, models: { slow: { applied: 34 } } })
  await clock.runUntil(app.close())
})
