// What catchUp() of an app brings about, with others that do the same, and what contexts that run nothing know of it.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { defineEvents, defineProjection, startProjection, table, tidemark, type TidemarkStore } from 'tidemark'
import { openEventStore } from 'tidemark/memory'
import { virtualClock } from 'tidemark/testing'
import { sleep, type Clock } from '../../../src/platform/clock.js'

type Added = { type: 'Added'; data: string | null }
const events = defineEvents<Added>()
const added = (count = 1) => Array.from({ length: count }, () => events.Added(null))

/** A model whose handler takes so long, ms. */
const taking = (name: string, ms: number, clock: Clock) =>
  defineProjection(events, {
    name,
    tables: { rows: table<{ id: string }>({ key: 'id' }) },
    on: {
      Added: async ({ id, data }, { rows }) => {
        if (ms > 0) await sleep(clock, ms)
        if (data !== null) throw new TypeError(data)
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
  const errors: unknown[] = []
  const onError = (error: unknown) => void errors.push(error)
  const app = tidemark({ name: 'a', events, models, clock, run: false, open: open as never, onError })
  await clock.runUntil(app.ready())
  return { clock, app, models, errors, store: store as unknown as TidemarkStore<Added> }
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

/** Another context that runs nothing, over the same store. */
const another = (
  store: TidemarkStore<Added>,
  { clock, models }: Pick<Awaited<ReturnType<typeof makeApp>>, 'clock' | 'models'>,
) => {
  const errors: unknown[] = []
  const open = (async () => ({ ...store, close: async () => {} })) as never
  const onError = (error: unknown) => void errors.push(error)
  return { page: tidemark({ name: 'a', events, models, clock, run: false, open, onError }), errors }
}

test('N124: a context that runs nothing is opening until it has looked, and then knows everything at once', async () => {
  const made = await makeApp({ slow: 0, fast: 0 })
  const { clock, app, store } = made
  await app.append('s', added(3))
  const { page } = another(store, made)
  const seen: unknown[] = []
  const stop = page.status.subscribe(() => {
    const { phase, behind } = page.status.getSnapshot()
    seen.push([phase, behind])
  })
  await clock.runUntil(page.ready())
  await clock.advance(0)
  expect(seen).not.toContainEqual(['live', 0])
  // No time passed.
  expect(page.status.getSnapshot()).toMatchObject({ phase: 'behind', behind: 3 })
  await clock.runUntil(app.catchUp())
  await clock.advance(300)
  expect(page.status.getSnapshot()).toMatchObject({ phase: 'live', behind: 0 })
  stop()
  await clock.runUntil(page.close())
  await clock.runUntil(app.close())
})

test('N123: right after an append that follows idleness, waiting for the rows does not fail', async () => {
  const { clock, app } = await makeApp({ slow: 0, fast: 0 })
  const stop = app.status.subscribe(() => {})
  await app.append('s', added())
  await clock.runUntil(app.catchUp())
  await clock.advance(60_000)
  const phases: string[] = []
  const stopPhases = app.status.subscribe(() => phases.push(app.status.getSnapshot().phase))
  const write = app.append('s', added(), { until: 'visible' })
  const position = 2
  const caught = app.slow.caughtUp(position)
  await clock.advance(20)
  await clock.runUntil(app.catchUp())
  expect((await clock.runUntil(write)).visible).toBe(true)
  expect(await clock.runUntil(caught)).toMatchObject({ stale: false })
  expect(phases).not.toContain('stalled')
  // Without catchUp, it is told after five seconds.
  await app.append('s', added())
  await clock.advance(4_000)
  expect(app.slow.status.getSnapshot().phase).toBe('standby')
  await clock.advance(8_000)
  expect(app.slow.status.getSnapshot().phase).toBe('not-running')
  stop()
  stopPhases()
  await clock.runUntil(app.close())
})

test('N125: what stopped catchUp in one context is known in the others, which can skip it', async () => {
  const made = await makeApp({ slow: 0, fast: 0 })
  const { clock, app, store } = made
  const { page, errors } = another(store, made)
  const stop = page.status.subscribe(() => {})
  await app.append('s', [events.Added(null), events.Added('two'), events.Added(null)])
  await expect(clock.runUntil(app.catchUp())).rejects.toMatchObject({ code: 'projection-failed', position: 2 })
  await clock.advance(300)
  const { phase, message, lastError } = page.slow.status.getSnapshot()
  expect([phase, message]).toEqual(['faulted', expect.stringContaining('two')])
  expect(lastError).toMatchObject({ code: 'projection-failed', projector: 'slow', position: 2 })
  expect(page.status.getSnapshot()).toMatchObject({ phase: 'stalled', error: { position: 2 } })
  expect(errors.map((error) => (error as { projector?: string }).projector)).toEqual(['slow', 'fast'])
  await expect(clock.runUntil(page.slow.caughtUp(3))).rejects.toBe(lastError)
  // Again by the next call, and told no second time.
  await expect(clock.runUntil(app.catchUp())).rejects.toMatchObject({ position: 2 })
  await clock.advance(300)
  expect(errors).toHaveLength(2)
  for (const model of [page.slow, page.fast]) {
    const { position } = model.status.getSnapshot().lastError as { position: number }
    await clock.runUntil(model.skip(position))
  }
  expect(page.slow.status.getSnapshot()).toMatchObject({ phase: 'standby', position: 2 })
  expect(page.slow.status.getSnapshot()).not.toHaveProperty('lastError')
  expect(await clock.runUntil(app.catchUp())).toMatchObject({ complete: true })
  await clock.advance(300)
  expect(page.status.getSnapshot()).toMatchObject({ phase: 'live' })
  stop()
  await clock.runUntil(page.close())
  await clock.runUntil(app.close())
})

/** An app in a service worker whose model wants three more tries of an event, after pauses of 100, 200 and 400 ms. */
async function failing() {
  const clock = virtualClock()
  const calls: number[] = []
  const model = defineProjection(events, {
    name: 'model',
    tables: { rows: table<{ id: string }>({ key: 'id' }) },
    on: {
      Added({ id, data }, { rows }) {
        if (data !== null) {
          calls.push(clock.monotonic())
          throw new TypeError(data)
        }
        rows.put({ id })
      },
    },
    onFailure: ({ retryCount }) => (retryCount < 3 ? 'retry' : 'park'),
  })
  const other = defineProjection(events, {
    name: 'other',
    tables: { rows: table<{ id: string }>({ key: 'id' }) },
    on: { Added: ({ id }, { rows }) => rows.put({ id }) },
  })
  const name = `waiting-${Math.random()}`
  const app = tidemark({ name, events, models: { model, other }, clock, run: false, open: openEventStore as never })
  await clock.runUntil(app.append('s', [events.Added(null), events.Added('bad'), events.Added(null)]))
  const catchUp = (maxTime: number) => clock.runUntil(app.catchUp({ budget: { maxTime } }))
  /** Pauses have a jitter of a tenth. */
  const gaps = () => calls.slice(1).map((at, index) => Math.round((at - (calls[index] as number)) / 100) * 100)
  return { clock, app, calls, gaps, catchUp }
}

test('N116: an event whose pause is longer than what is left of the budget waits for a later call, and no call before that tries it', async () => {
  const { clock, app, calls, gaps, catchUp } = await failing()
  const waits = { complete: false, models: { model: { position: 1, reason: 'retrying' }, other: { position: 3 } } }
  for (const tried of [1, 2, 3]) {
    const first = await catchUp(20)
    expect(first).toMatchObject(waits)
    const { nextTry } = first.models.model
    const pause = (nextTry as number) - clock.now()
    for (let call = 0; call < 3; call += 1) {
      expect((await catchUp(20)).models.model).toMatchObject({ ...waits.models.model, nextTry })
      await clock.advance(10)
    }
    expect(calls).toHaveLength(tried)
    await clock.advance(pause - 30)
  }
  const last = await catchUp(20)
  expect(last).toMatchObject({ complete: true, models: { model: { position: 3, parked: 1, reason: 'caught-up' } } })
  expect(last.models.model).not.toHaveProperty('nextTry')
  expect(gaps()).toEqual([100, 200, 400])
  await clock.runUntil(app.close())
})

test('N116: a call waits for the end of a pause that is within its budget, whatever part of it the others had', async () => {
  for (const times of [[Infinity], [800], [50, 150, 600]]) {
    const { clock, app, gaps, catchUp } = await failing()
    const results = []
    for (const maxTime of times) results.push(await catchUp(maxTime))
    expect(results.map(({ complete }) => complete)).toEqual(times.map((_, at) => at === times.length - 1))
    expect(results.at(-1)).toMatchObject({ models: { model: { position: 3, parked: 1 } } })
    expect(gaps()).toEqual([100, 200, 400])
    await clock.runUntil(app.close())
  }
})

test('N116: a rebuild that was asked for meanwhile does not wait, and has all tries', async () => {
  const { clock, app, calls, gaps, catchUp } = await failing()
  await catchUp(20)
  const rebuilt = app.model.rebuild()
  await clock.advance(10)
  expect(await catchUp(20)).toMatchObject({ complete: false, models: { model: { reason: 'retrying' } } })
  expect(calls).toHaveLength(2)
  expect(await catchUp(Infinity)).toMatchObject({ complete: true })
  expect(gaps().slice(1)).toEqual([100, 200, 400])
  await clock.runUntil(rebuilt)
  await clock.runUntil(app.close())
})
