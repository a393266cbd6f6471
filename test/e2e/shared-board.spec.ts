// The board for two, by what visitors see and press: two browsers, a server in between that is stopped and restored.
import AxeBuilder from '@axe-core/playwright'
import type { BrowserContext, Page } from '@playwright/test'
import { expect, onOneStorage, test } from '../support/e2e.js'
import { deskReady, deskUrl, openDesk } from '../support/flight-desk.js'
import {
  airplane,
  beginBoard,
  beginUrl,
  choose,
  confirmed,
  delay,
  departure,
  giveGate,
  openBoard,
  press,
  rowsOf,
  sentence,
} from '../support/shared-board.js'

const inStep = 'In step with the server.'
const notice = (page: Page) => page.locator('#notice')
const refused = (page: Page) => page.locator('.refused li')
const fact = (page: Page, name: string) => page.locator('.facts > div', { hasText: name }).locator('dd')
/** Until the server has so many events. */
const stored = (page: Page, count: number) => expect(fact(page, 'Events')).toHaveText(String(count))
const places = (page: Page) => page.locator('#log .place')

const unsettled = (page: Page) => page.locator('[data-unsettled]')

async function offline(...pages: readonly Page[]): Promise<void> {
  for (const page of pages) await airplane(page).check()
}

/** Two devices on one board, both in step. */
async function twoDevices(
  launch: (options?: { profile: string }) => Promise<BrowserContext>,
  profile: string,
): Promise<[Page, Page]> {
  const { page, link } = await beginBoard(await launch())
  const other = await openBoard(await launch({ profile: `${profile}/second-device` }), link)
  for (const each of [page, other]) await expect(sentence(each)).toHaveText(inStep)
  return [page, other]
}

test(
  'two browsers share a board by a link; what one does offline waits, shows so, and reaches the other one',
  onOneStorage,
  async ({ launch, profile }) => {
    const desk = await openDesk(await launch())
    await desk.getByRole('link', { name: 'A board for two' }).click()
    await expect(desk).toHaveURL(beginUrl)
    await desk.context().close()
    const [one, two] = await twoDevices(launch, profile)

    await delay(one, 'TM 114', 25)
    await expect(departure(two, 'TM 114')).toContainText('+25 min')
    await expect(unsettled(one)).toHaveCount(0)

    await airplane(one).check()
    await expect(sentence(one)).toHaveText('Airplane mode. Nothing waits.')
    await delay(one, 'TM 114', 10)
    await giveGate(one, 'TM 331', '2')
    await expect(sentence(one)).toHaveText('Airplane mode. 2 changes wait on this device.')
    await expect(departure(one, 'TM 114')).toContainText('+35 min (not settled)')
    await expect(departure(one, 'TM 331')).toContainText('Gate 2 (not settled)')
    await expect(places(one)).toHaveText(['waits', 'waits', '1'])
    await expect(departure(two, 'TM 331')).not.toContainText('Gate')

    // Meanwhile the other one works on, on the same flight.
    await delay(two, 'TM 114', 5)
    await expect(departure(two, 'TM 114')).toContainText('+30 min')
    await stored(two, 2)
    // A reload without a network shows what waits.
    await one.reload()
    await deskReady(one)
    await expect(airplane(one)).toBeChecked()
    await expect(sentence(one)).toHaveText('Airplane mode. 2 changes wait on this device.')
    await expect(departure(one, 'TM 114')).toContainText('+35 min (not settled)')

    await airplane(one).uncheck()
    for (const page of [one, two]) {
      await expect(departure(page, 'TM 114')).toContainText('+40 min')
      await expect(departure(page, 'TM 331')).toContainText('Gate 2')
      await expect(unsettled(page)).toHaveCount(0)
      await expect(places(page)).toHaveText(['4', '3', '2', '1'])
      await expect(sentence(page)).toHaveText(inStep)
    }
    expect(await confirmed(one)).toEqual(await confirmed(two))
    expect(await rowsOf(one)).toEqual(await rowsOf(two))
  },
)

test(
  'a change that comes second is refused and explained, and the visitor retries or discards it; a command takes another gate by itself',
  onOneStorage,
  async ({ launch, profile }) => {
    const [one, two] = await twoDevices(launch, profile)
    await offline(one, two)
    await giveGate(one, 'TM 114', '1')
    await giveGate(two, 'TM 208', '1')
    await giveGate(two, 'TM 606', 'any')
    await expect(departure(two, 'TM 606')).toContainText('Gate 2 (not settled)')
    await airplane(one).uncheck()
    await stored(one, 1)
    await airplane(two).uncheck()
    await expect(refused(two)).toHaveText([
      /^Gate 1 to TM 208\s*Another device was first: gate 1 went to TM 114 before this reached the server\./,
    ])
    await expect(departure(two, 'TM 208')).not.toContainText('Gate')
    // What the command had decided on was refused: it decided again.
    await stored(two, 2)
    await press(one, 'Sync now')
    for (const page of [one, two]) {
      await expect(departure(page, 'TM 114')).toContainText('Gate 1')
      await expect(departure(page, 'TM 606')).toContainText('Gate 2')
      await expect(unsettled(page)).toHaveCount(0)
    }
    await expect(refused(one)).toHaveCount(0)
    await two.setViewportSize({ width: 390, height: 844 })
    await expectAccessible(two)
    await press(two, 'Discard: Gate 1 to TM 208')
    await expect(refused(two)).toHaveCount(0)
    await expect(two.locator('#board')).toBeFocused()

    // Once more, and all the same.
    await offline(one, two)
    await giveGate(one, 'TM 331', '3')
    await giveGate(two, 'TM 417', '3')
    await airplane(one).uncheck()
    await stored(one, 3)
    await airplane(two).uncheck()
    await expect(refused(two)).toContainText('gate 3 went to TM 331')
    await press(two, 'Do it all the same: Gate 3 to TM 417')
    await stored(two, 4)
    await press(one, 'Sync now')
    for (const page of [one, two]) {
      await expect(departure(page, 'TM 417')).toContainText('Gate 3')
      await expect(departure(page, 'TM 331')).not.toContainText('Gate')
    }

    // Both ask for any gate, and one is free.
    await offline(one, two)
    await giveGate(one, 'TM 331', 'any')
    await giveGate(two, 'TM 520', 'any')
    for (const [page, flight] of [
      [one, 'TM 331'],
      [two, 'TM 520'],
    ] as const)
      await expect(departure(page, flight)).toContainText('Gate 4 (not settled)')
    await airplane(two).uncheck()
    await stored(two, 5)
    await airplane(one).uncheck()
    await expect(refused(one)).toHaveText([/^Gate 4 to TM 331\s*No gate is free any more\./])
    await expect(departure(one, 'TM 520')).toContainText('Gate 4')

    // A rule of the server, which the device does not know.
    await delay(one, 'TM 208', 300)
    await expect(refused(one).last()).toContainText('The server takes no delay of more than 180 minutes.')
    await expect(departure(one, 'TM 208')).toContainText('On time')
    await stored(one, 5)
    expect(await rowsOf(one)).toEqual(await rowsOf(two))
  },
)

test(
  'the server is stopped and started: devices work on, and nothing is lost or stored twice',
  onOneStorage,
  async ({ launch, profile }) => {
    const [one, two] = await twoDevices(launch, profile)
    await delay(one, 'TM 114', 25)
    await expect(departure(two, 'TM 114')).toContainText('+25 min')
    await press(one, 'Stop the server')
    await expect(fact(two, 'Server')).toHaveText('stopped')
    await delay(one, 'TM 114', 1)
    await delay(two, 'TM 114', 2)
    await expect(departure(one, 'TM 114')).toContainText('+26 min (not settled)')
    await expect(departure(two, 'TM 114')).toContainText('+27 min (not settled)')
    for (const page of [one, two])
      await expect(sentence(page)).toHaveText('The server does not respond. 1 change waits on this device.')
    await press(two, 'Start the server')
    await expect(fact(one, 'Server')).toHaveText('runs')
    await press(two, 'Sync now')
    await press(one, 'Sync now')
    await stored(one, 3)
    await press(two, 'Sync now')
    for (const page of [one, two]) {
      await expect(departure(page, 'TM 114')).toContainText('+28 min')
      await expect(unsettled(page)).toHaveCount(0)
      await expect(sentence(page)).toHaveText(inStep)
    }
    expect(await confirmed(one)).toEqual(await confirmed(two))
  },
)

test(
  'the server is restored from a backup, and the devices give back what it lost',
  onOneStorage,
  async ({ launch, profile }) => {
    const [one, two] = await twoDevices(launch, profile)
    await expect(one.getByRole('button', { name: 'Restore the backup' })).toHaveAttribute('aria-disabled', 'true')
    await giveGate(one, 'TM 114', '1')
    await expect(departure(two, 'TM 114')).toContainText('Gate 1')
    await press(one, 'Back up now')
    await expect(fact(one, 'Backup')).toHaveText('at 1')
    await delay(one, 'TM 114', 25)
    await giveGate(two, 'TM 208', '2')
    await stored(one, 3)
    for (const page of [one, two]) {
      await expect(departure(page, 'TM 208')).toContainText('Gate 2')
      await expect(departure(page, 'TM 114')).toContainText('+25 min')
      await expect(unsettled(page)).toHaveCount(0)
    }
    const before = await rowsOf(one)
    await press(one, 'Restore the backup')
    await expect(notice(one)).toHaveText(/^Restored: the server forgot 2 events\./)
    for (const page of [one, two]) await press(page, 'Sync now')
    await stored(one, 3)
    for (const page of [one, two]) {
      await press(page, 'Sync now')
      await expect(departure(page, 'TM 114')).toContainText('+25 min')
      await expect(departure(page, 'TM 208')).toContainText('Gate 2')
      await expect(unsettled(page)).toHaveCount(0)
      await expect(sentence(page)).toHaveText(inStep)
    }
    expect(await rowsOf(one)).toEqual(before)
    expect(await rowsOf(two)).toEqual(before)
    expect(await confirmed(one)).toEqual(await confirmed(two))
  },
)

test(
  'a window plays a second device of the same browser, with a switch and a store of its own',
  onOneStorage,
  async ({ launch }) => {
    const context = await launch()
    const { page: one } = await beginBoard(context)
    const opened = context.waitForEvent('page')
    await one.getByRole('link', { name: 'Play one here' }).click()
    const two = await opened
    await deskReady(two)
    await expect(two.getByRole('heading', { name: 'Device 2 of this browser' })).toBeVisible()
    await airplane(two).check()
    await expect(airplane(one)).not.toBeChecked()
    await delay(one, 'TM 606', 15)
    await stored(one, 1)
    await expect(departure(two, 'TM 606')).toContainText('On time')
    await airplane(two).uncheck()
    await expect(departure(two, 'TM 606')).toContainText('+15 min')
  },
)

for (const colorScheme of ['light', 'dark'] as const) {
  test(
    `the board for two is accessible and fits a phone and a desk, ${colorScheme}`,
    onOneStorage,
    async ({ launch }) => {
      const context = await launch()
      const begin = await openBoard(context)
      await begin.emulateMedia({ colorScheme, reducedMotion: 'reduce' })
      await expectAccessible(begin)
      await begin.close()
      const { page } = await beginBoard(context)
      await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' })
      await airplane(page).check()
      // By keys alone.
      await page.getByRole('radio', { name: 'TM 114' }).focus()
      await page.keyboard.press('Space')
      await page.getByRole('spinbutton', { name: 'Minutes late' }).focus()
      await page.keyboard.press('Enter')
      await expect(departure(page, 'TM 114')).toContainText('+25 min (not settled)')
      for (const width of [390, 1440]) {
        await page.setViewportSize({ width, height: 844 })
        await expectAccessible(page)
        expect(
          await page.evaluate(() => document.documentElement.scrollWidth),
          'nothing sticks out',
        ).toBeLessThanOrEqual(width)
      }
    },
  )
}

test('without a sync server the page says so; a torn link is explained', onOneStorage, async ({ launch }) => {
  const context = await launch()
  const torn = await openBoard(context, `${beginUrl}#abc`)
  await expect(torn.getByText('The link is incomplete.')).toBeVisible()
  // What a server of static files does with an address that it does not know.
  await context.route(`${deskUrl}boards`, (route) => route.fulfill({ contentType: 'text/html', body: '<p>Hello' }))
  const page = await openBoard(context)
  await expect(page.getByRole('heading', { name: 'No sync server here' })).toBeVisible()
  await expect(page.getByRole('button', { name: 'Start a shared board' })).toBeHidden()
  await choose(await openBoard(context, `${beginUrl}#aaaaaaaaaaaa`), 'TM 114')
})

/** No finding of axe-core, by the rules of WCAG 2.2 at level AA and its own best practices. */
async function expectAccessible(page: Page): Promise<void> {
  const { violations } = await new AxeBuilder({ page }).setLegacyMode().analyze()
  expect(violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ target }) => target.join(' ')).join(', ')}`)).toEqual(
    [],
  )
}
