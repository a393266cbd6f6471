// An edited handler in a real Vite dev server: folded again when it is saved, once, whatever the number of tabs.
import { mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises'
import type { AddressInfo, Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { BrowserContext, Page } from '@playwright/test'
import { svelte } from '@sveltejs/vite-plugin-svelte'
import react from '@vitejs/plugin-react'
import vue from '@vitejs/plugin-vue'
import { createServer, type InlineConfig } from 'vite'
import { readAs } from '../../scripts/builds.mjs'
import { expect, onOneStorage, test as base } from '../support/e2e.js'

const source = fileURLToPath(new URL('../../src/', import.meta.url))
const installed = fileURLToPath(new URL('../../node_modules/', import.meta.url))

/** What the app of the test has on `window`. */
interface OnPage {
  shown: { status: string; data?: { id: string; n: number }[] }
  applied: number
  saves: number
  add(): Promise<boolean>
  statusOf(): { phase: string; message?: string; behind: number }
  /** Of a component: how many follow the rows and the status now, through whichever code of the app. */
  listeners: { rows: number; status: number }
  /** What the page showed, one after the other. */
  seen: string[]
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

interface Served {
  readonly url: string
  save(file: string, text: string): Promise<void>
}

/** Serves files as Vite does while an app is developed. */
async function serve(
  texts: Readonly<Record<string, string>>,
  plugins: InlineConfig['plugins'],
  include: string[],
  use: (app: Served) => Promise<void>,
): Promise<void> {
  const root = await mkdtemp(join(tmpdir(), 'tidemark-hmr-'))
  const aside = await mkdtemp(join(tmpdir(), 'tidemark-hmr-'))
  for (const [name, text] of Object.entries(texts)) await writeFile(join(root, name), text)
  await symlink(installed, join(root, 'node_modules'), 'junction')
  const server = await createServer({
    configFile: false,
    root,
    cacheDir: join(root, '.vite'),
    logLevel: 'error',
    plugins: [readAs('development'), plugins],
    resolve: {
      alias: [
        { find: /^tidemark$/, replacement: join(source, 'index.ts') },
        { find: /^tidemark\/(\w+)$/, replacement: join(source, 'bindings', '$1.ts') },
      ],
    },
    optimizeDeps: { noDiscovery: true, include },
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
}

const test = base.extend<{ app: Served }>({
  app: async ({}, use) => serve(files, [], [], use),
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

/** The app of a component, whose listeners are counted. */
const countedShop = `
import { tidemark } from 'tidemark'
import { board, events } from './model.js'
export const shop = tidemark({ name: 'hmr', events, models: { board }, durability: 'relaxed', hot: import.meta.hot })
export const add = () => shop.append('s', { type: 'Added', data: {} })
window.listeners ??= { rows: 0, status: 0 }
const counted = (of, from) => ({
  ...from,
  subscribe(listener) {
    window.listeners[of] += 1
    const stop = from.subscribe(listener)
    return () => {
      window.listeners[of] -= 1
      stop()
    }
  },
})
export const rows = counted('rows', shop.board.rows.live())
export const status = counted('status', shop.status)
export const firstRows = shop.board.rows.live({ limit: 1 })
`
/** A component under a title. What is typed into its input is state of the component, and of nothing else. */
const frameworks = {
  react: {
    file: 'board.jsx',
    keepsState: true,
    plugin: () => react(),
    include: ['react', 'react-dom/client', 'react/jsx-dev-runtime'],
    main: `
import { createElement, StrictMode } from 'react'
import { createRoot } from 'react-dom/client'
import { Board } from './board.jsx'
createRoot(document.querySelector('main')).render(createElement(StrictMode, null, createElement(Board)))
`,
    component: (title: string) => `
import { Suspense, useState } from 'react'
import { useLiveQuery, useLiveSuspenseQuery, useStatus } from 'tidemark/react'
import { add, firstRows, rows, status } from './shop.js'
const First = () => <i>{useLiveSuspenseQuery(firstRows)[0]?.n ?? 0}</i>
export function Board() {
  const [draft, setDraft] = useState('')
  const { data } = useLiveQuery(rows)
  const { phase } = useStatus(status)
  return (
    <>
      <h1>${title}</h1>
      <input value={draft} onChange={(event) => setDraft(event.target.value)} />
      <button onClick={add}>Add</button>
      <output>{data?.[0]?.n ?? 0}</output>
      <Suspense fallback={<i>waits</i>}>
        <First />
      </Suspense>
      <p>{phase}</p>
    </>
  )
}
`,
  },
  vue: {
    file: 'Board.vue',
    keepsState: true,
    plugin: () => vue(),
    include: ['vue'],
    main: `
import { createApp } from 'vue'
import Board from './Board.vue'
createApp(Board).mount('main')
`,
    component: (title: string) => `
<script setup>
import { ref } from 'vue'
import { useLiveQuery, useStatus } from 'tidemark/vue'
import { add, rows, status as of } from './shop.js'
const draft = ref('')
const { data } = useLiveQuery(rows)
const status = useStatus(of)
</script>
<template>
  <h1>${title}</h1>
  <input v-model="draft" />
  <button @click="add">Add</button>
  <output>{{ data?.[0]?.n ?? 0 }}</output>
  <p>{{ status.phase }}</p>
</template>
`,
  },
  svelte: {
    file: 'Board.svelte',
    // Svelte makes a component that was edited again.
    keepsState: false,
    plugin: () => svelte({ configFile: false }),
    include: [],
    main: `
import { mount } from 'svelte'
import Board from './Board.svelte'
mount(Board, { target: document.querySelector('main') })
`,
    component: (title: string) => `
<script>
  import { live, status } from 'tidemark/svelte'
  import { add, rows as query, status as of } from './shop.js'
  let draft = $state('')
  const rows = live(query)
  const shown = status(of)
</script>
<h1>${title}</h1>
<input bind:value={draft} />
<button onclick={add}>Add</button>
<output>{rows.current?.[0]?.n ?? 0}</output>
<p>{shown.current.phase}</p>
`,
  },
}

for (const [framework, { file, keepsState, plugin, include, main, component }] of Object.entries(frameworks)) {
  test(
    `${framework}: edits of a component and of its handlers leave its rows live and one listener on each source`,
    onOneStorage,
    async ({ launch }) => {
      const texts = {
        'index.html': '<!doctype html><main></main><script type="module" src="/main.js"></script>',
        'factor.js': factorModule(1),
        'model.js': modelModule(1),
        'shop.js': countedShop,
        'main.js': main,
        [file]: component('First'),
      }
      await serve(texts, [plugin()], include, async ({ url, save }) => {
        const page = await (await launch()).newPage()
        await page.goto(url)
        // Lost by a page load.
        await page.evaluate(() => Object.assign(window, { samePage: true }))
        const press = () => page.getByRole('button', { name: 'Add' }).click()
        const sum = page.locator('output')
        const listeners = () => page.evaluate(() => (window as unknown as OnPage).listeners)
        const expectTitle = (title: string) => expect(page.getByRole('heading')).toHaveText(title)
        const expectOne = async () => {
          await expect.poll(listeners).toEqual({ rows: 1, status: 1 })
          await expect(page.locator('p')).toHaveText('live')
        }
        await expectTitle('First')
        await page.locator('input').fill('half a word')
        for (let count = 1; count <= 3; count += 1) {
          await press()
          await expect(sum).toHaveText(String(count))
        }
        await expectOne()

        for (const [at, title] of ['Second', 'Third', 'Fourth'].entries()) {
          await save(file, component(title))
          await expectTitle(title)
          if (keepsState) await expect(page.locator('input')).toHaveValue('half a word')
          await expectOne()
          await press()
          await expect(sum).toHaveText(String(4 + at))
        }
        expect(await appliedIn([page])).toBe(6)

        // From here on, each state of the page is looked at: the rows stay until those of the edited handler are complete.
        await page.evaluate(() => {
          const seen: string[] = []
          const look = () => {
            const [text, first] = ['output', 'i'].map((each) => document.querySelector(each)?.textContent)
            for (const state of [`rows ${text}`, ...(first === undefined ? [] : [`first ${first}`])])
              if (!seen.includes(state)) seen.push(state)
          }
          look()
          new MutationObserver(look).observe(document, { subtree: true, childList: true, characterData: true })
          Object.assign(window, { seen })
        })
        for (const [at, step] of [3, 5].entries()) {
          await save('model.js', modelModule(step))
          await expect(sum).toHaveText(String((6 + at) * step))
          await expectOne()
          await press()
          await expect(sum).toHaveText(String((7 + at) * step))
        }
        const seen = await page.evaluate(() => (window as unknown as OnPage).seen)
        const states = [6, 6 * 3, 7 * 3, 7 * 5, 8 * 5]
        expect(seen.filter((state) => state.startsWith('rows'))).toEqual(states.map((n) => `rows ${n}`))
        if (framework === 'react')
          expect(seen.filter((state) => state.startsWith('first'))).toEqual(states.map((n) => `first ${n}`))
        expect(await appliedIn([page])).toBe(6 + 6 + 1 + 7 + 1)
        expect(await page.evaluate(() => 'samePage' in window)).toBe(true)
      })
    },
  )
}
