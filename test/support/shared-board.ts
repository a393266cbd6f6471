/** The board for two of the demo, as e2e tests use it: two browsers with profiles of their own are two devices. */
import { expect, type BrowserContext, type Page } from '@playwright/test'
// What the page gives to the console.
// oxlint-disable-next-line import/no-empty-named-blocks, unicorn/require-module-specifiers -- types only: nothing of it may run
import type {} from '../../demo/src/for-two/main.js'
import { deskReady, deskUrl } from './flight-desk.js'

export const beginUrl = `${deskUrl}shared.html`

/** Opens a page of the board in a new tab, and waits until everything is in its place. */
export async function openBoard(context: BrowserContext, url = beginUrl): Promise<Page> {
  const page = await context.newPage()
  await page.emulateMedia({ reducedMotion: 'reduce' })
  await page.goto(url)
  await deskReady(page)
  return page
}

/** Begins a board as a visitor does. Returns the page, and the link for the other device. */
export async function beginBoard(context: BrowserContext): Promise<{ page: Page; link: string }> {
  const page = await openBoard(context)
  await page.getByRole('button', { name: 'Start a shared board' }).click()
  await page.waitForURL(/#[a-z0-9]{12}$/)
  await deskReady(page)
  return { page, link: await page.locator('.address').innerText() }
}

export const sentence = (page: Page) => page.locator('#status')
export const departure = (page: Page, flight: string) => page.locator('.departures li', { hasText: flight })
export const choose = (page: Page, flight: string) => page.getByRole('radio', { name: flight }).check()
export const airplane = (page: Page) => page.getByRole('switch', { name: 'Airplane mode' })

/** Resolves when what the button does is done. */
export async function press(page: Page, name: string): Promise<void> {
  const button = page.getByRole('button', { name, exact: true })
  await button.click()
  // A card that was dealt with is gone, with its buttons.
  await expect(page.locator('button[aria-busy]')).toHaveCount(0)
}

export async function delay(page: Page, flight: string, minutes: number): Promise<void> {
  await choose(page, flight)
  await page.getByRole('spinbutton', { name: 'Minutes late' }).fill(String(minutes))
  await press(page, 'Report delay')
}

export async function giveGate(page: Page, flight: string, gate: string): Promise<void> {
  await choose(page, flight)
  await page.getByRole('combobox', { name: 'Gate' }).selectOption(gate)
  await press(page, 'Give gate')
}

/** The log of the server, without what only this device believes. */
export const confirmed = (page: Page) =>
  page.evaluate(async () => {
    const events = []
    for await (const { position, type, data } of window.boardForTwo!.app.read()) events.push({ position, type, data })
    return events
  })

export const rowsOf = (page: Page) =>
  page.evaluate(async () => {
    const { board } = window.boardForTwo!.app
    return { gates: await board.gates.getAll(), flights: await board.flights.getAll() }
  })
