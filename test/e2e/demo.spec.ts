// The demo, by what a user sees and presses. Only the first test loads the 20,000 flights: the others need a few events.
import AxeBuilder from '@axe-core/playwright'
import type { Locator, Page } from '@playwright/test'
import { readFileSync } from 'node:fs'
import { crash, expect, onOneStorage, test } from '../support/e2e.js'
import {
  deskReady,
  deskUrl,
  foldRecord,
  onceLoaded,
  onceSaid,
  openDesk,
  rebuild,
  rowsOf,
  type Flight,
} from '../support/flight-desk.js'

const record = JSON.parse(
  readFileSync(new URL('../../node_modules/vega-datasets/data/flights-20k.json', import.meta.url), 'utf8'),
) as Flight[]

const press = (page: Page, name: string | RegExp) => page.getByRole('button', { name }).click()
const choose = (page: Page, flight: string) => page.getByRole('checkbox', { name: flight }).check()
const departure = (page: Page, flight: string) => page.locator('.departures li', { hasText: flight })
const notice = (page: Page) => page.locator('#notice')
const lead = (page: Page) => page.locator('.lead')
const fact = (page: Page, name: string) => page.locator('.facts > div', { hasText: name }).locator('dd')
const entries = (page: Page) => page.locator('.entries li')

test('the demo loads 20,000 flights, stopped and reloaded on the way, and its board equals a fold of the file, exactly; so does a version built beside it', async ({
  launch,
}) => {
  test.setTimeout(180_000)
  const loaded = { timeout: 120_000 }
  const context = await launch()
  const page = await openDesk(context)
  await expect(page.getByRole('heading', { name: 'The log is empty' })).toBeVisible()

  await press(page, 'Load 20,000 flights')
  await onceLoaded(page, 1_500, 'stop')
  await expect(page.getByRole('heading', { name: 'Partly loaded' })).toBeVisible()
  await expect(page.getByRole('button', { name: 'Continue loading' })).toBeVisible()

  await press(page, 'Continue loading')
  const reloaded = page.waitForEvent('load')
  await onceLoaded(page, 4_000, 'reload')
  await reloaded
  await deskReady(page)
  await expect(page.getByRole('heading', { name: 'Partly loaded' })).toBeVisible()
  const bar = page.getByRole('progressbar')
  expect(Number(await bar.getAttribute('value'))).toBeGreaterThanOrEqual(4_000)

  await press(page, 'Continue loading')
  await expect(page.getByRole('heading', { name: 'All flights are in the log' })).toBeVisible(loaded)
  // The last day before the reload was appended once more, and recognised by its ids.
  await expect(notice(page)).toHaveText(/of the last day were there already/)
  await expect(fact(page, 'Position')).toHaveText('20,000')
  await expect(fact(page, 'Head')).toHaveText('20,000')
  const expected = { ...foldRecord(record), position: record.length }
  expect(await rowsOf(page)).toEqual(expected)
  await expect(page.locator('#figures')).toContainText(/Landings\s*20,000/)
  await expect(page.locator('tbody tr').first()).toContainText('BOI')

  const inTheMiddle = await onceSaid(page, 'Version 2: ', true)
  await press(page, 'Build version 2')
  // The old rows are there, all of them, while the new ones grow.
  expect(await inTheMiddle()).toEqual({ rows: expected, building: true })
  await expect(fact(page, 'Version')).toHaveText('2', { timeout: 30_000 })
  expect(await rowsOf(page)).toEqual(expected)
  expect(await page.evaluate(() => window.flightDesk?.session.version)).toBe(2)

  const rebuilding = await onceSaid(page, 'Rebuilding: ')
  await press(page, 'Rebuild this version')
  await rebuilding()
  await expect(page.getByText('Every event is folded once more')).toBeVisible({ timeout: 30_000 })
  expect(await rowsOf(page)).toEqual(expected)
  await expectAccessible(page)
})

test('own events reach every tab, a swap of gates is one append to two streams, and when the leading tab crashes another one goes on', async ({
  launch,
}) => {
  const context = await launch()
  const first = await openDesk(context)
  await expect(lead(first)).toHaveText('This tab, A, leads.')
  const second = await openDesk(context)
  await expect(lead(second)).toHaveText('Tab A leads. This is tab B.')

  await choose(second, 'TM 114')
  await press(second, 'Report delay')
  await expect(notice(second)).toHaveText(
    /^TM 114 is 25 minutes late\. Stored at position 1, on the board \d+ ms later\.$/,
  )
  await expect(departure(first, 'TM 114')).toContainText('+25 min')

  await choose(first, 'TM 114')
  await choose(first, 'TM 208')
  await press(first, 'Swap gates')
  for (const page of [first, second]) {
    await expect(departure(page, 'TM 114')).toContainText('A4')
    await expect(departure(page, 'TM 208')).toContainText('A1')
    await expect(entries(page)).toHaveText([
      /^3\s*A4 to TM 114\s*gate-A4 1$/,
      /^2\s*A1 to TM 208\s*gate-A1 1$/,
      /^1\s*TM 114, 25 minutes late/,
    ])
  }
  // One append: where one of the gates is not as this board believes, the other one stays as it was, too.
  await press(first, 'Pause everywhere')
  await expect(fact(second, 'Phase')).toHaveText('paused')
  await second.evaluate(() =>
    window.flightDesk!.store.append({
      stream: 'gate-C3',
      events: [{ type: 'GateAssigned', data: { gate: 'C3', flight: 'TM 520' } }],
    }),
  )
  await choose(second, 'TM 417')
  await choose(second, 'TM 520')
  await press(second, 'Swap gates')
  await expect(notice(second)).toHaveText(
    /^Nothing was stored\. gate-C3 is at version 1, and this board had seen no event of it/,
  )
  expect(await second.evaluate(() => window.flightDesk!.store.head())).toBe(4)
  expect(await second.evaluate(() => window.flightDesk!.store.streamVersion('gate-B7'))).toBe(0)
  await press(first, 'Resume')
  await expect(fact(second, 'Position')).toHaveText('4')
  await press(second, 'Swap gates')
  await expect(departure(first, 'TM 417')).toContainText('C3')

  await choose(first, 'TM 331')
  await press(first, 'Cancel flight')
  await expect(departure(second, 'TM 331')).toContainText('Cancelled')
  await choose(second, 'TM 331')
  // A button that may not be pressed says why: Playwright, which takes it for disabled, has to be told to.
  await second.getByRole('button', { name: 'Cancel flight' }).click({ force: true })
  await expect(notice(second)).toHaveText('TM 331 is cancelled already.')

  await crash(first)
  await expect(lead(second)).toHaveText('This tab, B, leads.')
  await expect(second.locator('.tabs li')).toHaveText([/^B/])
  await second.getByRole('checkbox', { name: 'TM 331' }).uncheck()
  await choose(second, 'TM 606')
  await press(second, 'Report delay')
  await expect(departure(second, 'TM 606')).toContainText('+25 min')
  await expect(fact(second, 'Position')).toHaveText('8')
  await first.close()
})

test('offline after the first load: a reload works and an own event is projected; the service worker projects what no tab leads', async ({
  launch,
}) => {
  const context = await launch()
  const page = await openDesk(context)
  await expect(page.locator('#connection')).toHaveText('Online, works offline too')
  await context.setOffline(true)
  await page.reload()
  await deskReady(page)
  // The network is really gone; whether the browser says so of itself is the browser's (on a bare machine it may not).
  expect(
    await page.evaluate(() =>
      fetch(`/not-kept-${Math.random()}`).then(
        () => 'reached',
        () => 'unreachable',
      ),
    ),
  ).toBe('unreachable')
  const online = await page.evaluate(() => navigator.onLine)
  await expect(page.locator('#connection')).toHaveText(
    online ? 'Online, works offline too' : 'Offline, and everything works',
  )
  // The typeface is part of what is kept.
  expect(await page.evaluate(async () => (await document.fonts.load('1rem "Source Sans 3 Variable"')).length)).toBe(1)
  await choose(page, 'TM 520')
  await press(page, 'Report delay')
  await expect(departure(page, 'TM 520')).toContainText('+25 min')

  // While a tab leads the button says why it may not.
  const worker = page.getByRole('button', { name: 'Use service worker' })
  await expect(worker).toHaveAttribute('aria-disabled', 'true')
  await expect(
    page.getByText('The service worker projects when no tab leads: stop the projection in every tab first.'),
  ).toBeVisible()
  await worker.click({ force: true })
  await expect(notice(page)).toHaveText(
    'This tab leads, and only one may. Stop the projection in every tab, then the service worker can project.',
  )
  await press(page, 'Stop here')
  await expect(lead(page)).toHaveText('Stopped here, and no tab leads.')
  await choose(page, 'TM 417')
  await press(page, 'Report delay')
  await expect(notice(page)).toHaveText(/Stored at position 2\. The projection is stopped in this tab/)
  await expect(fact(page, 'Behind')).toHaveText('1')
  await expect(departure(page, 'TM 417')).toContainText('On time')
  await press(page, 'Use service worker')
  await expect(notice(page)).toHaveText(/The service worker projected 1 event in \d+ ms\. Nothing is left to do\./)
  await expect(departure(page, 'TM 417')).toContainText('+25 min')
  await expect(fact(page, 'Behind')).toHaveText('0')
  await context.setOffline(false)
})

test('a poison event is set aside, and its replay after the fix applies it once; where the projection stops instead, it can skip', async ({
  launch,
}) => {
  const context = await launch()
  const page = await openDesk(context)
  await press(page, 'Send a poison event')
  await expect(notice(page)).toHaveText(/The handler threw at it, so it was set aside/)
  await expect(page.locator('.dead-letters')).toContainText('TypeError')
  await choose(page, 'TM 114')
  await press(page, 'Report delay')
  await expect(departure(page, 'TM 114')).toContainText('+25 min')

  await press(page, 'Replay the event at 1')
  await expect(notice(page)).toHaveText(/The handler threw again/)
  await expect(page.locator('.dead-letters li')).toHaveCount(1)
  await page.emulateMedia({ colorScheme: 'dark', reducedMotion: 'reduce' })
  await page.setViewportSize({ width: 390, height: 844 })
  await expectAccessible(page)
  expect(
    await page.evaluate(() => document.documentElement.scrollWidth),
    'nothing sticks out of a phone',
  ).toBeLessThanOrEqual(390)

  await page.getByRole('switch', { name: 'Handler fixed' }).check()
  await press(page, 'Replay the event at 1')
  await expect(page.locator('.dead-letters li')).toHaveCount(0)
  const nowhere = {
    code: 'ZZZ',
    landed: 1,
    cancelled: 0,
    measured: 1,
    totalDelay: 40,
    averageDelay: 40,
    worstDelay: 40,
  }
  expect((await rowsOf(page)).airports).toContainEqual(nowhere)
  // Folding everything again comes to the same: it was applied once.
  await rebuild(page)
  expect(await rowsOf(page)).toMatchObject({ position: 2, totals: [{ landed: 1, delay: 40 }] })
  expect((await rowsOf(page)).airports).toContainEqual(nowhere)

  await page.getByRole('switch', { name: 'Handler fixed' }).uncheck()
  await page.getByText('Stop there').click()
  await press(page, 'Send a poison event')
  await expect(lead(page)).toHaveText('No tab leads: the projection stopped at an event.')
  await expect(page.locator('.reason')).toContainText("stopped at position 3 (FlightLanded in 'landings-unknown')")
  // A bar that is short of the end does not look full, and what to do is right under the words that say what is wrong.
  const tide = page.getByRole('meter', { name: 'How far the board has read the log' })
  await expect(tide).toHaveAttribute('data-failing', '')
  const water = (await tide.locator('.water').boundingBox())!
  const [bar, reason, skip] = await Promise.all(
    [tide, page.locator('.reason'), page.getByRole('button', { name: 'Skip the event' })].map((part) =>
      part.boundingBox(),
    ),
  )
  expect(water.width).toBeLessThan(bar!.width - 5)
  expect(skip!.y - (reason!.y + reason!.height)).toBeLessThan(40)
  await press(page, 'Skip the event')
  await expect(fact(page, 'Phase')).toHaveText('live')
  await expect(fact(page, 'Position')).toHaveText('3')
  await expect(tide).not.toHaveAttribute('data-failing', '')
  expect((await rowsOf(page)).totals).toMatchObject([{ landed: 1 }])
})

test(
  'a version that is built over an event at which the handler throws stops there beside the other one, and can skip, try again, or be given up',
  onOneStorage,
  async ({ launch }) => {
    const context = await launch()
    const page = await openDesk(context)
    const other = await openDesk(context)
    await page.getByText('Stop there').click()
    await press(page, 'Send a poison event')
    await expect(fact(page, 'Phase')).toHaveText('faulted')
    await press(page, 'Build version 2')
    const again = page.getByRole('button', { name: 'Try again in the new version' })
    for (const each of [page, other]) {
      await expect(
        each.getByText(
          /Version 2 is stuck, and the board still shows version 1\. Projection 'airport-board' stopped at position 1/,
        ),
      ).toBeVisible()
      await expect(each.getByRole('button', { name: 'Skip the event in the new version' })).toBeVisible()
    }
    await page.setViewportSize({ width: 390, height: 844 })
    await expectAccessible(page)
    await again.click()
    await expect(notice(page)).toHaveText(/Cannot read properties of null/)
    await expect(again).toBeVisible()
    await page.getByRole('button', { name: 'Give it up, the new version' }).click()
    for (const each of [page, other]) {
      await expect(each.getByRole('button', { name: 'Build version 2' })).not.toHaveAttribute('aria-disabled')
      await expect(each.getByText('Every event is folded once more')).toBeVisible()
    }
    await press(page, 'Build version 2')
    await page.getByRole('button', { name: 'Skip the event in the new version' }).click()
    for (const each of [page, other]) {
      await expect(fact(each, 'Version')).toHaveText('2')
      await expect(fact(each, 'Phase')).toHaveText(/live|follows/)
      await expect(fact(each, 'Behind')).toHaveText('0')
    }
    expect(await rowsOf(page)).toMatchObject({ position: 1, totals: [] })
  },
)

test('an event that was skipped is left out by a version that is built later, by itself, and the page says so', async ({
  launch,
}) => {
  const page = await openDesk(await launch())
  await page.getByText('Stop there').click()
  await press(page, 'Send a poison event')
  await press(page, 'Skip the event')
  await expect(fact(page, 'Phase')).toHaveText('live')
  for (const version of [2, 3]) {
    await press(page, `Build version ${version}`)
    await expect(fact(page, 'Version')).toHaveText(String(version))
    await expect(notice(page)).toHaveText(
      new RegExp(
        `The board now shows version ${version}\\..* It leaves out the event at 1 that an earlier version skipped\\.`,
      ),
    )
    await expect(fact(page, 'Phase')).toHaveText('live')
    await expect(fact(page, 'Behind')).toHaveText('0')
    expect(await rowsOf(page)).toMatchObject({ position: 1, totals: [] })
    await page.reload()
    await deskReady(page)
    await expect(fact(page, 'Version')).toHaveText(String(version))
  }
})

for (const { width, height } of [
  { width: 1440, height: 900 },
  { width: 390, height: 844 },
]) {
  test(
    `at ${width} px nothing jumps while the page opens, first or again, and no message covers what it speaks of`,
    onOneStorage,
    async ({ launch }) => {
      const context = await launch()
      const page = await context.newPage()
      await page.setViewportSize({ width, height })
      await page.addInitScript(() => {
        const shifts = { sum: 0 }
        Object.assign(window, { shifts })
        new PerformanceObserver((list) => {
          for (const entry of list.getEntries() as (PerformanceEntry & { value: number; hadRecentInput: boolean })[])
            if (!entry.hadRecentInput) shifts.sum += entry.value
        }).observe({ type: 'layout-shift', buffered: true })
      })
      const shifts = async () => {
        await deskReady(page)
        // What comes after the page is ready comes within some frames.
        await page.evaluate(() => new Promise((resolve) => setTimeout(resolve, 1_000)))
        return page.evaluate(() => (window as unknown as { shifts: { sum: number } }).shifts.sum)
      }
      await page.goto(deskUrl)
      expect(await shifts(), 'a first visit').toBeLessThan(0.05)

      // The board is filled, and so are the lists that come late.
      await page.evaluate(
        async (flights) => {
          await window.flightDesk!.store.append(
            flights.map(({ destination, delay, distance }, at) => ({
              stream: `some-${at}`,
              events: [
                {
                  type: 'FlightLanded' as const,
                  data: { origin: 'SEA', destination, delay, distance, date: '2001-01-01' },
                },
              ],
            })),
          )
        },
        record.slice(0, 2_000),
      )
      await choose(page, 'TM 208')
      await press(page, 'Report delay')
      await expect(notice(page)).toHaveText(/on the board/)
      await expectUncovered(page, departure(page, 'TM 208'), entries(page).first())
      await press(page, 'Send a poison event')
      await expect(notice(page)).toHaveText(/it was set aside/)
      await expectUncovered(
        page,
        page.locator('.dead-letters li').last(),
        page.getByRole('button', { name: 'Send a poison event' }),
      )
      await page.getByText('Stop there').click()
      await press(page, 'Send a poison event')
      await expect(notice(page)).toHaveText(/The projection stopped there/)
      const skip = page.getByRole('button', { name: 'Skip the event' })
      await expect(skip).toBeInViewport()
      await expectUncovered(page, skip, page.locator('.reason'))
      await skip.click()
      await expect(fact(page, 'Phase')).toHaveText('live')

      await page.evaluate(() => scrollTo(0, 0))
      await page.reload()
      expect(await shifts(), 'a later visit').toBeLessThan(0.05)
      await expect(page.locator('tbody tr').first()).toBeVisible()
    },
  )
}

test('a finger is told to tap, and a mouse to point', onOneStorage, async ({ launch }) => {
  const page = await (await launch()).newPage()
  const session = await page.context().newCDPSession(page)
  await session.send('Emulation.setDeviceMetricsOverride', {
    width: 390,
    height: 844,
    deviceScaleFactor: 2,
    mobile: true,
  })
  await session.send('Emulation.setTouchEmulationEnabled', { enabled: true })
  const readout = page.locator('#readout')
  const land = () =>
    page.evaluate(() =>
      window.flightDesk!.store.append({
        stream: 's',
        events: [
          {
            type: 'FlightLanded',
            data: { origin: 'SEA', destination: 'LAS', distance: 1, delay: 1, date: '2001-01-01' },
          },
        ],
      }),
    )
  await page.goto(deskUrl)
  await deskReady(page)
  expect(await page.evaluate(() => matchMedia('(pointer: coarse)').matches), 'or this proves nothing').toBe(true)
  await land()
  await expect(readout).toHaveText('Tap an airport to read its figures.')
  await expect(page.getByRole('application')).toHaveAccessibleName('Map of airports')
  await session.send('Emulation.setTouchEmulationEnabled', { enabled: false })
  await session.send('Emulation.clearDeviceMetricsOverride')
  await page.reload()
  await deskReady(page)
  await expect(readout).toHaveText('Point at an airport, or use the arrow keys.')
})

/** That the message on show lies over none of these. */
async function expectUncovered(page: Page, ...parts: Locator[]): Promise<void> {
  await expect(async () => {
    const toast = (await page.locator('#toast').boundingBox())!
    for (const part of parts) {
      const { x, y, width, height } = (await part.boundingBox())!
      const covered =
        x < toast.x + toast.width && toast.x < x + width && y < toast.y + toast.height && toast.y < y + height
      expect(covered, await part.innerText()).toBe(false)
    }
  }).toPass({ timeout: 5_000 })
}

test('where the stream of a poison event is held, what follows waits behind it, and is replayed in its order', async ({
  launch,
}) => {
  const page = await openDesk(await launch())
  await page.getByText('Hold its stream').click()
  await press(page, 'Send a poison event')
  await expect(notice(page)).toHaveText(/The handler threw at it, so it was set aside/)
  await page.getByRole('switch', { name: 'Handler fixed' }).check()
  await press(page, 'Send a poison event')
  await expect(notice(page)).toHaveText(/An event of its stream is set aside, so it waits behind that one/)
  const letters = page.locator('.dead-letters li')
  await expect(letters).toHaveText([/at 1, tried once/, /at 2, not tried/])
  await press(page, 'Replay the event at 2')
  await expect(notice(page)).toHaveText(/waits for that of position 1/)
  await page.setViewportSize({ width: 390, height: 844 })
  await expectAccessible(page)
  expect(
    await page.evaluate(() => document.documentElement.scrollWidth),
    'nothing sticks out of a phone',
  ).toBeLessThanOrEqual(390)
  await press(page, 'Replay the event at 1')
  await expect(letters).toHaveCount(1)
  await press(page, 'Replay the event at 2')
  await expect(letters).toHaveCount(0)
  // The stream is free again.
  await press(page, 'Send a poison event')
  await expect(notice(page)).toHaveText(/The handler coped with it/)
  expect(await rowsOf(page)).toMatchObject({ position: 3, totals: [{ landed: 3 }] })
})

/** No finding of axe-core, by the rules of WCAG 2.2 at level AA and its own best practices. */
async function expectAccessible(page: Page): Promise<void> {
  // Without frames there is nothing to isolate, and 220 circles are one picture: a third of the time.
  const { violations } = await new AxeBuilder({ page }).setLegacyMode().exclude('.circles').analyze()
  expect(violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ target }) => target.join(' ')).join(', ')}`)).toEqual(
    [],
  )
}
