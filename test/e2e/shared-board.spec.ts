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
const places = (page: Page) => page.locator('#log .place')

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

test('two browsers share a board by a link; what one does offline waits, shows so, and reaches the other one', async ({
  launch,
  profile,
}) => {
  const desk = await openDesk(await launch())
  await desk.getByRole('link', { name: 'A board for two' }).click()
  await expect(desk).toHaveURL(beginUrl)
  await desk.context().close()
  const [one, two] = await twoDevices(launch, profile)

  await delay(one, 'TM 114', 25)
  await expect(departure(two, 'TM 114')).toContainText('+25 min')
  await expect(departure(one, 'TM 114').locator('[data-unsettled]')).toHaveCount(0)

  await airplane(one).check()
  await expect(sentence(one)).toHaveText('Airplane mode. Nothing waits.')
  await delay(one, 'TM 114', 10)
  await giveGate(one, 'TM 331', 'Gate 2')
  await expect(sentence(one)).toHaveText('Airplane mode. 2 changes wait on this device.')
  await expect(departure(one, 'TM 114')).toContainText('+35 min (not settled)')
  await expect(departure(one, 'TM 331')).toContainText('gate 2 (not settled)')
  await expect(places(one)).toHaveText(['waits', 'waits', '1'])
  await expect(departure(two, 'TM 331')).toContainText('no gate')

  // Meanwhile the other one goes on, on the same flight.
  await delay(two, 'TM 114', 5)
  await expect(departure(two, 'TM 114')).toContainText('+30 min')
  // A reload without a network shows what waits.
  await one.reload()
  await deskReady(one)
  await expect(airplane(one)).toBeChecked()
  await expect(sentence(one)).toHaveText('Airplane mode. 2 changes wait on this device.')
  await expect(departure(one, 'TM 114')).toContainText('+35 min (not settled)')

  await airplane(one).uncheck()
  for (const page of [one, two]) {
    await expect(sentence(page)).toHaveText(inStep)
    await expect(departure(page, 'TM 114')).toContainText('+40 min')
    await expect(departure(page, 'TM 331')).toContainText('gate 2')
    await expect(page.locator('[data-unsettled]')).toHaveCount(0)
    await expect(places(page)).toHaveText(['4', '3', '2', '1'])
  }
  expect(await confirmed(one)).toEqual(await confirmed(two))
  expect(await rowsOf(one)).toEqual(await rowsOf(two))
})

test('a change that comes second is refused and explained, and the visitor retries or discards it; a command takes another gate by itself', async ({
  launch,
  profile,
}) => {
  const [one, two] = await twoDevices(launch, profile)
  for (const page of [one, two]) await airplane(page).check()
  await giveGate(one, 'TM 114', 'Gate 1')
  await giveGate(two, 'TM 208', 'Gate 1')
  await giveGate(two, 'TM 606', 'Any free gate')
  await expect(departure(two, 'TM 606')).toContainText('gate 2 (not settled)')
  await airplane(one).uncheck()
  await expect(sentence(one)).toHaveText(inStep)
  await airplane(two).uncheck()
  await expect(refused(two)).toHaveText([
    /^Gate 1 to TM 208\s*Another device was first: gate 1 went to TM 114 before this reached the server\./,
  ])
  await expect(refused(one)).toHaveCount(0)
  await expect(departure(two, 'TM 208')).toContainText('no gate')
  await expect(departure(two, 'TM 114')).toContainText('gate 1')
  // Refused is settled: what it was decided on is not what the command has decided on.
  for (const page of [one, two]) await expect(departure(page, 'TM 606')).toContainText('gate 2')

  await two.setViewportSize({ width: 390, height: 844 })
  await expectAccessible(two)
  await press(two, 'Discard: Gate 1 to TM 208')
  await expect(refused(two)).toHaveCount(0)
  await expect(two.locator('#board')).toBeFocused()

  // Once more, and all the same.
  await airplane(one).check()
  await airplane(two).check()
  await giveGate(one, 'TM 331', 'Gate 3')
  await giveGate(two, 'TM 417', 'Gate 3')
  await airplane(one).uncheck()
  await expect(sentence(one)).toHaveText(inStep)
  await airplane(two).uncheck()
  await press(two, 'Do it all the same: Gate 3 to TM 417')
  for (const page of [one, two]) {
    await expect(departure(page, 'TM 417')).toContainText('gate 3')
    await expect(departure(page, 'TM 331')).toContainText('no gate')
  }

  // Both ask for any gate: the second one's command decides again, and nothing is refused.
  await airplane(one).check()
  await airplane(two).check()
  await giveGate(one, 'TM 331', 'Any free gate')
  await giveGate(two, 'TM 520', 'Any free gate')
  await expect(departure(two, 'TM 520')).toContainText('gate 4 (not settled)')
  await airplane(two).uncheck()
  await expect(sentence(two)).toHaveText(inStep)
  await airplane(one).uncheck()
  await expect(refused(one)).toHaveText([/^Gate 4 to TM 331\s*No gate is free any more\./])

  // A rule of the server.
  await delay(one, 'TM 208', 300)
  await expect(refused(one).last()).toContainText('The server takes no delay of more than 180 minutes.')
  await expect(departure(one, 'TM 208')).toContainText('On time')
  expect(await rowsOf(one)).toEqual(await rowsOf(two))
})

test('the server is stopped and started: devices go on, and nothing is lost or stored twice', async ({
  launch,
  profile,
}) => {
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
  for (const page of [one, two]) {
    // Gone once it was tried by itself.
    await page
      .getByRole('button', { name: 'Try now to reach the server' })
      .click({ timeout: 5_000 })
      .catch(() => {})
    await expect(sentence(page)).toHaveText(inStep)
  }
  for (const page of [one, two]) {
    await expect(departure(page, 'TM 114')).toContainText('+28 min')
    await expect(fact(page, 'Events')).toHaveText('3')
  }
  expect(await confirmed(one)).toEqual(await confirmed(two))
})

test('the server is restored from a backup, and the devices give back what it lost', async ({ launch, profile }) => {
  const [one, two] = await twoDevices(launch, profile)
  await expect(one.getByRole('button', { name: 'Restore the backup' })).toHaveAttribute('aria-disabled', 'true')
  await giveGate(one, 'TM 114', 'Gate 1')
  await expect(departure(two, 'TM 114')).toContainText('gate 1')
  await press(one, 'Back up now')
  await expect(fact(one, 'Backup')).toHaveText('at 1')
  await delay(one, 'TM 114', 25)
  await giveGate(two, 'TM 208', 'Gate 2')
  for (const page of [one, two]) {
    await expect(departure(page, 'TM 208')).toContainText('gate 2')
    await expect(departure(page, 'TM 114')).toContainText('+25 min')
    await expect(sentence(page)).toHaveText(inStep)
  }
  const before = await rowsOf(one)
  await press(one, 'Restore the backup')
  await expect(notice(one)).toHaveText(/^Restored: the server forgot 2 events\./)
  for (const page of [one, two]) {
    await expect(fact(page, 'Events')).toHaveText('3', { timeout: 20_000 })
    await expect(sentence(page)).toHaveText(inStep)
    await expect(departure(page, 'TM 114')).toContainText('+25 min')
    await expect(departure(page, 'TM 208')).toContainText('gate 2')
    await expect(page.locator('[data-unsettled]')).toHaveCount(0)
  }
  expect(await rowsOf(one)).toEqual(before)
  expect(await rowsOf(two)).toEqual(before)
  expect(await confirmed(one)).toEqual(await confirmed(two))
})

test('a window plays a second device of the same browser, with a switch and a store of its own', async ({ launch }) => {
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
  await expect(sentence(one)).toHaveText(inStep)
  await expect(departure(two, 'TM 606')).toContainText('On time')
  await airplane(two).uncheck()
  await expect(departure(two, 'TM 606')).toContainText('+15 min')
})

for (const colorScheme of ['light', 'dark'] as const) {
  test(`the board for two is accessible and fits a phone and a desk, ${colorScheme}`, onOneStorage, async ({ launch }) => {
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
      expect(await page.evaluate(() => document.documentElement.scrollWidth), 'nothing sticks out').toBeLessThanOrEqual(
        width,
      )
    }
  })
}

test('without a sync server the page says so; a torn link is explained', onOneStorage, async ({ launch }) => {
  const context = await launch()
  const torn = await openBoard(context, `${beginUrl}#abc`)
  await expect(torn.getByText('The link is incomplete.')).toBeVisible()
  // What a server of static files does with an address that it does not know.
  await context.route(`${deskUrl}rooms`, (route) => route.fulfill({ contentType: 'text/html', body: '<p>Hello' }))
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
