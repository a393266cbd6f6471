// H38: while a page is prerendered its locks and messages wait for the activation, and nothing of that is an error.
import { expect } from '@playwright/test'
import puppeteer from 'puppeteer-core'
import { chromiumArgs, findChromium } from '../../scripts/find-browser.mjs'
import { chromiumStorageFlag } from '../support/chromium-storage.js'
import { onOneStorage, test } from '../support/e2e.js'

/** What the prerendered page does by itself; it leaves what it saw where another page finds it. */
const work = async (tidemark: typeof import('tidemark')): Promise<void> => {
  const log: { what: string; prerendering: boolean; ms: number }[] = []
  const note = (what: string) => {
    log.push({
      what,
      prerendering: (document as { prerendering?: boolean } & Document).prerendering === true,
      ms: Math.round(performance.now()),
    })
    localStorage.setItem('seen', JSON.stringify(log))
  }
  note('begin')
  addEventListener('error', ({ message }) => note(`error: ${message}`))
  addEventListener('unhandledrejection', ({ reason }) => note(`rejection: ${String(reason)}`))
  const events = tidemark.defineEvents<{ type: 'Added'; data: number }>()
  const store = await tidemark.openEventStore({ name: 'prerendered', events })
  note('opened')
  const { position } = await store.append({ stream: 's', events: [{ type: 'Added', data: 1 }] })
  note('appended')
  const definition = tidemark.defineProjection(events, {
    name: 'sum',
    tables: { sum: tidemark.table<{ id: string; sum: number }>({ key: 'id' }) },
    on: { Added: ({ data }, { sum }) => sum.update('all', (row) => ({ id: 'all', sum: (row?.sum ?? 0) + data })) },
  })
  const projection = tidemark.startProjection(store, definition)
  let phase = ''
  projection.status.subscribe(() => {
    const now = projection.status.getSnapshot()
    if (now.phase !== phase || now.lastError !== undefined)
      note(`phase: ${(phase = now.phase)}${now.lastError === undefined ? '' : ` (${String(now.lastError)})`}`)
  })
  document.addEventListener('prerenderingchange', () => note('activated'))
  // Shorter than the page is prerendered for.
  await projection.caughtUp(position, { timeout: 3_000 }).then(
    () => note('caught up'),
    (error: unknown) => note(`caught up: ${String(error)}`),
  )
  // A busy machine may need longer than that once it is activated.
  await projection.caughtUp(position)
  const view = await tidemark.openReadModel(store, definition)
  note(`row: ${JSON.stringify(await view.sum.get('all'))}`)
}

interface Seen {
  readonly what: string
  readonly prerendering: boolean
  readonly ms: number
}

/** What may be noted so many ms after the activation, and not before: these are deadlines, and a machine may be busy. */
const deadlines = [
  [/^caught up: CaughtUpTimeoutError/, 3_000],
  [/^phase: stalled/, 5_000],
] as const

function problems(list: readonly Seen[]): readonly Seen[] {
  const activated = list.find(({ what }) => what === 'activated')?.ms ?? Infinity
  return list.filter(
    ({ what, ms }) =>
      /error|rejection|stalled|not-running|retrying|faulted/i.test(what) &&
      !deadlines.some(([deadline, after]) => deadline.test(what) && ms + 1 >= activated + after),
  )
}

test(
  'H38: in a prerendered page no deadline passes; it starts as always when it is activated',
  onOneStorage,
  async ({ profile, engine, baseURL }) => {
    // Playwright forbids every page that it attaches to, to prerender anything; Puppeteer does not.
    const browser = await puppeteer.launch({
      executablePath: findChromium()?.path as string,
      userDataDir: profile,
      args: [...chromiumArgs(), chromiumStorageFlag(engine)],
    })
    try {
      const [observer, page] = [await browser.newPage(), await browser.newPage()]
      await observer.goto(`${baseURL}/blank.html`)
      await page.goto(`${baseURL}/blank.html`)
      const seen = () => observer.evaluate(() => JSON.parse(localStorage.getItem('seen') ?? '[]') as Seen[])
      const url = `/?run=${encodeURIComponent(work.toString())}`
      await page.bringToFront()
      await page.evaluate((url) => {
        const rules = document.createElement('script')
        rules.type = 'speculationrules'
        rules.textContent = JSON.stringify({ prerender: [{ source: 'list', urls: [url], eagerness: 'immediate' }] })
        document.head.append(rules)
      }, url)
      await expect.poll(seen, { timeout: 20_000 }).not.toEqual([])
      expect((await seen())[0], 'the browser must prerender').toMatchObject({ what: 'begin', prerendering: true })
      // Longer than what the page waits for, than the shortest of our deadlines, and than a follower is patient.
      await new Promise((resolve) => setTimeout(resolve, 8_000))
      const before = await seen()
      expect(before.every(({ prerendering }) => prerendering)).toBe(true)
      expect(problems(before), 'while it is prerendered').toEqual([])
      await page.evaluate((url) => void setTimeout(() => location.assign(url)), url)
      await expect
        .poll(async () => (await seen()).map(({ what }) => what), { timeout: 20_000 })
        .toContain('row: {"id":"all","sum":1}')
      const after = await seen()
      test.info().annotations.push({ type: 'H38', description: JSON.stringify(after) })
      expect(after.slice(0, before.length), 'the browser must show the page that it prerendered').toEqual(before)
      expect(after.map(({ what }) => what)).toContain('activated')
      expect(problems(after), 'after the activation').toEqual([])
    } finally {
      await browser.close()
    }
  },
)
