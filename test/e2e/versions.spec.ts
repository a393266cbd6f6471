// Builds of an app side by side: an old tab, frozen or rude, beside a new one.
import { expect } from '@playwright/test'
import { append, caughtUp, compare, open, start, status } from '../support/counting.js'
import { lifecycle, openPage, run, test } from '../support/e2e.js'

test('H40, H54: an old version in a frozen tab is removed at once, and folded anew when the tab goes on', async ({ launch }) => {
  const context = await launch({ realistic: true })
  const old = await openPage(context)
  await open(old, 'page', 'thawed')
  await start(old)
  await caughtUp(old, await append(old, 'page', 30))
  await run(old, 'page', async (tidemark, _arg, state) => {
    state['view'] = await tidemark.openReadModel(state['store'], state['definition'])
    state['live'] = state['view'].live((tables: { counts: { getAll(): Promise<unknown[]> } }) => tables.counts.getAll())
    state['live'].subscribe(() => {})
  })
  const fresh = await openPage(context)
  await fresh.bringToFront()
  await expect.poll(() => old.evaluate(() => document.visibilityState)).toBe('hidden')
  await lifecycle(old, 'frozen')
  const databases = () => run(fresh, 'page', async () => (await indexedDB.databases()).map(({ name }) => name).sort())
  await open(fresh, 'page', 'thawed', 2)
  await start(fresh)
  await caughtUp(fresh, await append(fresh, 'page', 10))
  await expect.poll(databases).toEqual(['tidemark:thawed', 'tidemark:thawed:counts@2'])

  await lifecycle(old, 'active')
  await caughtUp(old, await append(fresh, 'page', 10))
  expect((await compare(old)).rows).toEqual((await compare(fresh)).rows)
  await expect.poll(() => run(old, 'page', (_tidemark, _arg, state) => state['live'].getSnapshot().value as unknown[])).toEqual((await compare(fresh)).rows)
  expect(await status(old)).toMatchObject({ phase: 'live', position: 50 })
})
