// What goes wrong without a word in an app says so in the console, in the development build only.
import { afterEach, describe, expect, test, vi } from 'vitest'
import { defineEvents, defineProjection, openReadModel, startProjection, table, type LiveQuery } from 'tidemark'
import { openEventStore } from 'tidemark/memory'
import { virtualClock } from 'tidemark/testing'
import { bundle } from '../../../scripts/size.mjs'

const events = defineEvents<{ type: 'Added'; data: { id: string } }>()
let models = 0
/** Each warns once. */
const newModel = () =>
  defineProjection(events, {
    name: `model-${(models += 1)}`,
    tables: { rows: table<{ id: string }>({ key: 'id' }) },
    on: { Added: ({ data }, { rows }) => rows.put(data) },
  })
const nothing = () => {}
const warned = vi.spyOn(console, 'warn').mockImplementation(nothing)
afterEach(() => warned.mockClear())
const texts = () => warned.mock.calls.map(([text]) => String(text))

async function opened() {
  const clock = virtualClock()
  const store = await openEventStore({ name: 'traps', events })
  const model = newModel()
  const view = await openReadModel(store, model, { clock })
  return { clock, store, model, view }
}

test('a query that waits for its own answer fails immediately, with what to do; another one may wait for it', async () => {
  const { view, store } = await opened()
  let isOwn = true
  const live: LiveQuery<number> = view.live(async ({ rows }) => (isOwn ? await live.ready() : 0) + (await rows.count()))
  const other = view.live(async () => (await live.ready()) + 1)
  const refused = { code: 'invalid-argument', message: expect.stringMatching(/^ready is called by the query itself/) }
  // No time passes: otherwise each would be given up after 30 s.
  await expect(live.ready()).rejects.toMatchObject(refused)
  await expect(other.ready()).rejects.toMatchObject(refused)
  isOwn = false
  expect(await other.ready()).toBe(1)
  expect(await live.ready()).toBe(0)
  await view.close()
  await store.close()
})

describe('a read model that no context runs', () => {
  test('is warned of once, when events wait for it for five seconds; its snapshot stays ready', async () => {
    const { clock, store, model, view } = await opened()
    const live = view.rows.live()
    const stop = live.subscribe(nothing)
    await clock.advance(30_000)
    expect(texts()).toEqual([])
    await store.append('s', events.Added({ id: 'a' }))
    await clock.advance(30_000)
    expect(texts()).toEqual([expect.stringContaining(`'${model.name}@1' of 'traps', and no context runs it`)])
    expect(live.getSnapshot()).toMatchObject({ status: 'ready', data: [], stale: false })
    stop()
    await view.close()
    await store.close()
  })

  test('is not warned of while it is run, paused, or stopped by a fault', async () => {
    const { clock, store, model, view } = await opened()
    const stop = view.rows.live().subscribe(nothing)
    const handle = startProjection(store, model)
    await store.append('s', events.Added({ id: 'a' }))
    await handle.caughtUp(1)
    await handle.pause()
    await store.append('s', events.Added({ id: 'b' }))
    await clock.advance(60_000)
    await handle.stop()
    await clock.advance(60_000)
    expect(texts()).toEqual([])
    stop()
    await view.close()
    await store.close()
  })
})

describe('a key that comes with two functions', () => {
  test('is warned of once; the first function runs', async () => {
    const { clock, store, model, view } = await opened()
    const count = () => view.live(['of', 1], ({ rows }) => rows.count())
    const live = count()
    // The same text is the same function, as in each render.
    expect(count()).toBe(live)
    view.live(['of', 2], ({ rows }) => rows.getAll())
    expect(texts()).toEqual([])
    expect(view.live(['of', 1], ({ rows }) => rows.getAll())).toBe(live)
    expect(texts()).toEqual([expect.stringContaining(`of '${model.name}@1'`)])
    expect(texts()[0]).toMatch(/two different functions came with the live key .*of/)
    view.live(['of', 1], ({ rows }) => rows.getAll({ limit: 3 }))
    expect(texts()).toHaveLength(1)
    expect(await clock.runUntil(live.ready())).toBe(0)
    await view.close()
    await store.close()
  })
})

describe('live queries without a key that are made in renders', () => {
  test('are warned of once', async () => {
    const { clock, store, model, view } = await opened()
    for (let render = 0; render < 100; render += 1) {
      view.live(({ rows }) => rows.count())
      await clock.advance(20)
    }
    expect(texts()).toEqual([expect.stringContaining(`without a key were made within a second`)])
    expect(texts()[0]).toContain(`${model.name}@1`)
    await view.close()
    await store.close()
  })

  test.for<[string, (view: Awaited<ReturnType<typeof opened>>['view'], at: number) => unknown]>([
    ['subscribed', (view) => view.live(({ rows }) => rows.count()).subscribe(nothing)],
    ['with a key', (view, at) => view.live(['count', at], ({ rows }) => rows.count())],
    ['of a table', (view, at) => view.rows.live({ limit: at })],
    ['few', (view, at) => at < 15 && view.live(({ rows }) => rows.count())],
  ])('none that are %s', async ([, make]) => {
    const { clock, store, view } = await opened()
    // What others made is long ago.
    await clock.advance(60_000)
    for (let at = 0; at < 100; at += 1) {
      make(view, at)
      await clock.advance(20)
    }
    expect(texts()).toEqual([])
    await view.close()
    await store.close()
  })

  test('none that are made together and subscribed after that, as by a list of components', async () => {
    const { clock, store, view } = await opened()
    await clock.advance(120_000)
    const lives = Array.from({ length: 50 }, () => view.live(({ rows }) => rows.count()))
    const stops = lives.map((live) => live.subscribe(nothing))
    await clock.advance(500)
    view.live(({ rows }) => rows.count())
    expect(texts()).toEqual([])
    for (const stop of stops) stop()
    await view.close()
    await store.close()
  })
})

test('the production build contains nothing of it', { timeout: 60_000 }, async () => {
  const traps = [
    'src/reading/not-run.ts',
    'src/reading/unkeyed.ts',
    'src/reading/key-texts.ts',
    'src/log/appended-again.ts',
    // Newer code takes over while an app is developed.
    'src/app/take-over.ts',
    'src/app/former-rows.ts',
    'src/app/newest-code.ts',
    'src/read-model/code.ts',
  ]
  const inBuild = async (build: 'development' | 'production') => {
    const { modules } = await bundle("export * from 'tidemark'", build)
    return traps.filter((trap) => modules.includes(trap))
  }
  expect(await inBuild('development')).toEqual(traps)
  expect(await inBuild('production')).toEqual([])
})
