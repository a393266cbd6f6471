/** The demo as e2e tests use it: opened in a tab, operated by what it shows, and asked for its rows. */
import type { BrowserContext, Page } from '@playwright/test'
import type { Airport, Totals } from '../../demo/src/flights.js'
// What main.ts gives to the console.
// oxlint-disable-next-line import/no-empty-named-blocks, unicorn/require-module-specifiers -- types only: nothing of it may run
import type {} from '../../demo/src/main.js'

/** Where the demo is served. A page needs the name `localhost`: another origin than that of the harness, by its port. */
export const deskUrl = `http://localhost:${process.env['TIDEMARK_DEMO_E2E_PORT']}/`

/** A flight of the public record. */
export interface Flight {
  readonly delay: number
  readonly distance: number
  readonly destination: string
}

/** Opens the demo in a new tab and waits until everything is in its place. */
export async function openDesk(context: BrowserContext): Promise<Page> {
  const page = await context.newPage()
  // Drawing costs more than projecting where there is no graphics card.
  await page.emulateMedia({ reducedMotion: 'reduce' })
  await page.goto(deskUrl)
  await deskReady(page)
  return page
}

export const deskReady = (page: Page) => page.locator('html[data-ready]').waitFor()

/** Presses 'Stop' or reloads as soon as so many flights are stored, from within the page: from outside it might be too late. */
export async function onceLoaded(page: Page, flights: number, what: 'stop' | 'reload'): Promise<void> {
  await page.evaluate(
    ([flights, what]) => {
      const bar = document.querySelector('progress')
      const stop = [...document.querySelectorAll('button')].find(({ textContent }) => textContent === 'Stop')
      if (bar === null || stop === undefined) throw new Error('The page does not load')
      const observer = new MutationObserver(() => {
        if (bar.value < flights) return
        observer.disconnect()
        if (what === 'stop') stop.click()
        else location.reload()
      })
      observer.observe(bar, { attributes: true })
    },
    [flights, what] as const,
  )
}

/**
 * Resolves when the panel says something, be it for one frame: listens from within the page. With `reload` it reads the rows at
 * that moment, reloads, and answers them, and whether a version was still being built.
 */
export async function onceSaid(
  page: Page,
  words: string,
  reload = false,
): Promise<() => Promise<{ rows: unknown; building: boolean }>> {
  await page.evaluate(
    ([words, reload]) => {
      const panel = document.querySelector('#panel')
      const view = window.flightDesk?.session.view
      if (panel === null || view === undefined) throw new Error('The page shows no board')
      sessionStorage.removeItem('said')
      const observer = new MutationObserver(() => {
        if (!(panel.textContent ?? '').includes(words)) return
        observer.disconnect()
        void (async () => {
          const rows = reload
            ? {
                airports: await view.airports.getAll(),
                totals: await view.totals.getAll(),
                position: await view.position(),
              }
            : null
          sessionStorage.setItem(
            'said',
            JSON.stringify({ rows, building: localStorage.getItem('flight-desk:next') !== null }),
          )
          if (reload) location.reload()
        })()
      })
      observer.observe(panel, { subtree: true, childList: true, characterData: true })
    },
    [words, reload] as const,
  )
  return async () => {
    await page.waitForFunction(() => sessionStorage.getItem('said') !== null)
    if (reload) await deskReady(page)
    return JSON.parse((await page.evaluate(() => sessionStorage.getItem('said'))) ?? 'null') as {
      rows: unknown
      building: boolean
    }
  }
}

/** Rebuilds the version on show, and waits until the new rows are the ones that readers see. */
export const rebuild = (page: Page) =>
  page.evaluate(async () => {
    const running = window.flightDesk?.session.running
    if (running === undefined) throw new Error('The projection is stopped in this tab')
    await running.rebuild()
  })

/** The rows of the version on show, in the order of their keys. */
export const rowsOf = (page: Page) =>
  page.evaluate(async () => {
    const view = window.flightDesk?.session.view
    if (view === undefined) throw new Error('The page shows no board')
    return {
      airports: await view.airports.getAll(),
      totals: await view.totals.getAll(),
      position: await view.position(),
    }
  })

/** What a plain fold makes of the record, written without a look at the projection. */
export function foldRecord(flights: readonly Flight[]): { airports: Airport[]; totals: Totals[] } {
  const sum = (numbers: readonly number[]) => numbers.reduce((total, number) => total + number, 0)
  const airports = [...new Set(flights.map(({ destination }) => destination))].map((code) => {
    const delays = flights.filter(({ destination }) => destination === code).map(({ delay }) => delay)
    const totalDelay = sum(delays)
    return {
      code,
      landed: delays.length,
      cancelled: 0,
      measured: delays.length,
      totalDelay,
      averageDelay: totalDelay / delays.length,
      worstDelay: Math.max(...delays),
    }
  })
  const totals: Totals = {
    name: 'all',
    landed: flights.length,
    late: flights.filter(({ delay }) => delay >= 15).length,
    delay: sum(flights.map(({ delay }) => delay)),
    miles: sum(flights.map(({ distance }) => distance)),
  }
  return { airports: airports.sort((one, other) => (one.code < other.code ? -1 : 1)), totals: [totals] }
}
