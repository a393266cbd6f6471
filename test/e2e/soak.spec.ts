// A long day, compressed: nothing may be left behind by what comes and goes (H75, I8).
import { expect } from '@playwright/test'
import type { Page } from '@playwright/test'
import { append, caughtUp, open, start } from '../support/counting.js'
import { cdp, onOneStorage, openPage, run, test } from '../support/e2e.js'

interface Footprint {
  readonly heap: number
  readonly listeners: number
  readonly locks: number
}

/** What a page holds after everything that can be collected was. */
async function footprint(page: Page): Promise<Footprint> {
  const session = await cdp(page)
  await session.send('Performance.enable')
  // Twice: finalizers of the first round free what the second one collects.
  for (let round = 0; round < 2; round += 1) await session.send('HeapProfiler.collectGarbage')
  const { metrics } = await session.send('Performance.getMetrics')
  const metric = (name: string) => metrics.find((each) => each.name === name)?.value ?? Number.NaN
  const { held = [], pending = [] } = await page.evaluate(() => navigator.locks.query())
  return { heap: metric('JSHeapUsedSize'), listeners: metric('JSEventListeners'), locks: held.length + pending.length }
}

/** What leaks does so every time; what the engine makes once, code among it, does not. So the smallest step counts. */
const leastGrowth = (measured: readonly Footprint[], of: 'heap' | 'listeners'): number =>
  Math.min(...measured.slice(2).map((each, at) => each[of] - (measured[at + 1] as Footprint)[of]))

/** One hour of an app, in a second: stores, projections, views and live queries are opened, used and closed. */
const hour = (page: Page, name: string) =>
  run(
    page,
    'page',
    async (tidemark, name, state) => {
      const store = await tidemark.openEventStore({ name })
      const projection = tidemark.startProjection(store as never, state['definition'])
      const view = (await tidemark.openReadModel(store as never, state['definition'])) as unknown as {
        live(query: (tables: { counts: { getAll(): Promise<unknown[]> } }) => unknown): {
          subscribe(listener: () => void): () => void
        }
        close(): Promise<void>
      }
      const stop = view.live((tables) => tables.counts.getAll()).subscribe(() => {})
      const total = tidemark.liveProjection(store as never, {
        initial: 0,
        on: { Added: (sum: number) => sum + 1 } as never,
      })
      const stopTotal = total.subscribe(() => {})
      for (let at = 0; at < 5; at += 1) {
        const { position } = await store.append({
          stream: `s${at}`,
          events: [{ type: 'Added', data: { to: 'k', amount: at } }],
        })
        const controller = new AbortController()
        await projection.caughtUp(position, { signal: controller.signal, timeout: 20_000 })
        controller.abort()
      }
      stop()
      stopTotal()
      await view.close()
      await projection.stop()
      await store.close()
    },
    name,
  )

test(
  'H75, I8: hours of opening, using and closing leave no listener, lock or memory behind',
  onOneStorage,
  async ({ launch }) => {
    test.setTimeout(120_000)
    const page = await openPage(await launch())
    await open(page, 'page', 'soak-other')
    const measured: Footprint[] = []
    for (let day = 0; day < 4; day += 1) {
      for (let each = 0; each < 12; each += 1) await hour(page, 'soak')
      measured.push(await footprint(page))
    }
    // The first day warms up what is made once.
    expect(measured.at(-1)?.locks, 'locks').toBe(0)
    // A request under way when it is measured has a few; one that is left behind each hour would be twelve a day.
    expect(leastGrowth(measured, 'listeners'), 'listeners a day').toBeLessThan(10)
    expect(leastGrowth(measured, 'heap'), 'bytes a day').toBeLessThan(200_000)
  },
)

test('H75: a long-lived signal and a long-running projection gather nothing', onOneStorage, async ({ launch }) => {
  test.setTimeout(120_000)
  const page = await openPage(await launch())
  await open(page, 'page', 'steady')
  await start(page)
  const rounds = async (count: number) => {
    await run(
      page,
      'page',
      async (_tidemark, count, state) => {
        const { store, projection } = state as {
          store: { append(write: object): Promise<{ position: number }> }
          projection: { caughtUp(position: number, options: object): Promise<unknown> }
        }
        state['signal'] ??= new AbortController().signal
        for (let at = 0; at < count; at += 1) {
          const { position } = await store.append({
            stream: `s${at % 50}`,
            events: [{ type: 'Added', data: { to: `k${at % 50}`, amount: 1 } }],
          })
          await projection.caughtUp(position, { signal: state['signal'], timeout: 20_000 })
        }
      },
      count,
    )
    return footprint(page)
  }
  const measured: Footprint[] = []
  for (let block = 0; block < 5; block += 1) measured.push(await rounds(200))
  expect(leastGrowth(measured, 'listeners'), 'listeners for two hundred events').toBeLessThan(20)
  expect(leastGrowth(measured, 'heap'), 'bytes for two hundred events').toBeLessThan(100_000)
  await caughtUp(page, await append(page, 'page', 1))
})
