// Leadership in a browser as users have it: pages that are really hidden, frozen, stopped, and in the back/forward cache.
import { expect } from '@playwright/test'
import { append, caughtUp, compare, open, start, status } from '../support/counting.js'
import {
  backgroundPage,
  cdp,
  goBack,
  harnessReady,
  lifecycle,
  openPage,
  rendererOf,
  run,
  test,
} from '../support/e2e.js'

test('H58: a leader that is hidden hands over to a visible page', async ({ launch }) => {
  const context = await launch({ realistic: true })
  const hidden = await backgroundPage(context)
  await open(hidden, 'page', 'hidden')
  await start(hidden)
  await expect.poll(() => status(hidden)).toMatchObject({ leader: true })
  const visible = await openPage(context)
  await open(visible, 'page', 'hidden')
  await start(visible)
  await expect.poll(() => status(visible)).toMatchObject({ leader: true })
  await expect.poll(() => status(hidden)).toMatchObject({ leader: false, phase: 'standby' })
  await caughtUp(visible, await append(hidden, 'page', 10))
  const { rows, expected } = await compare(visible)
  expect(rows).toEqual(expected)
})

test('H54, N15: a leader that is frozen lets go, and another page goes on at once; thawed, it follows', async ({
  launch,
}) => {
  const context = await launch({ realistic: true })
  const leader = await openPage(context)
  await open(leader, 'page', 'frozen')
  await start(leader)
  await caughtUp(leader, await append(leader, 'page', 20))
  const other = await openPage(context)
  await other.bringToFront()
  await open(other, 'page', 'frozen')
  await expect.poll(() => leader.evaluate(() => document.visibilityState)).toBe('hidden')
  await lifecycle(leader, 'frozen')
  await start(other)
  await caughtUp(other, await append(other, 'page', 20))
  expect(await status(other)).toMatchObject({ leader: true })
  await lifecycle(leader, 'active')
  await expect.poll(() => status(leader)).toMatchObject({ position: 40, leader: false })
  const { rows, expected } = await compare(other)
  expect(rows).toEqual(expected)
})

test('H8, N15, N16: a leader whose process is stopped is passed within the stall time, and what it held is refused or fits', async ({
  launch,
}) => {
  // A renderer of its own, so that stopping it stops nobody else.
  const context = await launch({
    args: ['--process-per-tab', '--disable-features=ProcessPerSiteUpToMainFrameThreshold'],
  })
  const leader = await openPage(context)
  await open(leader, 'page', 'stopped')
  await start(leader)
  await caughtUp(leader, await append(leader, 'page', 20))
  const other = await openPage(context)
  await open(other, 'page', 'stopped')
  await start(other)
  await expect.poll(() => status(other)).toMatchObject({ phase: 'standby' })
  const renderer = await rendererOf(leader)
  expect(
    await rendererOf(other),
    'the leading page must have a process of its own, or the test would stop both',
  ).not.toBe(renderer)
  process.kill(renderer, 'SIGSTOP')
  try {
    const position = await append(other, 'page', 30)
    await caughtUp(other, position)
    expect(await status(other)).toMatchObject({ position, leader: true })
  } finally {
    process.kill(renderer, 'SIGCONT')
  }
  // Back again: it must neither double what the other did nor fight over the lead.
  await expect.poll(() => status(leader), { timeout: 30_000 }).toMatchObject({ position: 50 })
  await caughtUp(other, await append(leader, 'page', 10))
  const { rows, expected, position } = await compare(other)
  expect(position).toBe(60)
  expect(rows).toEqual(expected)
})

test('H54, H65: a page that leads may go into the back/forward cache, and shows everything when it comes back', async ({
  launch,
  baseURL,
}) => {
  const context = await launch({ realistic: true })
  const page = await openPage(context)
  await open(page, 'page', 'cached')
  await start(page)
  await run(page, 'page', async (tidemark, _arg, state) => {
    state['view'] = await tidemark.openReadModel(state['store'], state['definition'])
    state['live'] = state['view'].live((tables: { counts: { getAll(): Promise<unknown[]> } }) => tables.counts.getAll())
    state['live'].subscribe(() => {})
    addEventListener('pageshow', ({ persisted }) => (state['persisted'] = persisted))
  })
  await caughtUp(page, await append(page, 'page', 10))
  const other = await openPage(context)
  await open(other, 'page', 'cached')
  const reasons: string[] = []
  const session = await cdp(page)
  await session.send('Page.enable')
  session.on('Page.backForwardCacheNotUsed', ({ notRestoredExplanations }) =>
    reasons.push(...notRestoredExplanations.map(({ reason }) => reason)),
  )
  await page.bringToFront()
  await page.goto(`${baseURL}/blank.html`)
  // While the page is away another one appends and projects: nothing of the first is in its way.
  await start(other)
  await caughtUp(other, await append(other, 'page', 10))
  await goBack(page)
  await harnessReady(page)
  const persisted = await page.evaluate(() =>
    window.harness.run('page', `(_tidemark, _arg, state) => state['persisted']`, undefined),
  )
  // A message for a cached page ends it, by the rules of the browser; then it is loaded anew, and no lock of ours was the reason.
  if (persisted !== true) expect(reasons.filter((reason) => /lock/i.test(reason))).toEqual([])
  else {
    await expect.poll(() => status(page)).toMatchObject({ position: 20 })
    await expect
      .poll(() => run(page, 'page', (_tidemark, _arg, state) => state['live'].getSnapshot().data.length as number))
      .toBe(5)
  }
  const { rows, expected } = await compare(other)
  expect(rows).toEqual(expected)
})

test('H54: without messages from others a page that led comes back from the back/forward cache and leads again', async ({
  launch,
  baseURL,
}) => {
  const context = await launch({ realistic: true })
  const page = await openPage(context)
  await open(page, 'page', 'alone')
  await start(page)
  await run(page, 'page', (_tidemark, _arg, state) => {
    addEventListener('pageshow', ({ persisted }) => (state['persisted'] = persisted))
  })
  await caughtUp(page, await append(page, 'page', 10))
  await page.goto(`${baseURL}/blank.html`)
  await goBack(page)
  await expect.poll(() => run(page, 'page', (_tidemark, _arg, state) => state['persisted'] as boolean)).toBe(true)
  await caughtUp(page, await append(page, 'page', 5))
  expect(await status(page)).toMatchObject({ position: 15, leader: true })
})
