// An edited handler in a real Vite dev server: folded again when it is saved, once, whatever the number of tabs.
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import type { AddressInfo, Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { BrowserContext, Page } from '@playwright/test'
import { createServer } from 'vite'
import { readAs } from '../../scripts/builds.mjs'
import { expect, onOneStorage, test as base } from '../support/e2e.js'

const source = fileURLToPath(new URL('../../src/', import.meta.url))

/** What the app of the test has on `window`. */
interface OnPage {
  shown: { status: string; data?: { id: string; n: number }[] }
  applied: number
  saves: number
  add(): Promise<boolean>
  statusOf(): { phase: string; message?: string; behind: number }
}

const factorModule = (factor: number) => `export const factor = ${factor}\n`
/** The text of the handler differs with the step; the factor is a helper's. */
const modelModule = (step: number) => `
import { defineEvents, defineProjection, table } from 'tidemark'
import { factor } from './factor.js'
export const events = defineEvents()
export const board = defineProjection(events, {
  name: 'board',
  tables: { rows: table({ key: 'id' }) },
  on: {
    Added: (event, { rows }) => {
      window.applied = (window.applied ?? 0) + 1
      return rows.update('sum', (row) => ({ id: 'sum', n: (row?.n ?? 0) + ${step} * factor }))
    },
  },
})
`
const files = {
  'index.html': `<!doctype html><script type="module" src="/main.js"></script>`,
  'factor.js': factorModule(1),
  'model.js': modelModule(1),
  'shop.js': `
import { tidemark } from 'tidemark'
import { board, events } from './model.js'
export { events }
export const shop = tidemark({ name: 'hmr', events, models: { board }, durability: 'relaxed', hot: import.meta.hot })
`,
  'main.js': `
import * as first from './shop.js'
window.applied ??= 0
window.saves = 0
let stop
function show({ shop, events }) {
  stop?.()
  const live = shop.board.rows.live()
  const render = () => (window.shown = live.getSnapshot())
  stop = live.subscribe(render)
  render()
  window.add = async () =>
    (await shop.append('s', { type: 'Added', data: {} }, { until: 'visible', timeout: 20_000 })).visible
  window.statusOf = () => shop.board.status.getSnapshot()
}
show(first)
import.meta.hot.accept('./shop.js', (next) => {
  window.saves += 1
  show(next)
})
`,
}

const test = base.extend<{ app: { url: string; save(file: string, text: string): Promise<void> } }>({
  app: async ({}, use) => {
    const root = await mkdtemp(join(tmpdir(), 'tidemark-hmr-'))
    const aside = await mkdtemp(join(tmpdir(), 'tidemark-hmr-'))
    for (const [name, text] of Object.entries(files)) await writeFile(join(root, name), text)
    const server = await createServer({
      configFile: false,
      root,
      cacheDir: join(root, '.vite'),
      logLevel: 'error',
      plugins: [readAs('development')],
      resolve: { alias: [{ find: /^tidemark$/, replacement: join(source, 'index.ts') }] },
      optimizeDeps: { noDiscovery: true },
      server: { host: '127.0.0.1', port: 0, fs: { strict: false } },
    })
    await server.listen()
    const { port } = (server.httpServer as Server).address() as AddressInfo
    // As editors do: a file that is written in place changes twice.
    const save = async (file: string, text: string) => {
      await writeFile(join(aside, file), text)
      await rename(join(aside, file), join(root, file))
    }
    await use({ url: `http://127.0.0.1:${port}/`, save })
    await server.close()
    for (const folder of [root, aside]) await rm(folder, { recursive: true, force: true })
  },
})

const openTab = async (context: BrowserContext, url: string, isOffline = false): Promise<Page> => {
  const page = await context.newPage()
  // It loads, and no edit reaches it.
  if (isOffline) await page.routeWebSocket(/./, () => {})
  await page.goto(url)
  await page.waitForFunction(() => (window as unknown as OnPage).shown?.status === 'ready')
  return page
}
const sumOf = (page: Page) => page.evaluate(() => (window as unknown as OnPage).shown.data?.[0]?.n)
const add = (page: Page) => page.evaluate(() => (window as unknown as OnPage).add())
const appliedIn = async (pages: readonly Page[]) => {
  const counts = await Promise.all(pages.map((page) => page.evaluate(() => (window as unknown as OnPage).applied)))
  return counts.reduce((sum, count) => sum + count, 0)
}
const saved = (page: Page, times: number) =>
  page.waitForFunction((wanted) => (window as unknown as OnPage).saves >= wanted, times)

test(
  'an edited handler is folded again when it is saved, once for all tabs, behind the rows',
  onOneStorage,
  async ({ launch, app }) => {
    const context = await launch()
    const pages = [await openTab(context, app.url), await openTab(context, app.url)]
    const [one, other] = pages as [Page, Page]
    for (let count = 0; count < 10; count += 1) expect(await add(one)).toBe(true)
    await expect.poll(() => sumOf(other)).toBe(10)
    expect(await appliedIn(pages)).toBe(10)

    await app.save('model.js', modelModule(3))
    for (const page of pages) await saved(page, 1)
    for (const page of pages) await expect.poll(() => sumOf(page)).toBe(30)
    // Both tabs work with the new code, and neither folds it again: each event after that is applied once.
    for (const page of [other, one, other]) expect(await add(page)).toBe(true)
    for (const page of pages) await expect.poll(() => sumOf(page)).toBe(39)
    expect(await appliedIn(pages)).toBe(10 + 10 + 3)
  },
)

test('a helper that changes no text of a handler is folded again as well', onOneStorage, async ({ launch, app }) => {
  const context = await launch()
  const pages = [await openTab(context, app.url), await openTab(context, app.url)]
  const [one] = pages as [Page, Page]
  for (let count = 0; count < 4; count += 1) expect(await add(one)).toBe(true)
  for (const [at, factor] of [5, 7].entries()) {
    await app.save('factor.js', factorModule(factor))
    for (const page of pages) await saved(page, at + 1)
    for (const page of pages) await expect.poll(() => sumOf(page)).toBe(4 * factor)
  }
  for (const page of pages) expect(await add(page)).toBe(true)
  for (const page of pages) await expect.poll(() => sumOf(page)).toBe(6 * 7)
  expect(await appliedIn(pages)).toBe(4 + 4 + 4 + 2)
})

test(
  'a page load folds nothing again, unless the text of a handler changed meanwhile',
  onOneStorage,
  async ({ launch, app }) => {
    const context = await launch()
    const page = await openTab(context, app.url)
    for (let count = 0; count < 3; count += 1) expect(await add(page)).toBe(true)
    for (let loads = 0; loads < 2; loads += 1) {
      await page.reload()
      await page.waitForFunction(() => (window as unknown as OnPage).shown?.status === 'ready')
      expect(await add(page)).toBe(true)
      expect(await sumOf(page)).toBe(4 + loads)
      expect(await appliedIn([page])).toBe(1)
    }
    await page.goto('about:blank')
    await app.save('model.js', modelModule(2))
    const next = await openTab(context, app.url)
    await expect.poll(() => sumOf(next)).toBe(10)
    expect(await appliedIn([next])).toBe(5)
  },
)

test('a tab with older code does not lead, and says that newer code is open', onOneStorage, async ({ launch, app }) => {
  const context = await launch()
  const old = await openTab(context, app.url, true)
  expect(await add(old)).toBe(true)
  await app.save('model.js', modelModule(4))
  const page = await openTab(context, app.url)
  await expect.poll(() => sumOf(page)).toBe(4)
  const status = () => old.evaluate(() => (window as unknown as OnPage).statusOf())
  await expect.poll(status).toMatchObject({ phase: 'standby', message: expect.stringContaining('newer code is open') })
  await expect.poll(() => sumOf(old)).toBe(4)
  expect(await add(old)).toBe(true)
  await expect.poll(() => sumOf(page)).toBe(8)
  expect(await appliedIn([old])).toBe(1)
})
